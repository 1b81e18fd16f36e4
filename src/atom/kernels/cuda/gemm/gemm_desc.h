// What a GEMM of the CUDA backend computes, and its operands: Y[M][N] (+)= X[M][K] · W[N][K]ᵀ +
// bias, for up to three weights side by side (q, k, v; gate, up) in one launch. docs/numerics.md,
// section 3, is the contract; the layouts are those of packed_weight.h and packed_activation.h.
//
//   columns of Y   | outputs of weight 0 | of weight 1 | of weight 2 |
//
// Grouped (a mixture of experts): E products in one launch, one of every expert's weights with the
// rows that were routed to it. Rows of X lie gathered by expert, each expert's from a multiple of 8
// on; which and how many, and where the rows of Y go, only the device knows.
//
//   rows of X   | expert 0 | pad to 8 | expert 1 | pad to 8 | … |
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "atom/kernels/cuda/gemm/packed_activation.h"
#include "atom/kernels/cuda/gemm/packed_weight.h"

namespace atom::kernels::cuda {

/// How sums become values. i: exact integer sums, s: scales, W row, A token, 8: the outlier part.
enum class GemmRecipe {
  kInteger,  ///< y = fma(i8, sA8·sW8, i·(sA·sW)); i runs over all low-bit columns:
             ///< GroupScale::kInteger
  kGroup,  ///< y = Σ fma(i_g, sA_g·sW_g, y), outliers last: GroupScale::kHalf, G a multiple of 128
  kInt8,   ///< y = i8·(sA8·sW8): 8-bit weights, K4 = 0
  kW4A16,  ///< 4-bit weights with fp16 group scales, 16-bit activations
  kDense,  ///< 16-bit weights and activations
};
std::string_view Name(GemmRecipe recipe);  ///< "integer", "group", "int8", "w4a16", "dense"

enum class GemmOutput { kHalf, kBFloat16, kFloat };
std::string_view Name(GemmOutput output);  ///< "fp16", "bf16", "fp32"

inline constexpr int kMaxSegments = 3;
inline constexpr int kMaxExperts = 256;

/// An expert's rows of X: [first, first + count), first a multiple of 8. Experts' rows do not
/// overlap; rows of none may hold anything and reach no Y.
struct alignas(8) ExpertRows {
  int32_t first = 0;
  int32_t count = 0;
};

/// Shape and kind, without any address: what a plan is made from.
struct GemmDesc {
  GemmRecipe recipe = GemmRecipe::kInteger;
  int64_t m = 0;  ///< with experts: rows that X has room for, padding included
  std::array<int64_t, kMaxSegments> n = {};  ///< outputs of each weight, 0 behind the last
  int64_t k4 = 0;                            ///< low-bit columns
  int64_t k8 = 0;                            ///< outlier columns; all columns of kInt8 and kDense
  int64_t group = 0;                         ///< as in PackedWeightLayout
  GemmOutput output = GemmOutput::kHalf;
  bool add = false;     ///< y += result: the residual stream
  int64_t experts = 0;  ///< 0: one product

  constexpr int segments() const { return n[2] > 0 ? 3 : n[1] > 0 ? 2 : 1; }
  constexpr int64_t total_n() const { return n[0] + n[1] + n[2]; }
  constexpr int64_t k() const { return k4 + k8; }

  /// Token tiles of a launch; with experts as many as there can be.
  constexpr int64_t token_tiles(int64_t tile_tokens) const {
    const int64_t whole = (m + tile_tokens - 1) / tile_tokens;
    return experts == 0 ? whole : std::min(m / tile_tokens + experts, (m + 7) / 8);
  }
  /// The same if all rows exist and experts have equally many: what plans reckon with.
  constexpr int64_t expected_token_tiles(int64_t tile_tokens) const {
    if (experts == 0) return token_tiles(tile_tokens);
    const int64_t used = std::clamp<int64_t>(m / 8, 1, experts);
    return used * ((m / used + tile_tokens - 1) / tile_tokens);
  }
};

/// Empty, or a sentence that says why no kernel computes this.
std::string WhyNotComputed(const GemmDesc& desc);

/// One output's part of the scales, [padded_rows] a weight.
struct alignas(16) RowScales {
  float scale = 0;          ///< low-bit columns; unused where groups have fp16 scales
  float outlier_scale = 0;  ///< outlier columns; all columns of kInt8
  float bias = 0;
  float unused = 0;
};

/// A weight on the device.
struct alignas(16) GemmWeight {
  const uint8_t* codes = nullptr;  ///< PackedWeightLayout
  const RowScales* rows = nullptr;
};

/// Operands on the device; all 16-byte aligned, weights and activations by 256.
struct GemmOperands {
  std::array<GemmWeight, kMaxSegments> weights = {};  ///< without experts
  const int8_t* x = nullptr;                          ///< PackedActivationLayout
  const TokenScales* tokens = nullptr;                ///< [M8]
  /// kGroup: [groups][M8] fp32, or [M8] where one scale serves all groups of a token.
  const float* group_scales = nullptr;
  bool one_group_scale = false;
  const ExpertRows* expert_rows = nullptr;     ///< [experts]
  const GemmWeight* expert_weights = nullptr;  ///< [experts][segments]
  const int32_t* y_rows = nullptr;             ///< [M] with experts: the row of Y of a row of X
  /// HandoverBytes (tiled/tile_schedule.h), zeroed before the first launch; of one stream. Without
  /// it no tile is divided, which changes no bit.
  void* handover = nullptr;
  void* y = nullptr;     ///< [M] rows of GemmDesc::output, y_stride elements apart
  int64_t y_stride = 0;  ///< ≥ total_n
};

}  // namespace atom::kernels::cuda
