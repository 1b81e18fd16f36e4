// A row on its way through shared memory. A warp requests the vectors of 16 bytes of its own
// columns, 32 neighbouring ones at a time; what a thread requested, and after a barrier everybody,
// may read.
//
//   vector v lies at place v ^ (v / turn % 8)      turn: a thread's vectors, at least 8
//
// so that the 32 vectors of a request, and vectors of neighbouring threads' columns, lie in all
// banks: 8 threads whose columns begin 32 to 512 bytes apart read from 8 different places.
#pragma once

#include "atom/kernels/cuda/ptx/async_copy.h"
#include "atom/kernels/cuda/ptx/mbarrier.h"
#include "atom/kernels/cuda/rows/fused/params.cuh"
#include "atom/kernels/cuda/rows/row_values.cuh"
#include "atom/kernels/cuda/rows/row_vectors.cuh"

namespace atom::kernels::cuda::fused {

template <RowType kType, int kColumns>
class StagedRow {
 public:
  static constexpr int kPerVector = PerVector(kType);
  static constexpr int kVectors = kColumns / kPerVector;  ///< of a thread
  static constexpr int kThreadBytes = kColumns * RowTypeBytes(kType);
  static constexpr int kTurn = kVectors > 8 ? kVectors : 8;
  static_assert(kVectors % 2 == 0 && kVectors <= 32);

  /// `shared`: kThreadBytes for each thread of the CTA, a multiple of 128 bytes from
  /// 0. Rows have `columns` values.
  template <int kCluster>
  __device__ StagedRow(char* shared, int columns, const Team<kCluster>& team)
      : shared_(shared),
        lane_(team.lane()),
        first_(threadIdx.x / 32 * 32 * kVectors),
        first_vector_(team.warp() * 32 * kVectors + lane_),
        left_(columns / kPerVector - static_cast<int>(first_vector_)) {}

  /// The thread's vectors are this and those 32, 64, … behind it.
  __device__ uint32_t first_vector() const { return first_vector_; }

  /// `from` points to first_vector() of the row. Vectors past the last are 0.
  __device__ __forceinline__ void Request(const char* from) const {
    const uint32_t to = ptx::SharedAddress(shared_);
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      ptx::AsyncCopy16(to + Requested(i), from + 512 * i, Has(i) ? 16 : 0);
    }
  }
  /// Whether the row has the thread's i-th vector.
  __device__ __forceinline__ bool Has(int i) const { return left_ > 32 * i; }

  /// Vector i of those that this thread requested.
  __device__ __forceinline__ uint4& OfRequest(uint32_t i) const {
    return *reinterpret_cast<uint4*>(shared_ + Requested(i));
  }
  /// Vector i of this thread's columns.
  __device__ __forceinline__ const uint4& OfColumns(uint32_t i) const {
    const uint32_t vector = lane_ * kVectors, turn = vector / kTurn % 8;
    return *reinterpret_cast<const uint4*>(shared_ + (first_ + ((vector ^ turn) ^ i)) * 16);
  }

  /// Where column `column` lies, in bytes: below 65,536.
  static __device__ __forceinline__ uint32_t PlaceOf(uint32_t column) {
    const uint32_t vector = column / kPerVector;
    return (vector ^ vector / kTurn % 8) * 16 + column % kPerVector * RowTypeBytes(kType);
  }
  /// The value at a place; `base`: where the row begins, in a form that the compiler knows to be
  /// the same in all lanes, so that the load adds it.
  static __device__ __forceinline__ float At(uint32_t base, uint32_t place) {
    if constexpr (kType == RowType::kF32) {
      float value;
      asm volatile("ld.shared.f32 %0, [%1];" : "=f"(value) : "r"(base + place) : "memory");
      return value;
    } else {
      uint16_t bits;
      asm volatile("ld.shared.u16 %0, [%1];" : "=h"(bits) : "r"(base + place) : "memory");
      return kType == RowType::kF16 ? __half2float(__ushort_as_half(bits))
                                    : __uint_as_float(uint32_t{bits} << 16);
    }
  }
  __device__ __forceinline__ uint32_t Base() const {
    return __shfl_sync(~0u, ptx::SharedAddress(shared_), 0);
  }

 private:
  /// Place of the vector that is requested i-th, in bytes.
  __device__ __forceinline__ uint32_t Requested(uint32_t i) const {
    return (first_ + 32 * i + (lane_ ^ lane_ / kTurn ^ i * (32 / kTurn) % 8)) * 16;
  }

  char* shared_;
  uint32_t lane_;
  uint32_t first_;         ///< of the warp, in shared memory
  uint32_t first_vector_;  ///< of the thread, in the row
  int left_;               ///< vectors of the row from first_vector() on
};

/// Where a thread's vectors of row after row of a tensor begin.
class RowPointer {
 public:
  /// `offset`: bytes into the row; rows are first, first + step, …
  __device__ RowPointer(const Rows& rows, uint32_t offset, int64_t first, int64_t step)
      : at_(static_cast<const char*>(RowAt(rows, first, 0)) + offset),
        step_(step * rows.stride * RowTypeBytes(rows.type)) {}
  __device__ const char* at() const { return at_; }
  __device__ void Advance() { at_ += step_; }

 private:
  const char* at_;
  int64_t step_;
};

}  // namespace atom::kernels::cuda::fused
