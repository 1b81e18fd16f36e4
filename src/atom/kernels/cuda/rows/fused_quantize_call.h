// What the fused quantizer works on; plain data, for host and device code.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/gemm/packed_activation.h"
#include "atom/kernels/cuda/rows/row_type.h"

namespace atom::kernels::cuda {

inline constexpr int kMaxFusedColumns = 16384;
/// So that what is clipped has a code of 16 bits before it is clamped (integer_codes.cuh).
inline constexpr float kLeastFusedClip = 1.0f / 64;

/// Where the values come from that are quantized.
enum class FusedSource {
  kRmsNorm,  ///< rmsnorm(x), x += residual before if there is one; gathered
  kValues,   ///< x, gathered
  kSiluMul,  ///< x is [M][2K]: silu(gate) · up; not gathered
};

enum class FusedScale {
  kToken,    ///< one scale for a token's low-bit columns
  kGroup,    ///< fp16 scale a group: the published recipe
  kInteger,  ///< a group's scale is the token's times 1 … 15; bytes are code × that
};

struct FusedQuantizeCall {
  Rows x;  ///< kRmsNorm with a residual: overwritten by the sum
  int rows = 0;
  int columns = 0;  ///< K, a multiple of 16, at most 16,384
  FusedSource source = FusedSource::kRmsNorm;
  Rows residual;                  ///< null data: none
  const float* weight = nullptr;  ///< [K], in the order of x
  float epsilon = 0.0f;
  const int32_t* permutation = nullptr;  ///< [K]: result j is value permutation[j]; null: identity
  int outliers = 0;                      ///< trailing columns, INT8 with their own scale
  int group = 128;                       ///< of the low-bit columns: 16, 32, 64, 128
  bool hadamard = false;                 ///< normalized transform of every group
  int bits = 4;                          ///< of the low-bit columns: 4 or 8
  FusedScale scale = FusedScale::kInteger;
  float clip = 1.0f;              ///< at least kLeastFusedClip
  int8_t* codes = nullptr;        ///< PackedActivationLayout{rows, columns - outliers, outliers}
  TokenScales* tokens = nullptr;  ///< [rows]
  float* group_scales = nullptr;  ///< kGroup: [groups][rows rounded up to 8]
};

/// The launch; fused_quantize.h has the checked one.
cudaError_t EnqueueFusedQuantize(const FusedQuantizeCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
