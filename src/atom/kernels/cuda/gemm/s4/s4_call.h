// What the s4 GEMM works on; plain data, for host and device code. Operands are plain rows, nibbles
// in two's complement, the even column in the low one:
//
//   x4 [M][K4/2]  x8 [M][K8]   group scales [K4/G][token_stride] fp32, outlier scales [M] fp32
//   w4 [N][K4/2]  w8 [N][K8]   group scales [K4/G][N] fp16,            outlier scales [N] fp16
#pragma once

#include <cstdint>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/rows/row_type.h"

namespace atom::kernels::cuda {

/// Rows of codes begin 16-byte aligned, `stride` bytes apart (a multiple of 16).
struct CodeRows {
  const uint8_t* data = nullptr;
  int64_t stride = 0;
};

struct S4GemmCall {
  int m = 0;
  int n = 0;
  int k4 = 0;     ///< a multiple of the group
  int k8 = 0;     ///< outlier columns, a multiple of 16; at most 131,072
  int group = 0;  ///< a multiple of 64
  CodeRows x4, x8, w4, w8;
  const float* x_scales = nullptr;
  int64_t token_stride = 0;
  const float* x_outlier_scales = nullptr;
  const __half* w_scales = nullptr;
  const __half* w_outlier_scales = nullptr;
  const float* bias = nullptr;  ///< [N]; null: none
  Rows y;                       ///< [M][N]
  bool add = false;             ///< y += result
};

namespace s4 {
/// The launch; s4_gemm.h has the checked one.
cudaError_t EnqueueGemm(const S4GemmCall& call, cudaStream_t stream);
}  // namespace s4

}  // namespace atom::kernels::cuda
