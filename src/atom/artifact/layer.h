// One decoder layer on the host, quantized or not: what a checkpoint or an artifact gives, what the
// quantizer produces, and what model/ uploads to a backend. Lists of named parts (layer_names.h),
// as the family has them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "atom/artifact/layer_names.h"
#include "atom/core/buffer.h"
#include "atom/core/tensor_view.h"
#include "atom/quant/code_matrix.h"
#include "atom/quant/formats.h"
#include "atom/quant/permutation.h"
#include "atom/quant/quantized_matrix.h"

namespace atom::artifact {

struct LinearShape {
  LinearName name;
  int64_t n = 0;
  int64_t k = 0;
  bool bias = false;
};

struct NormShape {
  NormRole role = NormRole::kInput;
  int64_t width = 0;
  bool bias = false;
  /// Added to the weight of a checkpoint, whose family stores w − offset; artifacts hold sums.
  float weight_offset = 0.0f;
};

/// The router of a mixture of experts: a weight [experts][width] that is never quantized.
struct RouterShape {
  int64_t experts = 0;  ///< 0: the layer is no mixture
  int64_t width = 0;
};

struct SiteShape {
  SiteName name;
  int64_t width = 0;
};

/// What a checkpoint must hold for one layer.
struct LayerShape {
  std::vector<NormShape> norms;
  std::vector<LinearShape> linears;
  RouterShape router = {};
  int64_t kv_heads = 0;
  int64_t head_dim = 0;

  /// REQUIRES: the layer has it.
  const LinearShape& operator[](const LinearName& name) const;
  /// The sites that the linears read, in their order.
  std::vector<SiteShape> Sites() const;
};

/// An unquantized weight [N][K]: a view of a mapped file, or of `owned`.
struct DenseMatrix {
  TensorView view = {};
  Buffer owned = {};
  std::optional<DType> runs_as = std::nullopt;  ///< io::FoundTensor's

  /// A copy that views nothing of a file.
  DenseMatrix Copy() const;
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
  LinearName name = {};
  std::variant<DenseMatrix, PackedMatrix, quant::CodeMatrix> weight = {};
  std::vector<float> bias = {};  ///< [N] or empty

  bool packed() const { return std::holds_alternative<PackedMatrix>(weight); }
  /// Whether it is what another program quantized, as it was read.
  bool coded() const { return std::holds_alternative<quant::CodeMatrix>(weight); }
  int64_t n() const;
  int64_t k() const;
  /// The weight in fp32, [N][K]: codes are dequantized.
  std::vector<float> ToFloats() const;
};

struct HostSite {
  SiteName name;
  quant::Permutation permutation = {};  ///< empty: identity. See GathersAtRunTime
  quant::ActivationFormat format = {};
};

struct HostNorm {
  NormRole role = NormRole::kInput;
  std::vector<float> weight = {};  ///< [width]
  std::vector<float> bias = {};    ///< [width] or empty
};

struct HostLayer {
  HostLayer() = default;
  /// All parts that the shape has, empty.
  explicit HostLayer(const LayerShape& shape);

  // Parts by name. REQUIRES: the layer has it.
  HostLinear& operator[](const LinearName& name);
  const HostLinear& operator[](const LinearName& name) const;
  HostSite& operator[](const SiteName& name);
  const HostSite& operator[](const SiteName& name) const;
  HostNorm& operator[](NormRole role);
  const HostNorm& operator[](NormRole role) const;

  std::vector<HostNorm> norms;
  std::vector<HostLinear> linears;
  std::vector<HostSite> sites;
  std::optional<DenseMatrix> router;  ///< of a mixture of experts
  quant::KvFormat kv;
};

inline constexpr std::string_view kLayersPrefix = "model.layers.";
/// "model.layers.3."
std::string LayerPrefix(int64_t layer);

}  // namespace atom::artifact
