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
  static constexpr int kThreadBytes = 2 * kColumns + (kNorm ? 4 * kColumns : 0);

  __device__ GatherTables(char* shared, const Team& team)
      : threads_(team.threads),
        weights_(reinterpret_cast<float*>(shared)),
        places_(reinterpret_cast<uint16_t*>(shared + (kNorm ? 4 * kColumns * threads_ : 0))),
        own_weights_(weights_ + team.warp() * 32 * kColumns + team.lane() * 4),
        own_places_(places_ + team.warp() * 32 * kColumns + team.lane() * 8) {}

  /// Ends with a barrier of the CTA.
  __device__ __forceinline__ void Build(const FusedQuantizeCall& call) {
    FindPlaces(call);
    __syncthreads();
    if constexpr (kNorm) {
      OrderWeights();
      __syncthreads();
    }
  }

  /// each(register, place in bytes).
  template <class Each>
  __device__ __forceinline__ void ForEachPlace(const Each& each) const {
#pragma unroll
    for (int i = 0; i < kColumns / 8; ++i) {
      const uint4 places = *reinterpret_cast<const uint4*>(own_places_ + 256 * i);
      const uint32_t pairs[4] = {places.x, places.y, places.z, places.w};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        each(8 * i + 2 * j, pairs[j] & 0xFFFF);
        each(8 * i + 2 * j + 1, pairs[j] >> 16);
      }
    }
  }
  /// Of registers 4i … 4i + 3.
  __device__ __forceinline__ float4 Weights(int i) const {
    return *reinterpret_cast<const float4*>(own_weights_ + 128 * i);
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
    uint16_t* const to = places_ + warp * 32 * kColumns + column % kColumns / 8 * 256 + lane * 8;
    const uint32_t columns_of[4] = {from.x, from.y, from.z, from.w};
#pragma unroll
    for (uint32_t j = 0; j < 4; ++j) {
      to[twist.RegisterOf(column % 8 + j)] = static_cast<uint16_t>(Staged::PlaceOf(columns_of[j]));
    }
  }

  /// Weights to the order of places: all are read before the first is written.
  __device__ __forceinline__ void OrderWeights() {
    float4 four[kColumns / 4];
    ForEachFour([&](uint32_t i, uint32_t at, uint32_t places_at) {
      const uint2 places = *reinterpret_cast<const uint2*>(places_ + places_at);
      four[i] = {WeightAt(places.x & 0xFFFF), WeightAt(places.x >> 16), WeightAt(places.y & 0xFFFF),
                 WeightAt(places.y >> 16)};
    });
    __syncthreads();
    ForEachFour([&](uint32_t i, uint32_t at, uint32_t) {
      *reinterpret_cast<float4*>(weights_ + at) = four[i];
    });
  }
  __device__ __forceinline__ float WeightAt(uint32_t place) const {
    return weights_[place / RowTypeBytes(kType)];
  }
  /// each(i, index of four weights, index of their places); four weights a thread, then the next.
  template <class Each>
  __device__ __forceinline__ void ForEachFour(const Each& each) const {
#pragma unroll
    for (uint32_t i = 0; i < kColumns / 4; ++i) {
      const uint32_t four = threadIdx.x + i * blockDim.x;
      if (four >= threads_ * (kColumns / 4)) break;
      const uint32_t lane = four % 32, rest = four / 32;  // of warps and their quarters of vectors
      each(i, 4 * four, rest / 2 * 256 + lane * 8 + rest % 2 * 4);
    }
  }

  uint32_t threads_;  ///< of a team
  float* weights_;
  uint16_t* places_;
  const float* own_weights_;
  const uint16_t* own_places_;
};

}  // namespace atom::kernels::cuda::fused
