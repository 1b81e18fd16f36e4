#include "atom/artifact/layer.h"

#include <algorithm>
#include <cstring>

#include "atom/core/check.h"

namespace atom::artifact {
namespace {

std::string Describe(const LinearName& name) { return "linear " + ToString(name); }
std::string Describe(const SiteName& name) { return "site " + ToString(name); }
std::string Describe(NormRole role) { return "norm " + std::string(ModulePath(role)); }

// The part of a list that is called `name`, which is a member of T: found by few comparisons, for
// lists are short and forward passes do not ask.
template <class Parts, class T, class Name>
auto& Find(Parts& parts, Name T::*member, const Name& name) {
  const auto found =
      std::find_if(parts.begin(), parts.end(), [&](const T& part) { return part.*member == name; });
  ATOM_CHECK(found != parts.end(), "the layer has no {}", Describe(name));
  return *found;
}

}  // namespace

const LinearShape& LayerShape::operator[](const LinearName& name) const {
  return Find(linears, &LinearShape::name, name);
}

std::vector<SiteShape> LayerShape::Sites() const {
  std::vector<SiteShape> sites;
  for (const LinearShape& linear : linears) {
    const SiteName name = InputSite(linear.name);
    const auto known = std::find_if(sites.begin(), sites.end(),
                                    [&](const SiteShape& site) { return site.name == name; });
    if (known == sites.end()) {
      sites.push_back({name, linear.k});
    } else {
      ATOM_CHECK(known->width == linear.k, "site {}: {} and {} inputs", ToString(name),
                 known->width, linear.k);
    }
  }
  return sites;
}

HostLayer::HostLayer(const LayerShape& shape) {
  for (const NormShape& norm : shape.norms) norms.push_back({.role = norm.role});
  for (const LinearShape& linear : shape.linears) {
    linears.push_back({.name = linear.name});
  }
  for (const SiteShape& site : shape.Sites()) {
    sites.push_back({.name = site.name});
  }
}

HostLinear& HostLayer::operator[](const LinearName& name) {
  return Find(linears, &HostLinear::name, name);
}
const HostLinear& HostLayer::operator[](const LinearName& name) const {
  return Find(linears, &HostLinear::name, name);
}
HostSite& HostLayer::operator[](const SiteName& name) { return Find(sites, &HostSite::name, name); }
const HostSite& HostLayer::operator[](const SiteName& name) const {
  return Find(sites, &HostSite::name, name);
}
HostNorm& HostLayer::operator[](NormRole role) { return Find(norms, &HostNorm::role, role); }
const HostNorm& HostLayer::operator[](NormRole role) const {
  return Find(norms, &HostNorm::role, role);
}

DenseMatrix DenseMatrix::Copy() const {
  DenseMatrix copy;
  copy.owned = Buffer(static_cast<size_t>(view.bytes()));
  if (view.bytes() > 0) std::memcpy(copy.owned.data(), view.data, copy.owned.size());
  copy.view = TensorView{view.dtype, view.shape, copy.owned.data()};
  return copy;
}

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
  if (coded()) return std::get<quant::CodeMatrix>(weight).n;
  return std::get<DenseMatrix>(weight).view.dim(0);
}

int64_t HostLinear::k() const {
  if (packed()) return std::get<PackedMatrix>(weight).view.k();
  if (coded()) return std::get<quant::CodeMatrix>(weight).k;
  return std::get<DenseMatrix>(weight).view.dim(1);
}

std::vector<float> HostLinear::ToFloats() const {
  if (coded()) {
    const auto& codes = std::get<quant::CodeMatrix>(weight);
    const Buffer values = codes.Dequantize();
    return atom::ToFloats(TensorView{codes.value, {codes.n, codes.k}, values.data()});
  }
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

std::string LayerPrefix(int64_t layer) { return fmt::format("{}{}.", kLayersPrefix, layer); }

}  // namespace atom::artifact
