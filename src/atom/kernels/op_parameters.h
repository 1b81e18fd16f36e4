// What the ops of a Backend are parameterized by, so that one op serves many families of decoders:
// kinds of norms, activation functions, routers, embeddings, rotary embeddings, attention. Plain
// data; model/ fills it in from a ModelSpec. docs/numerics.md, section 4, has the formulas.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "atom/core/dtype.h"

namespace atom::kernels {

class DeviceBuffer;

enum class NormKind {
  kRms,    ///< x / sqrt(mean(x²) + eps) · weight (Zhang and Sennrich, 2019)
  kLayer,  ///< (x − mean(x)) / sqrt(var(x) + eps) · weight + bias (Ba, Kiros and Hinton, 2016)
};
std::string_view Name(NormKind kind);  ///< "rms", "layer"

enum class ActivationFunction {
  kSilu,      ///< x / (1 + exp(−x)), also called swish
  kGelu,      ///< x · Φ(x), Φ the normal distribution (Hendrycks and Gimpel, 2016)
  kGeluTanh,  ///< its approximation by tanh: "gelu_new", "gelu_pytorch_tanh"
  kRelu,      ///< max(x, 0)
};
inline constexpr int kActivationFunctions = 4;
std::string_view Name(ActivationFunction function);  ///< "silu", "gelu", "gelu_tanh", "relu"

/// How rows choose among the experts of a mixture (Shazeer et al., 2017).
struct RouterShape {
  int64_t experts = 0;
  int64_t top_k = 0;         ///< experts of a row, 1 to `experts`
  bool renormalize = false;  ///< the weights of a row's experts add up to 1
  friend bool operator==(const RouterShape&, const RouterShape&) = default;
};

/// A norm's weights on the device.
struct DeviceNorm {
  const DeviceBuffer* weight = nullptr;  ///< [K] fp32, in the model's own channel order
  float eps = 1e-5f;
  NormKind kind = NormKind::kRms;
  const DeviceBuffer* bias = nullptr;  ///< [K] fp32, or null: none
};

/// RMSNorm weights over the channels of single heads, before RoPE: Qwen3's, Gemma 3's.
struct HeadNorms {
  const DeviceBuffer* q = nullptr;  ///< [head_dim] fp32, or null: none
  const DeviceBuffer* k = nullptr;
  float eps = 1e-6f;
};

/// Rows of tokens, scaled, and of positions, added where a model has learned them.
struct DeviceEmbedding {
  const DeviceBuffer* table = nullptr;  ///< [vocab][hidden] of `dtype`
  DType dtype = DType::kF32;
  float scale = 1.0f;
  const DeviceBuffer* positions = nullptr;  ///< [rows][hidden] of `dtype`, or null
  int64_t position_offset = 0;              ///< position p has row p + position_offset
};

/// Rotary embedding (Su et al., 2021): cos and sin of every position, [positions][2][rotary_dim/2]
/// fp32, cos first. Channel i of a head is rotated with channel i + rotary_dim/2; channels from
/// rotary_dim on stay.
struct RopeTable {
  const DeviceBuffer* table = nullptr;  ///< null: nothing is rotated
  int64_t positions = 0;
  int64_t rotary_dim = 0;  ///< even, at most head_dim
};

/// Query, key and value rows of a step: heads * head_dim columns each.
struct AttentionShape {
  int64_t heads = 0;  ///< query heads; a multiple of kv_heads
  int64_t kv_heads = 0;
  int64_t head_dim = 0;  ///< even
  /// What q·k is divided by; 0 means sqrt(head_dim).
  float score_divisor = 0.0f;
  /// Scores become softcap · tanh(score / softcap); 0 leaves them.
  float softcap = 0.0f;
  /// Sliding window: a query sees the last `window` positions, its own included; 0 means all.
  int64_t window = 0;

  float ScoreDivisor() const;
  /// The first position that a query at `position` sees.
  int64_t FirstVisible(int64_t position) const {
    return window == 0 || position < window ? 0 : position - window + 1;
  }
  friend bool operator==(const AttentionShape&, const AttentionShape&) = default;
};

}  // namespace atom::kernels
