// Codes as other programs write them, random: of every kind that a CodeMatrix knows.
#pragma once

#include <cmath>
#include <string>

#include "atom/core/half.h"
#include "atom/core/rng.h"
#include "atom/quant/code_matrix.h"

namespace atom::kernels {

struct CodeFormat {
  std::string name = {};
  int bits = 4;
  DType value = DType::kF32;
  DType scale = DType::kF16;
  bool zeros = false;
  bool offsets = false;
  bool scattered = false;  ///< the groups of inputs are a list
};
inline void PrintTo(const CodeFormat& format, std::ostream* out) { *out << format.name; }

inline std::vector<CodeFormat> CodeFormats() {
  std::vector<CodeFormat> formats;
  for (const int bits : {4, 8}) {
    const auto add = [&](const char* name, CodeFormat format) {
      format.name = name + std::to_string(bits);
      format.bits = bits;
      formats.push_back(format);
    };
    add("centered", {});
    add("zeros", {.zeros = true});
    add("offsets", {.offsets = true});
    add("fp16_", {.value = DType::kF16});
    add("fp16_zeros", {.value = DType::kF16, .zeros = true});
    add("bf16_", {.value = DType::kBF16, .scale = DType::kBF16});
    add("bf16_zeros", {.value = DType::kBF16, .scale = DType::kBF16, .zeros = true});
    add("fp32_zeros", {.scale = DType::kF32, .zeros = true});
    add("fp16_scattered", {.value = DType::kF16, .zeros = true, .scattered = true});
    add("bf16_scattered", {.value = DType::kBF16, .scale = DType::kBF16, .scattered = true});
  }
  return formats;
}

inline quant::CodeMatrix RandomCodes(const CodeFormat& format, int64_t n, int64_t k, int64_t group,
                                     uint64_t seed) {
  Rng rng(seed);
  const int64_t count = n * ((k + group - 1) / group);
  const int64_t range = int64_t{1} << format.bits;
  quant::CodeMatrix matrix;
  matrix.n = n;
  matrix.k = k;
  matrix.bits = format.bits;
  matrix.value = format.value;
  matrix.scale = format.scale;
  matrix.group = group;
  for (int64_t i = 0; i < n * k; ++i)
    matrix.codes.push_back(static_cast<uint8_t>(rng.Below(range)));
  for (int64_t i = 0; i < count; ++i) {
    // Some so small that values are subnormal in fp16, some negative.
    auto scale = static_cast<float>(std::exp2(-20 * rng.Uniform()) * (rng.Below(4) == 0 ? -1 : 1));
    if (format.scale == DType::kF16) scale = ToFloat(ToHalf(scale));
    if (format.scale == DType::kBF16) scale = ToFloat(ToBFloat16(scale));
    matrix.scales.push_back(scale);
    if (format.zeros) matrix.zeros.push_back(static_cast<uint8_t>(rng.Below(range)));
    if (format.offsets) {
      matrix.offsets.push_back(ToFloat(ToHalf(static_cast<float>(rng.Normal()))));
    }
  }
  for (int64_t i = 0; format.scattered && i < k; ++i) {
    matrix.groups_of.push_back(static_cast<int32_t>(rng.Below(matrix.groups())));
  }
  return matrix;
}

}  // namespace atom::kernels
