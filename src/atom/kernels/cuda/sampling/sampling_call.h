// What sampling and log-probabilities on the device work on; plain data, for host and device code.
// Logits are fp32 rows on the device; all other pointers are device memory too.
#pragma once

#include <cstdint>

#include "atom/kernels/log_probs.h"
#include "atom/kernels/sampling.h"

namespace atom::kernels::cuda {

/// Tokens of the largest vocabulary: 32 segments (log_probs.cu), a lane of a warp for each.
inline constexpr int kMaxVocabulary = 1 << 18;
/// Most likeliest tokens that a query may ask for.
inline constexpr int kMaxTop = 32;

struct LogitRows {
  const float* data = nullptr;
  int64_t stride = 0;  ///< elements from row to row
  int vocabulary = 0;
};

/// A row's SamplingParams, its edits and mask as ranges of SampleCall's arrays.
struct TokenChoice {
  double uniform = 0.0;
  float temperature = 0.0f;
  int32_t top_k = 0;
  float top_p = 1.0f;
  float min_p = 0.0f;
  int32_t row = 0;    ///< of the logits
  int32_t slot = -1;  ///< of SampleCall::slots, or -1
  int32_t first_edit = 0;
  int32_t edits = 0;
  int32_t first_word = 0;  ///< of the mask
  int32_t words = 0;       ///< 0: every token is allowed
};

struct SampleCall {
  LogitRows logits;
  const TokenChoice* choices = nullptr;
  int rows = 0;  ///< choices
  const LogitEdit* edits = nullptr;
  const uint64_t* allowed = nullptr;
  int32_t* tokens = nullptr;   ///< by row of the logits
  int32_t* slots = nullptr;    ///< token slots; may be null where no choice names one
  float* workspace = nullptr;  ///< SampleWorkspaceBytes()
};

/// As kernels::LogProbQuery; a target below 0 is the token that was chosen for the row.
struct DeviceQuery {
  int32_t row = 0;
  int32_t target = 0;
  int32_t top = 0;
};

struct LogProbCall {
  LogitRows logits;
  const DeviceQuery* queries = nullptr;
  int count = 0;
  const int32_t* tokens = nullptr;  ///< by row, for targets below 0
  std::byte* workspace = nullptr;   ///< LogProbWorkspaceBytes()
  float* targets = nullptr;         ///< [count] log softmax of the target
  TokenValue* top = nullptr;        ///< [count][top_stride], in order of falling probability
  int top_stride = kMaxTop;
  double* losses = nullptr;  ///< [count] minus the target's, or null
};

}  // namespace atom::kernels::cuda
