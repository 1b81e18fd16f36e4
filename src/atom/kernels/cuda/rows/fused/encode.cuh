// From a row's values, 16 or 32 neighbouring columns a thread, to scales and bytes.
#pragma once

#include "atom/kernels/cuda/rows/fused/magnitudes.cuh"
#include "atom/kernels/cuda/rows/fused/params.cuh"
#include "atom/kernels/cuda/rows/fused/twist.cuh"
#include "atom/kernels/cuda/rows/two_level.cuh"

namespace atom::kernels::cuda::fused {

template <int kColumns, int kCluster>
class RowEncoder {
 public:
  static constexpr int kChunks = kColumns / kChunkColumns;

  __device__ RowEncoder(const Params& params, const Team<kCluster>& team)
      : params_(params),
        call_(params.call),
        team_(team),
        warps_(static_cast<int>(team.threads) / 32),
        warp_(static_cast<int>(team.warp())),
        lane_(static_cast<int>(team.lane())) {
    const int low = call_.columns - call_.outliers;
    const PackedActivationLayout layout{call_.rows, low, call_.outliers};
    padded_rows_ = static_cast<int>(layout.padded_tokens());
#pragma unroll
    for (int h = 0; h < kChunks; ++h) {
      const int column = Column(h);
      active_[h] = column < call_.columns;
      outlier_[h] = active_[h] && column >= low;
      low_[h] = column < low;
      const int local = column - (outlier_[h] ? low : 0);
      const int64_t block = local / kBlockColumns + (outlier_[h] ? layout.blocks4() : 0);
      chunk_[h] =
          static_cast<uint32_t>(block * (layout.block_bytes() / 16) + local % kBlockColumns / 16);
    }
  }

  __device__ bool is_low(int h) const { return low_[h]; }

  /// Largest magnitudes of the groups of the thread's chunks (of the chunks themselves where they
  /// are outliers), and the warp's. What has no code of its own is taken out of y: a NaN is 0, and
  /// what is beyond all scales as far beyond as the encoder bears.
  __device__ __forceinline__ void FindLargest(float (&y)[kColumns], Partial* partials) {
#pragma unroll
    for (int h = 0; h < kChunks; ++h) {
      largest_[h] = LargestOrNan(y + 16 * h);
    }
    float all = largest_[0];
#pragma unroll
    for (int h = 1; h < kChunks; ++h) all = LargerOrNan(all, largest_[h]);
    if (!(all < kTame)) {
      TameChunks(y);
      all = 0;
#pragma unroll
      for (float largest : largest_) all = fmaxf(all, largest);
    }
    float low = 0, high = 0;
    if (params_.one_encoder) {
      if (low_[0]) low = all;
      if (outlier_[0]) high = all;
    } else {
#pragma unroll
      for (int h = 0; h < kChunks; ++h) {
        if (low_[h]) low = fmaxf(low, largest_[h]);
        if (outlier_[h]) high = fmaxf(high, largest_[h]);
      }
    }
    if (call_.group >= kColumns) {
#pragma unroll
      for (int lanes = 1; lanes * kColumns < 128; lanes *= 2) {
        if (lanes * kColumns < call_.group) all = fmaxf(all, __shfl_xor_sync(~0u, all, lanes));
      }
#pragma unroll
      for (float& largest : largest_) largest = all;
    }
    low = WarpMax(low), high = WarpMax(high);
    team_.Tell(partials, &Partial::low_max, low);
    team_.Tell(partials, &Partial::high_max, high);
  }

  /// Behind a barrier: scales and bytes of the row.
  __device__ __forceinline__ void Encode(int row, const float (&y)[kColumns], bool twisted,
                                         const auto& twist, Partial* partials) {
    const bool mine = lane_ < warps_;
    const float low_max = WarpMax(mine ? partials[lane_].low_max : 0.0f);
    const float high_max = WarpMax(mine ? partials[lane_].high_max : 0.0f);
    const float low_scale = ScaleOf(low_max, call_.clip, params_.range);
    outlier_scale_ = RoundToHalf(ScaleOf(high_max, 1.0f, CodeRange(8)));
    token_scale_ =
        call_.scale == FusedScale::kInteger ? TwoLevelScale(low_scale) : RoundToHalf(low_scale);
    Encoder encoder = EncoderOf(row, 0);
    const auto token = static_cast<uint32_t>(row), in_atom = token % 8;
    auto* atom = reinterpret_cast<uint4*>(call_.codes) + token * (kAtomBytes / kAtomTokens / 16);
    int sum = 0;
#pragma unroll
    for (int h = 0; h < kChunks; ++h) {
      if (h == 1 && !params_.one_encoder) encoder = EncoderOf(row, 1);
      uint32_t words[4];
      int chunk_sum = 0;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        words[i] = encoder.Word(y + 16 * h + 4 * i);
        chunk_sum = __dp4a(static_cast<int>(words[i]), 0x01010101, chunk_sum);
      }
      if (low_[h]) sum += chunk_sum;
      if (twisted) twist.Untwist(words);
      if (active_[h]) atom[chunk_[h] ^ in_atom] = {words[0], words[1], words[2], words[3]};
    }
    sum = __reduce_add_sync(~0u, sum);
    team_.Tell(partials, &Partial::code_sum, sum);
  }

  /// Behind another barrier: the scales of the row that was encoded last, whose sum is complete
  /// now.
  __device__ __forceinline__ void Finish(int row, const Partial* partials) {
    if (row < 0 || warp_ != 0) return;
    TokenScales scales;
    scales.scale = token_scale_;
    scales.outlier_scale = outlier_scale_;
    scales.sum = __reduce_add_sync(~0u, lane_ < warps_ ? partials[lane_].code_sum : 0);
    if (lane_ == 0) call_.tokens[row] = scales;
    ClearPadding(row);
  }

 private:
  __device__ __forceinline__ int Column(int h) const {
    return static_cast<int>(team_.thread) * kColumns + kChunkColumns * h;
  }

  /// What the low-bit columns leave of their last K block is 0.
  __device__ __forceinline__ void ClearPadding(int row) const {
    const PackedActivationLayout layout{call_.rows, call_.columns - call_.outliers, 0};
    const auto used = static_cast<int>(layout.k4 % kBlockColumns) / kChunkColumns;
    if (used == 0 || lane_ < used || lane_ >= kBlockColumns / kChunkColumns) return;
    auto* const block =
        reinterpret_cast<uint4*>(call_.codes + (layout.blocks4() - 1) * layout.block_bytes());
    block[row * (kAtomBytes / kAtomTokens / 16) + (lane_ ^ row % 8)] = uint4{};
  }

  /// Magnitudes without NaN and infinity, and values that the encoder bears.
  __device__ __forceinline__ void TameChunks(float (&y)[kColumns]) {
#pragma unroll
    for (int h = 0; h < kChunks; ++h) {
      largest_[h] = 0;
#pragma unroll
      for (int i = 16 * h; i < 16 * h + 16; ++i) Tame(y[i], largest_[h]);
    }
  }

  /// Of chunk h; see Params::one_encoder.
  __device__ __forceinline__ Encoder EncoderOf(int row, int h) const {
    float scale = token_scale_;
    int bits = call_.bits, times = 1;
    if (outlier_[h]) {
      scale = outlier_scale_, bits = 8;
    } else if (call_.scale != FusedScale::kToken) {
      scale = ScaleOf(largest_[h], call_.clip, params_.range);
      if (call_.scale == FusedScale::kInteger) {
        const TwoLevelMultiplier multiplier(scale, token_scale_);
        scale = __fmul_rn(token_scale_, multiplier.value);
        times = multiplier.times;
      } else {
        scale = RoundToHalf(scale);
        const auto column = static_cast<uint32_t>(Column(h));
        const auto group = static_cast<uint32_t>(call_.group);
        if (low_[h] && column % group == 0) {
          call_.group_scales[static_cast<int64_t>(column / group) * padded_rows_ + row] = scale;
        }
      }
    }
    return Encoder(scale, bits, times);
  }

  const Params& params_;
  const FusedQuantizeCall& call_;
  const Team<kCluster>& team_;
  int warps_, warp_, lane_, padded_rows_ = 0;
  bool active_[kChunks], low_[kChunks], outlier_[kChunks];
  uint32_t chunk_[kChunks];                    ///< places of chunks in row 0, in 16 bytes
  float largest_[kChunks];                     ///< of the row's groups
  float token_scale_ = 0, outlier_scale_ = 0;  ///< of the last row
};

}  // namespace atom::kernels::cuda::fused
