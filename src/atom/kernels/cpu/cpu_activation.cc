#include "atom/kernels/cpu/cpu_activation.h"

#include "atom/core/check.h"

namespace atom::kernels::cpu {
namespace {

/// Does the format have codes that a product of integers can use?
bool HasIntegerCodes(const quant::ActivationFormat& format) {
  return format.number == quant::NumberFormat::kInt && format.symmetric && format.bits <= 8 &&
         (format.outlier_columns == 0 || format.outlier_format == quant::OutlierFormat::kInt8);
}

/// Bytes of a section of codes: products read whole lines, and up to a group of 4 codes too far.
int64_t SectionBytes(int64_t count) { return (count + 63) / 64 * 64 + 64; }

AlignedMemory Rows(int64_t rows, int64_t row_bytes) {
  return AlignedMemory(static_cast<size_t>(rows * row_bytes));
}

}  // namespace

CpuActivation::CpuActivation(const quant::ActivationFormat& activation_format, int64_t columns,
                             int64_t row_capacity)
    : PackedActivation(activation_format, columns, row_capacity) {
  ATOM_CHECK(k4() >= 0 && (k4() == 0 || k4() % group() == 0),
             "{} columns, {} of them outliers, groups of {}", columns, format().outlier_columns,
             format().group);
  if (format().dense()) {
    stride = (columns + 15) / 16 * 16 + 16;
    dense = Rows(row_capacity, stride * static_cast<int64_t>(sizeof(float)));
    return;
  }
  ATOM_CHECK(HasIntegerCodes(format()), "a {}-bit format of {} needs `simulated`", format().bits,
             quant::Name(format().number));
  groups = k4() == 0 ? 0 : k4() / group();
  outlier_offset = SectionBytes(k4());
  codes_stride = outlier_offset;
  if (format().outlier_columns > 0) codes_stride += SectionBytes(format().outlier_columns);
  codes = Rows(row_capacity, codes_stride);
  scales_stride = groups + 1;
  scales = Rows(row_capacity, scales_stride * static_cast<int64_t>(sizeof(float)));
}

const CpuActivation& CpuActivation::Of(const PackedActivation& activation) {
  const auto* own = dynamic_cast<const CpuActivation*>(&activation);
  ATOM_CHECK(own != nullptr, "the activation was made by another backend");
  return *own;
}

CpuActivation& CpuActivation::Of(PackedActivation& activation) {
  auto* own = dynamic_cast<CpuActivation*>(&activation);
  ATOM_CHECK(own != nullptr, "the activation was made by another backend");
  return *own;
}

UnpackedActivation UnpackActivation(const CpuActivation& a) {
  UnpackedActivation out;
  out.rows = a.rows();
  const int64_t outliers = a.format().outlier_columns;
  for (int64_t row = 0; row < a.rows(); ++row) {
    if (a.format().dense()) {
      out.dense.insert(out.dense.end(), a.DenseRow(row), a.DenseRow(row) + a.k());
      continue;
    }
    const int8_t* codes = a.CodesRow(row);
    out.codes.insert(out.codes.end(), codes, codes + a.k4());
    out.codes.insert(out.codes.end(), codes + a.outlier_offset,
                     codes + a.outlier_offset + outliers);
    const float* scales = a.ScalesRow(row);  // fp16 values, widened: exact both ways
    for (int64_t g = 0; g < a.groups; ++g) out.scales.push_back(ToHalf(scales[g]));
    if (outliers > 0) out.outlier_scales.push_back(ToHalf(scales[a.groups]));
  }
  return out;
}

}  // namespace atom::kernels::cpu
