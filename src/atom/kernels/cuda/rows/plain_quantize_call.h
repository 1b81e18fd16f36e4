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
  // The result: bf16 values in PackedDenseActivationLayout where bits is 16 …
  int bits = 16;
  void* to = nullptr;  ///< else codes in PackedActivationLayout; both with m = rows, k4 = 0, k8 = K
  // … else codes and scales.
  int outliers = 0;  ///< trailing columns, INT8 with a scale of their own
  int group = 0;     ///< of the columns before them; a multiple of 4, or 0: all of them
  float clip = 1.0f;
  TokenScales* tokens =
      nullptr;  ///< [rows]: outlier_scale is the only scale where there is no other
  float* group_scales = nullptr;  ///< [groups][rows rounded up to 8]
  int scale_copies = 0;           ///< with group 0: groups that the one scale is written for
};

/// The launch; plain_quantize.h has the checked one.
cudaError_t EnqueuePlainQuantize(const PlainQuantizeCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
