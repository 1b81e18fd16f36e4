#include "atom/artifact/layer.h"

#include <cstring>

#include "atom/core/check.h"

namespace atom::artifact {
namespace {

struct LinearRow {
  LinearId id;
  std::string_view name;
  EdgeId input;
};
constexpr std::array kLinearTable = {
    LinearRow{LinearId::kQ, "self_attn.q_proj", EdgeId::kQkv},
    LinearRow{LinearId::kK, "self_attn.k_proj", EdgeId::kQkv},
    LinearRow{LinearId::kV, "self_attn.v_proj", EdgeId::kQkv},
    LinearRow{LinearId::kO, "self_attn.o_proj", EdgeId::kO},
    LinearRow{LinearId::kGate, "mlp.gate_proj", EdgeId::kGateUp},
    LinearRow{LinearId::kUp, "mlp.up_proj", EdgeId::kGateUp},
    LinearRow{LinearId::kDown, "mlp.down_proj", EdgeId::kDown},
};

struct EdgeRow {
  EdgeId id;
  std::string_view name;
};
constexpr std::array kEdgeTable = {EdgeRow{EdgeId::kQkv, "qkv"}, EdgeRow{EdgeId::kO, "o"},
                                   EdgeRow{EdgeId::kGateUp, "gate_up"},
                                   EdgeRow{EdgeId::kDown, "down"}};

const LinearRow& Find(LinearId id) { return kLinearTable.at(static_cast<size_t>(id)); }

}  // namespace

std::string_view Name(LinearId id) { return Find(id).name; }
EdgeId InputEdge(LinearId id) { return Find(id).input; }
std::string_view Name(EdgeId id) { return kEdgeTable.at(static_cast<size_t>(id)).name; }

DenseMatrix DenseMatrix::FromFloats(std::span<const float> values, int64_t n, int64_t k) {
  ATOM_CHECK(static_cast<int64_t>(values.size()) == n * k, "{} values for {} x {}", values.size(),
             n, k);
  DenseMatrix matrix;
  matrix.owned = Buffer(values.size_bytes());
  std::memcpy(matrix.owned.data(), values.data(), values.size_bytes());
  matrix.view = TensorView{DType::kF32, {n, k}, matrix.owned.data()};
  return matrix;
}

DenseMatrix DenseMatrix::FromHalves(std::span<const float> values, int64_t n, int64_t k) {
  ATOM_CHECK(static_cast<int64_t>(values.size()) == n * k, "{} values for {} x {}", values.size(),
             n, k);
  DenseMatrix matrix;
  matrix.owned = Buffer(values.size() * sizeof(Half));
  const std::span<Half> halves = matrix.owned.As<Half>();
  for (size_t i = 0; i < values.size(); ++i) halves[i] = ToHalf(values[i]);
  matrix.view = TensorView{DType::kF16, {n, k}, matrix.owned.data()};
  return matrix;
}

int64_t HostLinear::n() const {
  if (packed()) return std::get<PackedMatrix>(weight).view.n;
  return std::get<DenseMatrix>(weight).view.dim(0);
}

int64_t HostLinear::k() const {
  if (packed()) return std::get<PackedMatrix>(weight).view.k();
  return std::get<DenseMatrix>(weight).view.dim(1);
}

std::vector<float> HostLinear::ToFloats() const {
  if (!packed()) return atom::ToFloats(std::get<DenseMatrix>(weight).view);
  const quant::QuantizedView& matrix = std::get<PackedMatrix>(weight).view;
  std::vector<float> values(static_cast<size_t>(matrix.n * matrix.k()));
  const auto columns = static_cast<size_t>(matrix.k());
  for (int64_t row = 0; row < matrix.n; ++row) {
    matrix.DequantizeRow(row,
                         std::span(values).subspan(static_cast<size_t>(row) * columns, columns));
  }
  return values;
}

std::string LayerPrefix(int64_t layer) { return fmt::format("model.layers.{}.", layer); }

}  // namespace atom::artifact
