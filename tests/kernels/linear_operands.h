// Linears of every format and shape on the host, with random operands, and how a device gets them:
// what the tests of Linear and of GroupedLinear share.
#pragma once

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "atom/quant/two_level.h"

#include "device_under_test.h"

namespace atom::kernels {

using quant::ActivationFormat;
using quant::QuantizedMatrix;

/// K4 = 0 is W8A8.
struct KShape {
  int64_t k4 = 0;
  int64_t k8 = 0;
  int64_t group = 0;
};

struct LinearFormat {
  std::string name;
  std::optional<DType> dense_weight;  // unquantized then
  int activation_bits = 16;
  bool per_token = true;  // one scale a token instead of one a group
  bool outliers_apart = true;
  std::vector<KShape> shapes;
  bool two_level = false;  // weight scales, and those of activations with groups
};

inline void PrintTo(const LinearFormat& format, std::ostream* out) { *out << format.name; }

inline const std::vector<KShape> kGrouped = {{384, 128, 128}, {128, 44, 128}, {256, 100, 128},
                                             {128, 0, 128},   {96, 4, 32},    {64, 5, 32},
                                             {48, 1, 16}};
inline const std::vector<KShape> kPerChannel = {
    {192, 64, 192}, {192, 0, 192}, {130, 10, 130}, {2, 1, 2}};
inline const std::vector<KShape> kEight = {{0, 128, 0}, {0, 44, 0}, {0, 300, 0}, {0, 7, 0}};
inline const std::vector<KShape> kDense = {
    {0, 512, 0}, {0, 300, 0}, {0, 64, 0}, {0, 7, 0}, {0, 1, 0}};

inline std::vector<LinearFormat> LinearFormats() {
  return {
      {"w4a4_groups", {}, 4, false, true, kGrouped},
      {"w4a4_per_channel", {}, 4, true, true, kPerChannel},
      {"w4a8", {}, 8, true, true, kGrouped},
      {"w4a8_groups", {}, 8, false, true, kGrouped},
      {"w8a8", {}, 8, true, false, kEight},
      {"w4a4_two_level", {}, 4, false, true, kGrouped, true},
      {"w4a4_two_level_per_token", {}, 4, true, true, kGrouped, true},
      {"w4a8_two_level", {}, 8, true, true, kGrouped, true},
      {"w4a16_two_level", {}, 16, true, true, kGrouped, true},
      {"w4a16", {}, 16, true, true, kGrouped},
      {"w4a16_per_channel", {}, 16, true, true, kPerChannel},
      {"w8a16", {}, 16, true, true, kEight},
      {"dense_f32", DType::kF32, 16, true, true, kDense},
      {"dense_f16", DType::kF16, 16, true, true, kDense},
      {"dense_bf16", DType::kBF16, 16, true, true, kDense},
  };
}

/// One linear on the host. The dense weight has values that its type holds exactly.
struct Operands {
  ActivationFormat format;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  std::vector<float> x;                   // [M][K]
  std::optional<QuantizedMatrix> packed;  // or
  std::vector<float> dense;               // [N][K]
  DType dense_type = DType::kF32;
  std::vector<float> bias;  // [N] or empty
};

inline std::vector<std::byte> ToBytes(const std::vector<float>& values, DType dtype) {
  std::vector<std::byte> bytes;
  const auto append = [&](auto element) {
    const auto* from = reinterpret_cast<const std::byte*>(&element);
    bytes.insert(bytes.end(), from, from + sizeof(element));
  };
  for (const float value : values) {
    if (dtype == DType::kF32) append(value);
    if (dtype == DType::kF16) append(ToHalf(value));
    if (dtype == DType::kBF16) append(ToBFloat16(value));
  }
  return bytes;
}

inline ActivationFormat FormatFor(const LinearFormat& format, const KShape& shape) {
  ActivationFormat activation;
  activation.bits = format.activation_bits;
  if (activation.bits == 16) return activation;
  activation.group = format.per_token ? 0 : shape.group;
  if (format.two_level && !format.per_token) activation.scales = quant::ScaleFormat::kTwoLevel;
  activation.clip = 0.9f;
  activation.outlier_columns = format.outliers_apart ? shape.k8 : 0;
  return activation;
}

inline Operands RandomOperands(const LinearFormat& format, const KShape& shape, int64_t m,
                               int64_t n, bool with_bias) {
  Rng rng(static_cast<uint64_t>(m * 1000003 + n * 1009 + shape.k4 * 31 + shape.k8));
  Operands o{FormatFor(format, shape), m, n, shape.k4 + shape.k8, {}, {}, {}, {}, {}};
  o.x = RandomNormal(rng, m * o.k);
  for (int64_t i = 0; i < m * o.k; ++i) {
    if (i % o.k >= shape.k4) o.x[static_cast<size_t>(i)] *= 30.0f;
  }
  if (with_bias) o.bias = RandomNormal(rng, n);
  if (format.dense_weight.has_value()) {
    o.dense_type = *format.dense_weight;
    for (const float value : RandomNormal(rng, n * o.k, 0.1)) {
      o.dense.push_back(o.dense_type == DType::kF16    ? ToFloat(ToHalf(value))
                        : o.dense_type == DType::kBF16 ? ToFloat(ToBFloat16(value))
                                                       : value);
    }
    return o;
  }
  QuantizedMatrix w(n, shape.k4, shape.k8, shape.group,
                    format.two_level ? quant::ScaleFormat::kTwoLevel : quant::ScaleFormat::kFp16);
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t k = 0; k < shape.k4; ++k) {
      w.SetCode4(row, k, static_cast<int>(rng.Below(16)) - 8);
    }
  }
  for (int8_t& code : w.codes8) code = static_cast<int8_t>(rng.Below(256) - 128);
  for (Half& scale : w.scales4) scale = ToHalf(static_cast<float>(std::exp2(-9 * rng.Uniform())));
  for (float& scale : w.row_scales4) {
    scale = quant::RowScale(static_cast<float>(std::exp2(-9 * rng.Uniform())));
  }
  for (int64_t g = 0; format.two_level && g < w.groups(); ++g) {
    for (int64_t row = 0; row < n; ++row) {
      w.SetMultiplier4(row, g, 1 + static_cast<int>(rng.Below(15)));
    }
  }
  for (Half& scale : w.scales8) scale = ToHalf(static_cast<float>(std::exp2(-12 * rng.Uniform())));
  o.packed = std::move(w);
  return o;
}

inline std::unique_ptr<PackedWeight> PackWeight(Device& device, const Operands& o) {
  if (o.packed.has_value()) return device->Prepack(*o.packed, o.bias);
  const std::vector<std::byte> bytes = ToBytes(o.dense, o.dense_type);
  return device->PrepackDense(TensorView{o.dense_type, {o.n, o.k}, bytes.data()}, o.bias);
}

/// Rows [first, first + count) of x, quantized. The capacity is larger than needed.
inline std::unique_ptr<PackedActivation> Quantize(Device& device, const Operands& o, int64_t first,
                                                  int64_t count) {
  std::unique_ptr<PackedActivation> out = device->MakeActivation(o.format, o.k, o.m + 3);
  Canvas x(device, o.m, o.k, o.x);
  device->ReorderQuantize(x.Rows(first, count), nullptr, *out);
  device->Sync();
  return out;
}

}  // namespace atom::kernels
