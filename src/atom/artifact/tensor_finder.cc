#include "atom/artifact/tensor_finder.h"

#include <algorithm>
#include <array>

#include "atom/artifact/finite.h"
#include "atom/io/quote.h"
#include "atom/io/stored_codes.h"
#include "atom/quant/two_level.h"

namespace atom::artifact {
namespace {

constexpr std::array kWeightTypes = {DType::kF32, DType::kF16, DType::kBF16};

// "F16 [8, 4]", "F32 or F16 or BF16 [8]"
std::string Describe(std::span<const DType> dtypes, const Shape& shape) {
  std::string text;
  for (const DType dtype : dtypes) {
    text += (text.empty() ? "" : " or ") + std::string(DTypeName(dtype));
  }
  return text + " " + ShapeString(shape);
}

}  // namespace

Result<FoundTensor> TensorFinder::RequireOneOf(const std::string& name,
                                               std::span<const DType> dtypes,
                                               const Shape& shape) const {
  std::optional<FoundTensor> found = source_.Find(name);
  if (!found) {
    return MakeError("{}: tensor {} is missing, expected {}", source(), io::Quote(name),
                     Describe(dtypes, shape));
  }
  const TensorView& view = found->view;
  const bool known = std::find(dtypes.begin(), dtypes.end(), view.dtype) != dtypes.end();
  if (!known || view.shape != shape) {
    return MakeError("{}: tensor {} is {}, expected {}", *found->file, io::Quote(name),
                     Describe(std::span(&view.dtype, 1), view.shape), Describe(dtypes, shape));
  }
  return *std::move(found);
}

Result<FoundTensor> TensorFinder::Require(const std::string& name, DType dtype,
                                          const Shape& shape) const {
  return RequireOneOf(name, std::span(&dtype, 1), shape);
}

Result<FoundTensor> TensorFinder::RequireWeight(const std::string& name, const Shape& shape) const {
  Result<FoundTensor> found = RequireOneOf(name, kWeightTypes, shape);
  if (!found.ok()) return found;
  const Status finite = CheckFinite(found->view, name, *found->file);
  if (!finite.ok()) return finite.error();
  return found;
}

std::optional<quant::CodeMatrix> TensorFinder::FindCodes(const std::string& name, int64_t n,
                                                         int64_t k) const {
  std::optional<io::StoredCodes> found = source_.FindCodes(name);
  if (!found || found->n != n || found->k != k) return std::nullopt;
  quant::CodeMatrix codes{.n = n,
                          .k = k,
                          .bits = found->bits,
                          .value = found->value,
                          .scale = found->scale,
                          .codes = std::move(found->codes),
                          .scales = std::move(found->scales),
                          .zeros = std::move(found->zeros),
                          .offsets = std::move(found->offsets),
                          .group = found->group,
                          .groups_of = std::move(found->groups_of)};
  if (!codes.AllFinite()) return std::nullopt;
  return codes;
}

Result<FoundTensor> TensorFinder::RequireScales(const std::string& name, const Shape& shape) const {
  Result<FoundTensor> found = Require(name, DType::kF16, shape);
  if (!found.ok()) return found;
  const int64_t bad = FirstBadScale(found->view);
  if (bad < 0) return found;
  float value = 0.0f;
  ReadFloats(found->view, bad, std::span(&value, 1));
  return MakeError("{}: tensor {}: element {} is {}, expected scales that are finite and positive",
                   *found->file, io::Quote(name), PositionString(shape, bad), value);
}

Result<FoundTensor> TensorFinder::RequireRowScales(const std::string& name, int64_t n) const {
  Result<FoundTensor> found = Require(name, DType::kF32, {n});
  if (!found.ok()) return found;
  for (int64_t row = 0; row < n; ++row) {
    float value = 0.0f;
    ReadFloats(found->view, row, std::span(&value, 1));
    if (quant::IsRowScale(value)) continue;
    return MakeError(
        "{}: tensor {}: element [{}] is {}, expected row scales that are finite and positive, of "
        "12 significant bits",
        *found->file, io::Quote(name), row, value);
  }
  return found;
}

Result<FoundTensor> TensorFinder::RequireMultipliers(const std::string& name, int64_t groups,
                                                     int64_t n) const {
  Result<FoundTensor> found = Require(name, DType::kU8, {groups, (n + 1) / 2});
  if (!found.ok()) return found;
  const auto* bytes = reinterpret_cast<const uint8_t*>(found->view.data);
  for (int64_t i = 0; i < found->view.elements(); ++i) {
    const int64_t row = i % ((n + 1) / 2) * 2;
    const bool padded = row + 1 == n;  // an odd n leaves a nibble over
    const bool low = (bytes[i] & 15) != 0;
    const bool high = bytes[i] >> 4 != 0;
    if (low && high != padded) continue;
    return MakeError("{}: tensor {}: byte {} is {:#04x}, expected multipliers of 1 to 15{}",
                     *found->file, io::Quote(name), PositionString(found->view.shape, i), bytes[i],
                     padded ? " and nothing behind the last" : "");
  }
  return found;
}

Result<std::vector<float>> TensorFinder::RequireFloats(const std::string& name,
                                                       int64_t size) const {
  const Result<FoundTensor> found = RequireWeight(name, {size});
  if (!found.ok()) return found.error();
  return ToFloats(found->view);
}

Status TensorFinder::Refuse(const std::string& name, const std::string& why) const {
  const std::optional<FoundTensor> found = source_.Find(name);
  if (!found) return {};
  return MakeError("{}: tensor {} is there, expected none: {}", *found->file, io::Quote(name), why);
}

Status TensorFinder::RefuseUnlessZero(const std::string& name, const std::string& why) const {
  const std::optional<FoundTensor> found = source_.Find(name);
  if (found && IsFloatWeight(found->view.dtype)) {
    const std::vector<float> values = ToFloats(found->view);
    if (std::ranges::all_of(values, [](float value) { return value == 0.0f; })) return {};
  }
  return Refuse(name, why);
}

}  // namespace atom::artifact
