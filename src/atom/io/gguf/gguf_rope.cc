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

Result<std::vector<float>> ReadFactors(const GgufFile& file, const GgufTensor& tensor) {
  if (tensor.type->read_dtype() != DType::kF32 || tensor.type->dequantize != nullptr ||
      tensor.shape.size() != 1) {
    return MakeError("{}: tensor {} is {} {}, expected one axis of F32", file.source(),
                     Quote(tensor.name), tensor.type->name, ShapeString(tensor.shape));
  }
  return ToFloats({DType::kF32, tensor.shape, tensor.data.data()});
}

Result<Json> FromDivisors(const GgufFile& file, const GgufTensor& tensor, double theta) {
  const Result<std::vector<float>> read = ReadFactors(file, tensor);
  if (!read.ok()) return read.error();
  const std::vector<float>& divisors = *read;
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

// Phi-3's: both tables or none; the original context is outside of it.
Result<Json> LongRope(const GgufFile& file, const std::string& attention_key) {
  const GgufTensor* tables[] = {file.FindTensor(kGgufShortFactors),
                                file.FindTensor(kGgufLongFactors)};
  if (tables[0] == nullptr && tables[1] == nullptr) return Json();
  if (tables[0] == nullptr || tables[1] == nullptr) {
    return MakeError("{}: has one of tensors {} and {}, expected both or none", file.source(),
                     Quote(kGgufShortFactors), Quote(kGgufLongFactors));
  }
  const Result<std::vector<float>> short_factors = ReadFactors(file, *tables[0]);
  if (!short_factors.ok()) return short_factors.error();
  const Result<std::vector<float>> long_factors = ReadFactors(file, *tables[1]);
  if (!long_factors.ok()) return long_factors.error();
  Json scaling = {
      {"rope_type", "longrope"}, {"short_factor", *short_factors}, {"long_factor", *long_factors}};
  const Result<std::optional<double>> attention = OptionalNumber(file, attention_key);
  if (!attention.ok()) return attention.error();
  if (attention->has_value()) scaling["attention_factor"] = **attention;
  return scaling;
}

}  // namespace

Result<Json> GgufRopeScaling(const GgufFile& file, const GgufArchitecture& architecture) {
  const auto key = [&](std::string_view name) {
    return fmt::format("{}.rope.{}", architecture.name, name);
  };
  if (architecture.phi3) return LongRope(file, key("scaling.attn_factor"));
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
  Json scaling = {{"rope_type", kind->value_or("linear")},
                  {"factor", factor->value_or(old_factor->value_or(1.0))}};
  const Result<std::optional<int64_t>> original =
      OptionalInt(file, key("scaling.original_context_length"));
  if (!original.ok()) return original.error();
  if (scaling["rope_type"] == "yarn" && original->has_value()) {
    scaling["original_max_position_embeddings"] = **original;
  }
  return scaling;
}

}  // namespace atom::io
