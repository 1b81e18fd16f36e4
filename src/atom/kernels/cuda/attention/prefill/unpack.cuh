// The warps that feed the tensor cores: each fetches one page of every tile by bulk copies, some
// tiles ahead, and turns its codes into fp16 rows of a stage. A page is fragments of 16 × 16
// values, which stmatrix writes as they are.
#pragma once

#include "atom/kernels/cuda/attention/prefill/row_tile.cuh"
#include "atom/kernels/cuda/ptx/bulk_copy.h"
#include "atom/kernels/cuda/ptx/matrix.h"
#include "atom/kernels/cuda/ptx/mbarrier.h"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda::prefill {

template <KvStorage kStorage, int kHeadDim>
class Unpacker {
 public:
  using Sizes = Shape<kStorage, kHeadDim>;
  static constexpr int kFragments = Sizes::kFragments;
  static constexpr int kWords = WordsPerFragment(kStorage);

  __device__ Unpacker(const PrefillAttention& call, const RowTile& rows, char* shared, int warp)
      : call_(call), rows_(rows), shared_(shared), warp_(warp), lane_(threadIdx.x % 32) {
    barriers_.base = ptx::SharedAddress(shared + Sizes::kBarriersAt);
    stages_ = ptx::SharedAddress(shared);
    score_scale_ = call.params.scale * 1.4426950408889634f;
    // Lane 8 i + r gives the address of row r of stmatrix's matrix i, whose chunk is swizzled by r.
    const int i = lane_ / 8, r = lane_ % 8;
    key_row_ = (warp * kPagePositions + 8 * (i / 2) + r) * 128 + (((i % 2) ^ r) << 4);
    value_row_ = Sizes::kValuesAt + (8 * (i % 2) + r) * 128 + (((2 * warp + i / 2) ^ r) << 4);
  }

  __device__ void Run() {
    const int tiles = rows_.tiles();
    for (int n = 0; n < Sizes::kSlots && n < tiles; ++n) Fetch(n);
    RingPosition<Sizes::kStages> stage;
    RingPosition<Sizes::kSlots> slot;
    for (int n = 0; n < tiles; ++n) {
      ptx::MbarrierWait(barriers_.Packed(warp_, slot.index), slot.parity);
      ptx::MbarrierWait(barriers_.Empty(stage.index), stage.parity ^ 1);
      const char* page = Packed(slot.index);
      const int first = (rows_.first_tile() + n) * kTilePositions + warp_ * kPagePositions;
      UnpackFragments(page, stages_ + stage.index * Sizes::kStageBytes, first);
      if (HasScales(kStorage) && lane_ < kPagePositions) {
        UnpackScales(page, shared_ + stage.index * Sizes::kStageBytes, first);
      }
      ptx::FenceProxyAsync();
      __syncwarp();
      if (lane_ == 0) ptx::MbarrierArrive(barriers_.Full(stage.index));
      if (n + Sizes::kSlots < tiles) Fetch(n + Sizes::kSlots);
      stage.Next();
      slot.Next();
    }
  }

 private:
  __device__ char* Packed(int slot) const {
    return shared_ + Sizes::kPackedAt + (warp_ * Sizes::kSlots + slot) * Sizes::kPageBytes;
  }

  /// Asks for this warp's page of tile n.
  __device__ void Fetch(int n) {
    if (n % 32 == 0) {  // page numbers come 32 at a time
      const int page = (rows_.first_tile() + n + lane_) * kTilePages + warp_;
      page_index_ =
          page < rows_.last_page ? __ldg(call_.lists.indices + rows_.first_index + page) : 0;
    }
    const int index = __shfl_sync(~0u, page_index_, n % 32);
    if (lane_ != 0) return;
    const int page = (rows_.first_tile() + n) * kTilePages + warp_;
    const uint32_t barrier = barriers_.Packed(warp_, n % Sizes::kSlots);
    if (page < rows_.first_page || page >= rows_.last_page) {
      ptx::MbarrierArrive(barrier);  // what the slot holds may be anything
      return;
    }
    ptx::MbarrierArriveExpect(barrier, Sizes::kPageBytes);
    ptx::BulkLoad(
        ptx::SharedAddress(Packed(n % Sizes::kSlots)),
        call_.kv.data +
            (static_cast<int64_t>(index) * call_.kv.kv_heads + rows_.kv_head) * Sizes::kPageBytes,
        Sizes::kPageBytes, barrier);
  }

  /// Codes of positions [first, first + 16), in groups of four words a lane.
  __device__ __forceinline__ void UnpackFragments(const char* page, uint32_t stage, int first) {
    constexpr int kPerLane = WordsPerLane(kStorage, kHeadDim);
#pragma unroll
    for (int word = 0; word < kPerLane; word += 4) {
      uint32_t words[4];
      if (kPerLane - word >= 4) {
        const uint4 four = reinterpret_cast<const uint4*>(page + word * 128)[lane_];
        words[0] = four.x, words[1] = four.y, words[2] = four.z, words[3] = four.w;
      } else {
        const uint2 two = reinterpret_cast<const uint2*>(page + word * 128)[lane_];
        words[0] = two.x, words[1] = two.y;
      }
#pragma unroll
      for (int i = 0; i < 4 && word + i < kPerLane; i += kWords) {
        const int fragment = (word + i) / kWords;
        uint32_t values[4];
        UnpackFragment<kStorage>(words + i, values);
        if (fragment < kFragments) {
          ptx::StMatrix4(
              stage + fragment / 4 * Sizes::kKeyColumnBytes + (key_row_ ^ (fragment % 4 << 5)),
              values);
        } else {
          if (kStorage == KvStorage::kF16) MaskValues(values, first);
          ptx::StMatrix4(stage + value_row_ + (fragment - kFragments) * 16 * 128, values);
        }
      }
    }
  }

  /// Values at positions that do not exist become zero: they may be anything, NaN too, and are
  /// multiplied. (Codes are always finite; there scale and offset become zero.)
  __device__ __forceinline__ void MaskValues(uint32_t (&values)[4], int first) const {
    const int position = first + 2 * (lane_ % 4);
    if (first + kPagePositions <= rows_.limit && first >= rows_.first_page * kPagePositions) return;
    const uint32_t low = PairMask(position), high = PairMask(position + 8);
    values[0] &= low, values[1] &= low, values[2] &= high, values[3] &= high;
  }

  /// All ones in the halves whose position exists.
  __device__ uint32_t PairMask(int position) const {
    return (Exists(position) ? 0x0000FFFFu : 0u) | (Exists(position + 1) ? 0xFFFF0000u : 0u);
  }
  __device__ bool Exists(int position) const {
    return position < rows_.limit && position >= rows_.first_page * kPagePositions;
  }

  /// One lane a position.
  __device__ void UnpackScales(const char* page, char* stage, int first) const {
    const auto* from = reinterpret_cast<const __half*>(page + ScaleOffset(kStorage, kHeadDim));
    const KeyTerms<kStorage> terms(reinterpret_cast<const __half2*>(from)[lane_], score_scale_);
    const int place = warp_ * kPagePositions + lane_;
    reinterpret_cast<float2*>(stage + Sizes::kTermsAt)[place] = {terms.a, terms.b};
    const bool exists = Exists(first + lane_);
    auto* offsets = reinterpret_cast<__half*>(stage + Sizes::kSumsAt + Sizes::kSumsRowBytes);
    auto* scales = reinterpret_cast<__half*>(stage + Sizes::kSumsAt + 2 * Sizes::kSumsRowBytes);
    offsets[place] = exists ? from[3 * kPagePositions + lane_] : __half(0.0f);
    scales[place] = exists ? from[2 * kPagePositions + lane_] : __half(0.0f);
  }

  const PrefillAttention& call_;
  const RowTile& rows_;
  char* shared_;
  int warp_, lane_;
  Barriers<Sizes> barriers_;
  uint32_t stages_;
  float score_scale_;
  int key_row_, value_row_;
  int page_index_ = 0;
};

}  // namespace atom::kernels::cuda::prefill
