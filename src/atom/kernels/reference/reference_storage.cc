#include "atom/kernels/reference/reference_storage.h"

#include <algorithm>

#include "atom/quant/group_quant.h"

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
    return;
  }
  ATOM_CHECK(HasIntegerCodes(format()), "a {}-bit format of {} needs `simulated`", format().bits,
             quant::Name(format().number));
  codes.resize(elements);
  scales.resize(rows * static_cast<size_t>(groups()));
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

void ReferenceActivation::SetRow(int64_t row, std::span<const float> values) {
  const size_t first = static_cast<size_t>(row * k());
  if (format().dense()) {
    const std::span<float> out = std::span(dense).subspan(first, values.size());
    std::copy(values.begin(), values.end(), out.begin());
    if (format().simulated) quant::FakeQuantizeActivation(format(), out);
    return;
  }
  const auto low = static_cast<size_t>(k4());
  const size_t group = format().group == 0 ? low : static_cast<size_t>(format().group);
  std::vector<int8_t> row_codes(values.size());
  const std::span<int8_t> out(row_codes);
  Half* row_scales = scales.data() + row * groups();
  for (size_t column = 0; column < low; column += group) {
    *row_scales++ = quant::QuantizeSymmetric(values.subspan(column, group), format().clip,
                                             format().bits, out.subspan(column, group));
  }
  if (format().outlier_columns > 0) {
    outlier_scales[static_cast<size_t>(row)] =
        quant::QuantizeSymmetric(values.subspan(low), 1.0f, 8, out.subspan(low));
  }
  std::copy(row_codes.begin(), row_codes.end(), codes.data() + first);
}

float ReferenceActivation::Scale(int64_t row, int64_t group) const {
  const int64_t column = format().group == 0 ? 0 : group;
  return ToFloat(scales[static_cast<size_t>(row * groups() + column)]);
}

float ReferenceActivation::OutlierScale(int64_t row) const {
  if (format().outlier_columns == 0) return Scale(row, 0);
  return ToFloat(outlier_scales[static_cast<size_t>(row)]);
}

}  // namespace atom::kernels::reference
