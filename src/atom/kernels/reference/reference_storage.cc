#include "atom/kernels/reference/reference_storage.h"

#include <algorithm>

#include "atom/quant/group_quant.h"
#include "atom/quant/hadamard.h"

namespace atom::kernels::reference {
namespace {

std::vector<int8_t> BytePerCode(const quant::QuantizedView& weight) {
  std::vector<int8_t> codes(static_cast<size_t>(weight.n * weight.k()));
  for (int64_t n = 0; n < weight.n; ++n) {
    int8_t* row = codes.data() + n * weight.k();
    for (int64_t k = 0; k < weight.k4; ++k) row[k] = weight.Code4(n, k);
    std::copy_n(weight.codes8.data() + n * weight.k8, weight.k8, row + weight.k4);
  }
  return codes;
}

/// Does the format have codes that a product of integers can use?
bool HasIntegerCodes(const quant::ActivationFormat& format) {
  return format.number == quant::NumberFormat::kInt && format.symmetric && format.bits <= 8 &&
         (format.outlier_columns == 0 || format.outlier_format == quant::OutlierFormat::kInt8);
}

}  // namespace

ReferenceWeight::ReferenceWeight(const quant::QuantizedView& weight,
                                 std::span<const float> bias_values)
    : PackedWeight(weight.n, weight.k()),
      packed(weight),
      codes(BytePerCode(weight)),
      bias(bias_values.begin(), bias_values.end()) {}

ReferenceWeight::ReferenceWeight(const TensorView& weight, std::span<const float> bias_values)
    : PackedWeight(weight.dim(0), weight.dim(1)),
      dense(ToFloats(weight)),
      bias(bias_values.begin(), bias_values.end()) {}

const ReferenceWeight& ReferenceWeight::Of(const PackedWeight& weight) {
  const auto* own = dynamic_cast<const ReferenceWeight*>(&weight);
  ATOM_CHECK(own != nullptr, "the weight was packed by another backend");
  return *own;
}

ReferenceActivation::ReferenceActivation(const quant::ActivationFormat& activation_format,
                                         int64_t columns, int64_t row_capacity)
    : PackedActivation(activation_format, columns, row_capacity) {
  const auto rows = static_cast<size_t>(row_capacity);
  const auto elements = static_cast<size_t>(row_capacity * columns);
  ATOM_CHECK(k4() >= 0 && (format().group == 0 || k4() % format().group == 0),
             "{} columns, {} of them outliers, groups of {}", columns, format().outlier_columns,
             format().group);
  if (format().dense()) {
    dense.resize(elements);
    if (format().simulated) row_scales.resize(rows);
    return;
  }
  ATOM_CHECK(HasIntegerCodes(format()), "a {}-bit format of {} needs `simulated`", format().bits,
             quant::Name(format().number));
  codes.resize(elements);
  if (two_level()) {
    multipliers.resize(rows * static_cast<size_t>(groups()));
    row_scales.resize(rows);
  } else {
    scales.resize(rows * static_cast<size_t>(groups()));
  }
  if (format().outlier_columns > 0) outlier_scales.resize(rows);
}

const ReferenceActivation& ReferenceActivation::Of(const PackedActivation& activation) {
  const auto* own = dynamic_cast<const ReferenceActivation*>(&activation);
  ATOM_CHECK(own != nullptr, "the activation was made by another backend");
  return *own;
}

ReferenceActivation& ReferenceActivation::Of(PackedActivation& activation) {
  auto* own = dynamic_cast<ReferenceActivation*>(&activation);
  ATOM_CHECK(own != nullptr, "the activation was made by another backend");
  return *own;
}

int64_t ReferenceActivation::groups() const {
  if (k4() == 0) return 0;
  return format().group == 0 ? 1 : k4() / format().group;
}

void ReferenceActivation::SetRow(int64_t row, std::span<const float> gathered) {
  std::vector<float> values(gathered.begin(), gathered.end());
  const auto low = static_cast<size_t>(k4());
  quant::RotateBlocks(format().hadamard, std::span(values).first(low));
  const size_t first = static_cast<size_t>(row * k());
  if (format().dense()) {
    if (format().simulated) SimulateRow(row, values);
    std::copy(values.begin(), values.end(), dense.data() + first);
    return;
  }
  std::vector<int8_t> row_codes(values.size());
  const std::span<int8_t> out(row_codes);
  const std::span<const float> in(values);
  if (two_level()) {
    row_scales[static_cast<size_t>(row)] = quant::QuantizeTwoLevel(
        format(), in.first(low), out.first(low),
        std::span(multipliers)
            .subspan(static_cast<size_t>(row * groups()), static_cast<size_t>(groups())));
  } else {
    const size_t group = format().group == 0 ? low : static_cast<size_t>(format().group);
    Half* row_scale = scales.data() + row * groups();
    for (size_t column = 0; column < low; column += group) {
      *row_scale++ = quant::QuantizeSymmetric(in.subspan(column, group), format().clip,
                                              format().bits, out.subspan(column, group));
    }
  }
  if (format().outlier_columns > 0) {
    outlier_scales[static_cast<size_t>(row)] =
        quant::QuantizeSymmetric(in.subspan(low), 1.0f, 8, out.subspan(low));
  }
  std::copy(row_codes.begin(), row_codes.end(), codes.data() + first);
}

void ReferenceActivation::SimulateRow(int64_t row, std::span<float> values) {
  const std::span<const float> low = values.first(static_cast<size_t>(k4()));
  float& scale = row_scales[static_cast<size_t>(row)];
  if (two_level()) {
    scale = quant::TokenScale(format(), low);
  } else if (format().group == 0) {
    scale = ToFloat(quant::SymmetricScale(quant::AbsMax(low), format().clip, format().bits));
  }
  quant::FakeQuantizeActivation(format(), values);
}

float ReferenceActivation::Scale(int64_t row, int64_t group) const {
  const int64_t column = format().group == 0 ? 0 : group;
  return ToFloat(scales[static_cast<size_t>(row * groups() + column)]);
}

int ReferenceActivation::Multiplier(int64_t row, int64_t group) const {
  return two_level() ? multipliers[static_cast<size_t>(row * groups() + group)] : 1;
}

float ReferenceActivation::TokenScale(int64_t row) const {
  ATOM_CHECK(two_level() || format().group == 0, "a scale for each {} columns", format().group);
  return row_scales.empty() ? Scale(row, 0) : row_scales[static_cast<size_t>(row)];
}

float ReferenceActivation::OutlierScale(int64_t row) const {
  if (format().outlier_columns == 0) return Scale(row, 0);
  return ToFloat(outlier_scales[static_cast<size_t>(row)]);
}

}  // namespace atom::kernels::reference
