#include "atom/io/gguf/gguf_rope.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "atom/io/quote.h"

namespace atom::io {
namespace {

constexpr double kLowFactor = 1.0;
constexpr double kHighFactor = 4.0;
constexpr int64_t kOriginalContext = 8192;
constexpr double kTolerance = 1e-5;  // divisors were computed in fp32

// The divisor of pair i of `pairs`: 1 for short wavelengths, `factor` for long ones, smooth
// between.
double Llama3Divisor(double theta, size_t i, size_t pairs, double factor) {
  const double frequency = std::pow(theta, -static_cast<double>(i) / static_cast<double>(pairs));
  const double turns = kOriginalContext * frequency / (2 * std::numbers::pi);
  if (turns > kHighFactor) return 1.0;
  if (turns < kLowFactor) return factor;
  const double smooth = (turns - kLowFactor) / (kHighFactor - kLowFactor);
  return 1.0 / ((1.0 - smooth) / factor + smooth);
}

Result<Json> FromDivisors(const GgufFile& file, const GgufTensor& tensor, double theta) {
  if (tensor.type->read_dtype() != DType::kF32 || tensor.type->dequantize != nullptr ||
      tensor.shape.size() != 1) {
    return MakeError("{}: tensor {} is {} {}, expected one axis of F32", file.source(),
                     Quote(tensor.name), tensor.type->name, ShapeString(tensor.shape));
  }
  const std::vector<float> divisors = ToFloats({DType::kF32, tensor.shape, tensor.data.data()});
  const auto factor = static_cast<double>(divisors.back());  // of the longest wavelength
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double expected = Llama3Divisor(theta, i, divisors.size(), factor);
    if (std::abs(divisors[i] - expected) <= kTolerance * expected) continue;
    return MakeError(
        "{}: tensor {} holds {} at element {}, expected {}: the rule of Llama 3.1, the "
        "only one known",
        file.source(), Quote(tensor.name), divisors[i], i, expected);
  }
  if (factor == 1.0) return Json();
  return Json{{"rope_type", "llama3"},
              {"factor", factor},
              {"low_freq_factor", kLowFactor},
              {"high_freq_factor", kHighFactor},
              {"original_max_position_embeddings", kOriginalContext}};
}

}  // namespace

Result<Json> GgufRopeScaling(const GgufFile& file, const GgufArchitecture& architecture) {
  const auto key = [&](std::string_view name) {
    return fmt::format("{}.rope.{}", architecture.name, name);
  };
  const Result<std::optional<double>> theta = OptionalNumber(file, key("freq_base"));
  if (!theta.ok()) return theta.error();
  const Result<std::optional<std::string>> kind = OptionalString(file, key("scaling.type"));
  if (!kind.ok()) return kind.error();
  const Result<std::optional<double>> factor = OptionalNumber(file, key("scaling.factor"));
  if (!factor.ok()) return factor.error();
  const Result<std::optional<double>> old_factor = OptionalNumber(file, key("scale_linear"));
  if (!old_factor.ok()) return old_factor.error();

  const bool by_key = kind->has_value() ? **kind != "none" : old_factor->value_or(1.0) != 1.0;
  const GgufTensor* divisors = file.FindTensor(kGgufRopeFactors);
  if (by_key && divisors != nullptr) {
    return MakeError("{}: has both key {} and tensor {}, expected one of them", file.source(),
                     Quote(key("scaling.type")), Quote(kGgufRopeFactors));
  }
  if (divisors != nullptr) return FromDivisors(file, *divisors, theta->value_or(10000.0));
  if (!by_key) return Json();
  return Json{{"rope_type", kind->value_or("linear")},
              {"factor", factor->value_or(old_factor->value_or(1.0))}};
}

}  // namespace atom::io
