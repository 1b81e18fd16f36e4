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

/// How a call is computed. Plain data.
struct S4GemmPlan {
  int token_tiles = 0;
  int output_tiles = 0;
  int k_blocks = 0;     ///< of 128 low-bit or 64 outlier columns
  bool native = false;  ///< the card multiplies 4-bit integers itself
};

namespace s4 {

inline constexpr int kThreads = 256;    ///< 8 warps of 64 tokens × 32 outputs
inline constexpr int kTile = 128;       ///< tokens and outputs of a CTA
inline constexpr int kBlockBytes = 64;  ///< of a row in a stage
inline constexpr int kStages = 4;
inline constexpr int kOperandBytes = kTile * kBlockBytes;
inline constexpr int kStageBytes = 2 * kOperandBytes;
inline constexpr int kSharedBytes = kStages * kStageBytes;

/// The launch; s4_gemm.h has the checked one.
cudaError_t EnqueueGemm(const S4GemmCall& call, const S4GemmPlan& plan, cudaStream_t stream);

}  // namespace s4

}  // namespace atom::kernels::cuda
