// What the small operations on rows work on; plain data, for host and device code.
// docs/numerics.md, section 4, says what they compute; values are computed in fp32 and rounded
// once, to the type of the output.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/rows/row_type.h"

namespace atom::kernels::cuda {

/// out[t] = table[token of t] · scale, plus positions[position of t + offset] where there are any.
/// A token below 0 is the one that stands in slots[−1 − token] (batch.h, token slots).
struct EmbedCall {
  Rows table;                          ///< [vocabulary][cols]
  Rows learned;                        ///< [positions][cols]; null data: none
  const int32_t* tokens = nullptr;     ///< [rows]
  const int32_t* slots = nullptr;      ///< may be null where no token is below 0
  const int32_t* positions = nullptr;  ///< [rows]; read with learned positions only
  int position_offset = 0;
  int vocabulary = 0;  ///< tokens from there on (padding) get row 0
  float scale = 1.0f;
  Rows out;
  int rows = 0;
  int cols = 0;  ///< even, as all strides
};

/// out[i] = x[rows[i]], or x[i] where `rows` is null: a cast where the types differ.
struct GatherCall {
  Rows x;
  const int32_t* rows = nullptr;
  Rows out;
  int count = 0;
  int cols = 0;  ///< even, as all strides
};

inline constexpr int kMaxNormColumns = 32768;

/// RMSNorm, or LayerNorm with `subtract_mean`: out = norm(x), or out += norm(x) with `add`.
struct NormCall {
  Rows x;
  const float* weight = nullptr;  ///< [cols]
  const float* bias = nullptr;    ///< [cols]; null: none
  float epsilon = 1e-5f;
  bool subtract_mean = false;
  bool add = false;
  Rows out;
  int rows = 0;
  int cols = 0;  ///< even, as all strides, and at most kMaxNormColumns
};

/// x = cap · tanh(x / cap), in place.
struct SoftcapCall {
  Rows x;
  float cap = 0.0f;
  int rows = 0;
  int cols = 0;
};

/// The launches; row_ops.h has the checked ones.
cudaError_t EnqueueEmbed(const EmbedCall& call, cudaStream_t stream);
cudaError_t EnqueueGather(const GatherCall& call, cudaStream_t stream);
cudaError_t EnqueueNorm(const NormCall& call, cudaStream_t stream);
cudaError_t EnqueueSoftcap(const SoftcapCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
