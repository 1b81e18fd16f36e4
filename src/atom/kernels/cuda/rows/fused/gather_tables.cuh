// What gathering a row needs that is the same for all rows, in shared memory: where each of a
// thread's columns lies in the row, and its weight of the norm. All threads of the CTA build it.
//
//   places    [warps][kColumns / 8][32 lanes][8 registers]  16 bits each, StagedRow::PlaceOf
//   weights   [warps][kColumns / 4][32 lanes][4 registers]  fp32
//
// in the order of a thread's registers (twist.cuh). Columns past the last read the zeros behind the
// row.
#pragma once

#include "atom/kernels/cuda/rows/fused/staged_row.cuh"
#include "atom/kernels/cuda/rows/fused/twist.cuh"

namespace atom::kernels::cuda::fused {

template <bool kNorm, RowType kType, int kColumns>
class GatherTables {
 public:
  static constexpr int kThreadBytes = (kNorm ? 6 : 2) * kColumns;

  __device__ GatherTables(char* shared, const Team<1>& team)
      : threads_(team.threads),
        weights_(reinterpret_cast<float*>(shared)),
        places_(reinterpret_cast<uint16_t*>(weights_ + (kNorm ? kColumns * threads_ : 0))),
        own_(team.warp() * 32 * kColumns + team.lane() * 4) {}

  /// Ends with a barrier of the CTA.
  __device__ __forceinline__ void Build(const FusedQuantizeCall& call) {
    FindPlaces(call);
    __syncthreads();
    if constexpr (kNorm) {
      OrderWeights();
      __syncthreads();
    }
  }

  /// each(register, place in bytes). All places are under way before the first is needed.
  template <class Each>
  __device__ __forceinline__ void ForEachPlace(const Each& each) const {
    const uint16_t* const own = places_ + own_ + threadIdx.x % 32 * 4;
    uint4 places[kColumns / 8];
#pragma unroll
    for (int i = 0; i < kColumns / 8; ++i) {
      places[i] = *reinterpret_cast<const uint4*>(own + 256 * i);
    }
#pragma unroll
    for (int i = 0; i < kColumns / 8; ++i) {
      const uint32_t pairs[4] = {places[i].x, places[i].y, places[i].z, places[i].w};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        each(8 * i + 2 * j, pairs[j] & 0xFFFF);
        each(8 * i + 2 * j + 1, pairs[j] >> 16);
      }
    }
  }
  /// Of registers 4i … 4i + 3.
  __device__ __forceinline__ float4 Weights(int i) const {
    return *reinterpret_cast<const float4*>(weights_ + own_ + 128 * i);
  }

 private:
  using Staged = StagedRow<kType, kColumns>;

  /// Places; and weights, where StagedRow would have their columns. Loads of four steps at once.
  __device__ __forceinline__ void FindPlaces(const FusedQuantizeCall& call) {
    constexpr uint32_t kBatch = 4;
    const auto columns = static_cast<uint32_t>(call.columns);
    const uint32_t stride = 4 * blockDim.x;
    for (uint32_t first = 4 * threadIdx.x; first < threads_ * kColumns; first += kBatch * stride) {
      uint4 from[kBatch];
      float4 weights[kBatch];
#pragma unroll
      for (uint32_t i = 0; i < kBatch; ++i) {
        const uint32_t column = first + i * stride;
        const bool has = column < columns;
        from[i] = {columns, columns, columns, columns};
        if (has) {
          from[i] = call.permutation == nullptr
                        ? uint4{column, column + 1, column + 2, column + 3}
                        : *reinterpret_cast<const uint4*>(call.permutation + column);
        }
        weights[i] =
            kNorm && has ? *reinterpret_cast<const float4*>(call.weight + column) : float4{};
      }
#pragma unroll
      for (uint32_t i = 0; i < kBatch; ++i) {
        const uint32_t column = first + i * stride;
        if (column >= threads_ * kColumns) continue;
        StorePlaces(call, column, from[i]);
        if constexpr (kNorm) {
          *reinterpret_cast<float4*>(weights_ + Staged::PlaceOf(column) / RowTypeBytes(kType)) =
              weights[i];
        }
      }
    }
  }

  /// Of four columns from `column` on.
  __device__ __forceinline__ void StorePlaces(const FusedQuantizeCall& call, uint32_t column,
                                              const uint4& from) {
    const auto low = static_cast<uint32_t>(call.columns - call.outliers);
    const bool straight = call.hadamard && column >= low;
    const auto twist = straight ? Twist<kType>{0} : Twist<kType>::template Of<kColumns>(column);
    const uint32_t warp = column / (32 * kColumns), lane = column / kColumns % 32;
    uint16_t* const to = places_ + warp * 32 * kColumns + lane * 8;
    const uint32_t columns_of[4] = {from.x, from.y, from.z, from.w};
#pragma unroll
    for (uint32_t j = 0; j < 4; ++j) {
      const uint32_t i = twist.RegisterOf(column % kColumns + j);
      to[i / 8 * 256 + i % 8] = static_cast<uint16_t>(Staged::PlaceOf(columns_of[j]));
    }
  }

  /// Weights to the order of places: all are read before the first is written.
  __device__ __forceinline__ void OrderWeights() {
    const uint32_t fours = threads_ * (kColumns / 4);
    float4 four[kColumns / 4];
#pragma unroll
    for (uint32_t i = 0; i < kColumns / 4; ++i) {
      const uint32_t at = threadIdx.x + i * blockDim.x;
      if (at >= fours) break;
      const uint32_t fours_before = at / 32, lane = at % 32;  // two of them are a vector of places
      const uint2 places = *reinterpret_cast<const uint2*>(places_ + fours_before / 2 * 256 +
                                                           lane * 8 + fours_before % 2 * 4);
      four[i] = {WeightAt(places.x & 0xFFFF), WeightAt(places.x >> 16), WeightAt(places.y & 0xFFFF),
                 WeightAt(places.y >> 16)};
    }
    __syncthreads();
#pragma unroll
    for (uint32_t i = 0; i < kColumns / 4; ++i) {
      const uint32_t at = threadIdx.x + i * blockDim.x;
      if (at >= fours) break;
      reinterpret_cast<float4*>(weights_)[at] = four[i];
    }
  }
  __device__ __forceinline__ float WeightAt(uint32_t place) const {
    return weights_[place / RowTypeBytes(kType)];
  }

  uint32_t threads_;
  float* weights_;
  uint16_t* places_;
  uint32_t own_;  ///< where this thread's weights begin
};

}  // namespace atom::kernels::cuda::fused
