// What the plain quantizer works on; plain data, for host and device code.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/gemm/packed_activation.h"
#include "atom/kernels/cuda/rows/row_type.h"

namespace atom::kernels::cuda {

/// What becomes of a row's values before they are gathered and quantized.
enum class RowSource { kValues, kRmsNorm, kLayerNorm, kSilu, kGelu, kGeluTanh, kRelu };

struct PlainQuantizeCall {
  Rows x;
  int rows = 0;
  int columns = 0;  ///< of the result, K
  RowSource source = RowSource::kValues;
  bool gated = false;                    ///< activations: x is [M][2K], f(gate) · up
  const float* weight = nullptr;         ///< norms: [K]
  const float* bias = nullptr;           ///< norms: [K], or null
  float epsilon = 0.0f;                  ///< norms
  const int32_t* permutation = nullptr;  ///< [K]: result j is value permutation[j]; null: identity
  int outliers = 0;                      ///< trailing columns
  int hadamard = 0;  ///< not 0: blocks of the columns before them are rotated; a power of two
  // The result: bf16 values in PackedDenseActivationLayout, all in k8, where bits is 16 or what is
  // quantized is dequantized at once …
  int bits = 16;
  bool simulated = false;
  /// … else codes in PackedActivationLayout, the outliers in k8. Padding is 0.
  void* to = nullptr;
  // … codes and scales; the outliers are INT8 with a scale of their own.
  int group = 0;           ///< of the columns before them; a multiple of 4, or 0: all of them
  bool two_level = false;  ///< a group's scale is the token's times 1 … 15; bytes are code × that
  float clip = 1.0f;
  TokenScales* tokens = nullptr;  ///< [rows]; outlier_scale is scale where there are no outliers
  float* group_scales = nullptr;  ///< fp16 scales: [groups][rows rounded up to 8]
  int scale_copies = 0;           ///< with group 0: groups that the one scale is written for
};

inline constexpr int kMaxDenseNormColumns = 8192;
/// Norms to 16 bits have a kernel of their own, with the same bits.
constexpr bool IsDenseNorm(const PlainQuantizeCall& call) {
  return (call.source == RowSource::kRmsNorm || call.source == RowSource::kLayerNorm) &&
         call.bits == 16 && call.hadamard == 0 && call.columns <= kMaxDenseNormColumns;
}

/// The launches; plain_quantize.h has the checked one.
cudaError_t EnqueuePlainQuantize(const PlainQuantizeCall& call, cudaStream_t stream);
/// REQUIRES: IsDenseNorm(call).
cudaError_t EnqueueDenseNorm(const PlainQuantizeCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
