#include "atom/kernels/cpu/cpu_activation.h"

#include "atom/core/check.h"

namespace atom::kernels::cpu {
namespace {

/// Does the format have codes that a product of integers can use?
bool HasIntegerCodes(const quant::ActivationFormat& format) {
  const int most_bits = format.scales == quant::ScaleFormat::kTwoLevel ? 4 : 8;
  return format.number == quant::NumberFormat::kInt && format.symmetric &&
         format.bits <= most_bits &&
         (format.outlier_columns == 0 || format.outlier_format == quant::OutlierFormat::kInt8);
}

/// Bytes of a section of codes: products read whole lines, and up to a group of 4 codes too far.
int64_t SectionBytes(int64_t count) { return (count + 63) / 64 * 64 + 64; }

/// Where the parts of a row lie.
struct RowPlaces {
  RowPlaces(const quant::ActivationFormat& format, int64_t k) {
    const bool two_level = format.scales == quant::ScaleFormat::kTwoLevel;
    if (format.dense()) {
      stride = (k + 15) / 16 * 16 + 16;
      scales_stride = format.simulated ? 1 : 0;
      return;
    }
    const int64_t k4 = k - format.outlier_columns;
    groups = k4 == 0 ? 0 : format.group == 0 ? 1 : k4 / format.group;
    if (two_level) {
      multiplier_stride = (groups + 15) / 16 * 16;
      groups = 1;
    }
    outlier_offset = SectionBytes(k4);
    codes_stride = outlier_offset;
    if (format.outlier_columns > 0) codes_stride += SectionBytes(format.outlier_columns);
    scales_stride = groups + 1;
  }
  int64_t DenseBytes() const { return stride * static_cast<int64_t>(sizeof(float)); }
  int64_t ScaleBytes() const { return scales_stride * static_cast<int64_t>(sizeof(float)); }

  int64_t stride = 0;
  int64_t codes_stride = 0;
  int64_t outlier_offset = 0;
  int64_t scales_stride = 0;
  int64_t groups = 0;
  int64_t multiplier_stride = 0;
};

/// Rows of codes: products read whole tiles of 16.
int64_t CodeRows(int64_t capacity) { return (capacity + 15) / 16 * 16; }

AlignedMemory Rows(int64_t rows, int64_t row_bytes) {
  return AlignedMemory(static_cast<size_t>(rows * row_bytes));
}

}  // namespace

int64_t CpuActivation::Bytes(const quant::ActivationFormat& format, int64_t columns,
                             int64_t capacity) {
  const RowPlaces row(format, columns);
  return capacity * (row.DenseBytes() + row.ScaleBytes() + row.multiplier_stride) +
         CodeRows(capacity) * row.codes_stride;
}

CpuActivation::CpuActivation(const quant::ActivationFormat& activation_format, int64_t columns,
                             int64_t row_capacity)
    : PackedActivation(activation_format, columns, row_capacity) {
  ATOM_CHECK(k4() >= 0 && (k4() == 0 || k4() % group() == 0),
             "{} columns, {} of them outliers, groups of {}", columns, format().outlier_columns,
             format().group);
  ATOM_CHECK(format().dense() || HasIntegerCodes(format()),
             "a {}-bit format of {} needs `simulated`", format().bits,
             quant::Name(format().number));
  const RowPlaces row(format(), columns);
  stride = row.stride;
  codes_stride = row.codes_stride;
  outlier_offset = row.outlier_offset;
  scales_stride = row.scales_stride;
  groups = row.groups;
  multiplier_stride = row.multiplier_stride;
  dense = Rows(row_capacity, row.DenseBytes());
  codes = Rows(CodeRows(row_capacity), codes_stride);
  scales = Rows(row_capacity, row.ScaleBytes());
  multipliers = Rows(row_capacity, multiplier_stride);
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

namespace {

/// Codes are what is left of the row's bytes without their multipliers.
void UnpackMultipliers(const CpuActivation& a, int64_t row, UnpackedActivation& out) {
  const uint8_t* multipliers = a.MultipliersRow(row);
  int8_t* codes = out.codes.data() + row * a.k();
  for (int64_t g = 0; g < a.k4() / a.group(); ++g) {
    out.multipliers.push_back(multipliers[g]);
    for (int64_t k = g * a.group(); k < (g + 1) * a.group(); ++k) {
      codes[k] = static_cast<int8_t>(codes[k] / multipliers[g]);
    }
  }
  out.row_scales.push_back(a.ScalesRow(row)[0]);
}

}  // namespace

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
    if (a.two_level()) {
      UnpackMultipliers(a, row, out);
    } else {
      for (int64_t g = 0; g < a.groups; ++g) out.scales.push_back(ToHalf(scales[g]));
    }
    if (outliers > 0) out.outlier_scales.push_back(ToHalf(scales[a.groups]));
  }
  return out;
}

}  // namespace atom::kernels::cpu
