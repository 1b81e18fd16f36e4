// One decoder layer on the host, quantized or not: what a checkpoint or an artifact gives, what the
// quantizer produces, and what model/ uploads to a backend. Names are those of Hugging Face.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "atom/core/buffer.h"
#include "atom/core/tensor_view.h"
#include "atom/quant/formats.h"
#include "atom/quant/permutation.h"
#include "atom/quant/quantized_matrix.h"

namespace atom::artifact {

/// The linears of a layer.
enum class LinearId { kQ, kK, kV, kO, kGate, kUp, kDown };
inline constexpr std::array kLinears = {LinearId::kQ,   LinearId::kK,    LinearId::kV,
                                        LinearId::kO,   LinearId::kGate, LinearId::kUp,
                                        LinearId::kDown};
std::string_view Name(LinearId id);  ///< "self_attn.q_proj", …

/// The edges between a producer and the linears that read it; each has one permutation and one
/// activation format.
///
///   input_layernorm ─ kQkv ─ q,k,v      attention ─ kO ─ o
///   post_attention_layernorm ─ kGateUp ─ gate,up      silu(gate)·up ─ kDown ─ down
enum class EdgeId { kQkv, kO, kGateUp, kDown };
inline constexpr std::array kEdges = {EdgeId::kQkv, EdgeId::kO, EdgeId::kGateUp, EdgeId::kDown};
std::string_view Name(EdgeId id);  ///< "qkv", "o", "gate_up", "down"
EdgeId InputEdge(LinearId id);

struct LinearShape {
  int64_t n = 0;
  int64_t k = 0;
  bool bias = false;
};

/// What a checkpoint must hold for one layer.
struct LayerShape {
  int64_t hidden = 0;
  std::array<LinearShape, kLinears.size()> linears;
  const LinearShape& operator[](LinearId id) const { return linears[static_cast<size_t>(id)]; }
};

/// An unquantized weight [N][K]: a view of a mapped file, or of `owned`.
struct DenseMatrix {
  TensorView view;
  Buffer owned;

  static DenseMatrix FromFloats(std::span<const float> values, int64_t n, int64_t k);  ///< F32
  static DenseMatrix FromHalves(std::span<const float> values, int64_t n, int64_t k);  ///< to F16
};

/// A quantized weight: codes and scales each a view of a mapped file, or of `owned`.
struct PackedMatrix {
  /// Views all of `matrix`.
  PackedMatrix(quant::QuantizedMatrix matrix)  // NOLINT: what the quantizer gives is a weight
      : owned(std::move(matrix)), view(owned) {}
  PackedMatrix(PackedMatrix&&) = default;
  PackedMatrix& operator=(PackedMatrix&&) = default;

  quant::QuantizedMatrix owned;
  quant::QuantizedView view;
};

struct HostLinear {
  std::variant<DenseMatrix, PackedMatrix> weight;
  std::vector<float> bias;  ///< [N] or empty

  bool packed() const { return std::holds_alternative<PackedMatrix>(weight); }
  int64_t n() const;
  int64_t k() const;
  /// The weight in fp32, [N][K]: packed codes are dequantized.
  std::vector<float> ToFloats() const;
};

struct HostEdge {
  quant::Permutation permutation;  ///< empty: identity. kDown's was applied to gate's and up's rows
  quant::ActivationFormat format;
};

struct HostLayer {
  std::vector<float> input_norm;  ///< [hidden]
  std::vector<float> post_norm;   ///< [hidden]
  std::array<HostLinear, kLinears.size()> linears;
  std::array<HostEdge, kEdges.size()> edges;
  quant::KvFormat kv;

  HostLinear& operator[](LinearId id) { return linears[static_cast<size_t>(id)]; }
  const HostLinear& operator[](LinearId id) const { return linears[static_cast<size_t>(id)]; }
  HostEdge& operator[](EdgeId id) { return edges[static_cast<size_t>(id)]; }
  const HostEdge& operator[](EdgeId id) const { return edges[static_cast<size_t>(id)]; }
};

/// "model.layers.3."
std::string LayerPrefix(int64_t layer);

}  // namespace atom::artifact
