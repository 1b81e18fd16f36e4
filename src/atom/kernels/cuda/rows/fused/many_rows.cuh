// Many rows in groups of 128. A thread owns 64 columns, half a group, where those of kernel.cuh own
// 16 or 32: fewer threads compute what is computed once a row and thread, and the transform needs
// one other lane. (With a whole group a thread the code of a row is longer than what a
// multiprocessor keeps of instructions.) A CTA fills its multiprocessor. Its teams, two to eight
// neighbouring warps, take a row each and share the tables:
//
//   shared memory   tables of the columns | a staged row a team | bytes on their way out, a warp
//
// With one barrier of the team at each bar (squares are those of a norm):
//
//   a row lands | gather, Σ x² | norm, Hadamard, maxima | codes
#pragma once

#include <algorithm>
#include <bit>

#include "atom/kernels/cuda/ptx/sync.h"
#include "atom/kernels/cuda/rows/fused/gather_tables.cuh"
#include "atom/kernels/cuda/rows/fused/magnitudes.cuh"
#include "atom/kernels/cuda/rows/fused/many_rows_call.h"
#include "atom/kernels/cuda/rows/fused/squares.cuh"
#include "atom/kernels/cuda/rows/fused/transform.cuh"
#include "atom/kernels/cuda/rows/two_level.cuh"

namespace atom::kernels::cuda::fused {

inline constexpr int kCtaWarps = 16;  ///< of a CTA: 128 registers a thread

template <bool kNorm, bool kHadamard, RowType kType, int kTeamWarps>
class ManyRows {
 public:
  /// Shared memory of a CTA with `teams` teams.
  static constexpr int Bytes(int teams) {
    return 32 * kTeamWarps *
           (Tables::kThreadBytes + teams * (Staged::kThreadBytes + kThreadColumns));
  }

  /// `partials`: one for each warp of the CTA.
  __device__ ManyRows(const Params& params, char* shared, Partial* partials)
      : params_(params),
        call_(params.call),
        team_(32 * kTeamWarps),
        team_of_cta_(threadIdx.x / (32 * kTeamWarps)),
        partials_(partials + team_of_cta_ * kTeamWarps),
        tables_(shared, team_),
        x_(shared + 32 * kTeamWarps * Tables::kThreadBytes, call_.columns, team_),
        base_(__shfl_sync(
            ~0u,
            ptx::SharedAddress(shared) +
                32 * kTeamWarps * (Tables::kThreadBytes + team_of_cta_ * Staged::kThreadBytes),
            0)) {
    const int column = static_cast<int>(team_.thread) * kThreadColumns;
    low_ = column < call_.columns - call_.outliers;
    const int teams = static_cast<int>(blockDim.x) / (32 * kTeamWarps);
    bytes_ = reinterpret_cast<uint4*>(
        shared + 32 * kTeamWarps * (Tables::kThreadBytes + teams * Staged::kThreadBytes) +
        threadIdx.x / 32 * 32 * kThreadColumns);
    const uint32_t line = team_.lane() / 2;
    const bool exchanged = kHadamard && low_;
    own_ = line * 8 + (team_.lane() % 2 * (exchanged ? 2 : 4) ^ TurnOf(line));
    second_half_ = exchanged ? 4 : 2;
    twist_ = Twist<kType>::template Of<kThreadColumns>(column);
  }

  __device__ __forceinline__ void Run() {
    const int teams = static_cast<int>(blockDim.x) / (32 * kTeamWarps);
    const int step = static_cast<int>(gridDim.x) * teams;
    int row = static_cast<int>(blockIdx.x + gridDim.x * team_of_cta_), last = -1;
    RowPointer pointer(call_.x, x_.first_vector() * 16, row, step);
    tables_.Build(call_);  // of nobody's results
    ptx::WaitForPredecessors();
    RequestRow(row, pointer);
    for (; row < call_.rows; row += step) {
      float y[kThreadColumns];
      ptx::AsyncCopyWait<0>();
      Sync();
      if constexpr (kTeamWarps > 1) Finish(last);
      tables_.ForEachPlace([&](int i, uint32_t place) { y[i] = Staged::At(base_, place); });
      if constexpr (kNorm) {
        const float squares = TeamSum(WarpSum(SquaresOf<kType>(y)));
        RequestRow(row + step, pointer);
        Normalize(squares, y);
      } else if constexpr (kTeamWarps == 1) {
        Sync();
        RequestRow(row + step, pointer);
      }
      if constexpr (kHadamard) Transform(y);
      const float own = FindLargest(y);
      const float largest = fmaxf(own, __shfl_xor_sync(~0u, own, 1));  // of the group
      float low_max = WarpMax(low_ ? largest : 0.0f), high_max = WarpMax(low_ ? 0.0f : largest);
      TeamMax(low_max, high_max);
      if constexpr (!kNorm && kTeamWarps > 1) RequestRow(row + step, pointer);
      Encode(row, y, largest, low_max, high_max);
      last = row;
    }
    if constexpr (kTeamWarps > 1) {
      Sync();
      Finish(last);
    }
  }

 private:
  using Tables = GatherTables<kNorm, kType, kThreadColumns>;
  using Staged = StagedRow<kType, kThreadColumns>;
  static constexpr int kLines = kWarpColumns / kBlockColumns;  ///< of bytes of a warp

  __device__ __forceinline__ void Sync() const {
    if constexpr (kTeamWarps == 1) {
      __syncwarp();
    } else {
      ptx::BarrierSync(1 + team_of_cta_, 32 * kTeamWarps);
    }
  }

  __device__ __forceinline__ void RequestRow(int row, RowPointer& pointer) const {
    if (row < call_.rows) x_.Request(pointer.at());
    pointer.Advance();
    ptx::AsyncCopyCommit();
  }

  /// Of the warps' values, neighbours first, as lanes' are. A barrier.
  __device__ __forceinline__ float TeamSum(float sum) const {
    if constexpr (kTeamWarps > 1) team_.Tell(partials_, &Partial::squares, sum);
    Sync();
    if constexpr (kTeamWarps > 1) sum = SumFrom<std::bit_ceil(unsigned{kTeamWarps})>(0);
    return sum;
  }
  template <int kWarps>
  __device__ __forceinline__ float SumFrom(int first) const {
    if constexpr (kWarps == 1) {
      return first < kTeamWarps ? partials_[first].squares : 0.0f;
    } else {
      return __fadd_rn(SumFrom<kWarps / 2>(first), SumFrom<kWarps / 2>(first + kWarps / 2));
    }
  }
  __device__ __forceinline__ void TeamMax(float& low, float& high) const {
    if constexpr (kTeamWarps > 1) {
      team_.Tell(partials_, &Partial::low_max, low);
      team_.Tell(partials_, &Partial::high_max, high);
      Sync();
#pragma unroll
      for (int i = 0; i < kTeamWarps; ++i) {
        low = fmaxf(low, partials_[i].low_max);
        high = fmaxf(high, partials_[i].high_max);
      }
    }
  }

  __device__ __forceinline__ void Normalize(float squares, float (&y)[kThreadColumns]) const {
    const float inverse =
        InverseOfNorm(squares, params_.columns, params_.per_column, call_.epsilon);
#pragma unroll
    for (int i = 0; i < kThreadColumns / 4; ++i)
      NormalizeFour(inverse, tables_.Weights(i), y + 4 * i);
  }

  /// Of groups of low-bit columns. Distances up to 32 are between registers; in the odd lane of a
  /// group the last leaves differences where the even one has sums, so that both keep their first
  /// half and exchange the second. Then the even lane has the columns of sums at distance 32 of
  /// both, the odd lane those of differences, but for the sign of its second half.
  __device__ __forceinline__ void Transform(float (&y)[kThreadColumns]) const {
    constexpr int kHalf = kThreadColumns / 2;
    const float sign = team_.lane() % 2 != 0 ? -1.0f : 1.0f;
    if (low_) {
      Butterflies<1, kHalf>(y);
      Butterflies<1, kHalf>(y + kHalf);
#pragma unroll
      for (int i = 0; i < kHalf; ++i) {
        const float a = y[i], b = y[i + kHalf];
        y[i] = __fmaf_rn(sign, b, a), y[i + kHalf] = __fmaf_rn(-sign, b, a);
      }
    }
#pragma unroll
    for (int i = 0; i < kHalf; ++i) {
      const float own = y[i], other = __shfl_xor_sync(~0u, y[i + kHalf], 1);
      if (low_) y[i] = __fadd_rn(own, other), y[i + kHalf] = __fsub_rn(own, other);
    }
    if (low_) {
      ScaleTransformed<kType, kHalf>(y, params_.transform_norm, twist_);
      ScaleTransformed<kType, kHalf>(y + kHalf, sign * params_.transform_norm, twist_);
    }
  }

  /// The thread's largest magnitude; what has no code of its own is taken out of y
  /// (magnitudes.cuh).
  __device__ __forceinline__ static float FindLargest(float (&y)[kThreadColumns]) {
    float of_chunk[kThreadColumns / kChunkColumns], largest = 0;
#pragma unroll
    for (int h = 0; h < kThreadColumns / kChunkColumns; ++h) {
      of_chunk[h] = LargestOrNan(y + kChunkColumns * h);
    }
#pragma unroll
    for (float other : of_chunk) largest = LargerOrNan(largest, other);
    if (largest < kTame) return largest;
    largest = 0;
#pragma unroll
    for (float& value : y) Tame(value, largest);
    return largest;
  }

  /// Scales and bytes of the row.
  __device__ __forceinline__ void Encode(int row, const float (&y)[kThreadColumns], float largest,
                                         float low_max, float high_max) {
    const float low_scale = ScaleOf(low_max, call_.clip, params_.range);
    outlier_scale_ = RoundToHalf(ScaleOf(high_max, 1.0f, CodeRange(8)));
    token_scale_ =
        call_.scale == FusedScale::kInteger ? TwoLevelScale(low_scale) : RoundToHalf(low_scale);
    const Encoder encoder = EncoderOf(row, largest);
    int sum = 0;
#pragma unroll
    for (int h = 0; h < kThreadColumns / kChunkColumns; ++h) {
      uint32_t words[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        words[i] = encoder.Word(y + kChunkColumns * h + 4 * i);
        sum = __dp4a(static_cast<int>(words[i]), 0x01010101, sum);
      }
      if constexpr (!kHadamard) twist_.Untwist(words);
      bytes_[own_ ^ h % 2 ^ (h < 2 ? 0 : second_half_)] = {words[0], words[1], words[2], words[3]};
    }
    StoreBytes(row);
    sum = __reduce_add_sync(~0u, low_ ? sum : 0);
    if constexpr (kTeamWarps == 1) {
      if (team_.lane() == 0) StoreScales(row, sum);
    } else {
      team_.Tell(partials_, &Partial::code_sum, sum);
    }
  }

  /// So that the halves of lines that 8 lanes write at once lie in all banks.
  __device__ __forceinline__ static uint32_t TurnOf(uint32_t line) {
    return kHadamard ? line % 2 + line / 2 % 2 * 4 : line % 4;
  }

  /// The warp's bytes, of which a thread has written half a line of 128 in shared memory, to global
  /// memory: 8 lanes a line, so that whole lines leave the multiprocessor.
  __device__ __forceinline__ void StoreBytes(int row) const {
    const uint32_t lane = team_.lane(), place = lane % 8;
    const auto in_atom = static_cast<uint32_t>(row) % static_cast<uint32_t>(kAtomTokens);
    const PackedActivationLayout layout{call_.rows, 0, 0};
    const int first = static_cast<int>(team_.warp() * kLines + lane / 8);
    const int left = call_.columns - static_cast<int>(place ^ in_atom) * kChunkColumns;
    auto* to = reinterpret_cast<uint4*>(call_.codes + first * layout.block_bytes()) +
               row * (kBlockColumns / kChunkColumns) + place;
    uint4 bytes[kLines / 4];
    __syncwarp();
#pragma unroll
    for (uint32_t i = 0; i < kLines / 4; ++i) {
      const uint32_t line = 4 * i + lane / 8;
      bytes[i] = bytes_[line * 8 + (place ^ in_atom ^ TurnOf(line))];
    }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kLines / 4; ++i) {
      if ((first + 4 * i) * kBlockColumns < left) to[i * (layout.block_bytes() / 4)] = bytes[i];
    }
  }

  /// Of the row that was encoded last, behind another barrier.
  __device__ __forceinline__ void Finish(int row) const {
    if (row < 0 || team_.thread != 0) return;
    int sum = 0;
#pragma unroll
    for (int i = 0; i < kTeamWarps; ++i) sum += partials_[i].code_sum;
    StoreScales(row, sum);
  }
  __device__ __forceinline__ void StoreScales(int row, int sum) const {
    call_.tokens[row] = {token_scale_, outlier_scale_, sum, 0};
  }

  __device__ __forceinline__ Encoder EncoderOf(int row, float largest) const {
    if (!low_) return Encoder(outlier_scale_, 8, 1);
    if (call_.scale == FusedScale::kToken) return Encoder(token_scale_, call_.bits, 1);
    const float scale = ScaleOf(largest, call_.clip, params_.range);
    if (call_.scale == FusedScale::kInteger) {
      const TwoLevelMultiplier multiplier(scale, token_scale_);
      return Encoder(__fmul_rn(token_scale_, multiplier.value), call_.bits, multiplier.times);
    }
    const float rounded = RoundToHalf(scale);
    const PackedActivationLayout layout{call_.rows, 0, 0};
    if (team_.thread % 2 == 0) {
      call_.group_scales[team_.thread / 2 * layout.padded_tokens() + row] = rounded;
    }
    return Encoder(rounded, call_.bits, 1);
  }

  const Params& params_;
  const FusedQuantizeCall& call_;
  const Team<1> team_;
  const uint32_t team_of_cta_;
  Partial* const partials_;
  Tables tables_;
  const Staged x_;
  const uint32_t base_;   ///< of the team's staged row, the same in all lanes
  bool low_;              ///< the thread's columns are low-bit ones
  uint4* bytes_;          ///< of the warp, [kLines][8 chunks], chunk c of line l at c ^ TurnOf(l)
  uint32_t own_;          ///< the thread's chunk 0; chunk 1 differs from it in the lowest bit
  uint32_t second_half_;  ///< bits in which chunks 2 and 3 differ from those
  Twist<kType> twist_;
  float token_scale_ = 0, outlier_scale_ = 0;  ///< of the last row
};

template <bool kNorm, bool kHadamard, RowType kType, int kTeamWarps>
__global__ void __launch_bounds__(32 * kCtaWarps, 1)
    ManyRowsKernel(const __grid_constant__ Params params) {
  extern __shared__ __align__(128) char shared[];
  __shared__ Partial partials[kCtaWarps];
  ptx::LaunchDependents();
  ManyRows<kNorm, kHadamard, kType, kTeamWarps>(params, shared, partials).Run();
}

/// Teams of a CTA: as many as registers and shared memory hold.
template <bool kNorm, bool kHadamard, RowType kType, int kTeamWarps>
constexpr int TeamsOf() {
  constexpr int kSharedBytes = 226 * 1024;  // of 227 KiB, some of which are partials
  int teams = kCtaWarps / kTeamWarps;
  while (ManyRows<kNorm, kHadamard, kType, kTeamWarps>::Bytes(teams) > kSharedBytes) --teams;
  return teams;
}

template <bool kNorm, bool kHadamard, RowType kType, int kTeamWarps>
cudaError_t LaunchManyRows(const FusedQuantizeCall& call, cudaStream_t stream) {
  constexpr int kTeams = TeamsOf<kNorm, kHadamard, kType, kTeamWarps>();
  constexpr int kBytes = ManyRows<kNorm, kHadamard, kType, kTeamWarps>::Bytes(kTeams);
  auto* kernel = ManyRowsKernel<kNorm, kHadamard, kType, kTeamWarps>;
  static const cudaError_t prepared =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (prepared != cudaSuccess) return prepared;
  int device = 0, multiprocessors = 0;
  cudaError_t code = cudaGetDevice(&device);
  if (code == cudaSuccess) {
    code = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  }
  if (code != cudaSuccess) return code;
  cudaLaunchAttribute attribute = {};  // as device/dependent_launch.h
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = {static_cast<unsigned>(std::min(call.rows, multiprocessors)), 1, 1};
  config.blockDim = {32 * kTeamWarps * kTeams, 1, 1};
  config.dynamicSmemBytes = kBytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  return cudaLaunchKernelEx(&config, kernel, Params(call, kThreadColumns, kTeamWarps));
}

}  // namespace atom::kernels::cuda::fused
