#include "atom/quant/quantize_weight.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "atom/core/check.h"
#include "atom/quant/finite.h"
#include "atom/quant/gptq.h"
#include "atom/quant/grid.h"
#include "atom/quant/group_quant.h"
#include "atom/quant/rounding.h"
#include "atom/quant/two_level.h"
#include "atom/quant/weight_groups.h"

namespace atom::quant {
namespace {

Status CheckShape(int64_t n, int64_t k, const WeightFormat& format) {
  if (k < format.outliers) {
    return MakeError("{} outlier columns were asked for, but the weight has {} columns",
                     format.outliers, k);
  }
  if (format.channel_group < 1 || n % format.channel_group != 0) {
    return MakeError("the channel group {} does not divide the weight's {} rows",
                     format.channel_group, n);
  }
  const int64_t low_bit = k - format.OutlierColumns(k);
  if (IsPackable(format) && format.bits == 4 && low_bit % 2 != 0) {
    return MakeError("packed 4-bit columns come in pairs, but {} of {} columns are 4-bit", low_bit,
                     k);
  }
  if (format.gptq && format.number == NumberFormat::kExponent) {
    return MakeError("GPTQ has no exponent-only format");
  }
  if (format.scales == ScaleFormat::kTwoLevel && k > kMaxTwoLevelColumns) {
    return MakeError("two-level scales are for at most {} columns, but the weight has {}",
                     kMaxTwoLevelColumns, k);
  }
  return {};
}

Status CheckFinite(std::string_view what, std::span<const float> w, int64_t k) {
  const auto row = static_cast<size_t>(std::max<int64_t>(k, 1));
  for (size_t i = 0; i < w.size(); ++i) {
    if (i % row == 0 && AllFinite(w.subspan(i, std::min(row, w.size() - i)))) {
      i += row - 1;  // to the next row
      continue;
    }
    if (!std::isfinite(w[i])) {
      return MakeError("element ({}, {}) of the {} is {}, expected a finite value",
                       static_cast<int64_t>(i) / k, static_cast<int64_t>(i) % k, what, w[i]);
    }
  }
  return {};
}

/// Published: one scale a channel takes no clip ratio, no channel group and no FP4.
WeightFormat WithPublishedLimits(WeightFormat format) {
  if (!format.reference_parity || format.group != 0) return format;
  format.clip = 1.0f;
  format.channel_group = 1;
  if (format.number == NumberFormat::kFp4Published) format.number = NumberFormat::kInt;
  return format;
}

/// S of every row, from the largest step that one of its groups asks for.
std::vector<float> FitRowScales(std::span<const float> w, const WeightGroups& groups,
                                const WeightFormat& format, ThreadPool& pool) {
  const GroupFormat group_format = ToGroupFormat(format);
  std::vector<float> scales(static_cast<size_t>(groups.n));
  pool.ParallelFor(groups.n / format.channel_group, [&](int64_t index, int /*worker*/) {
    const int64_t first = index * format.channel_group;
    float largest = kHalfMin;
    for (int64_t group = 0; group < groups.groups(); ++group) {
      const ValueRange range = groups.Range(w, group, first, format.channel_group);
      largest = std::max(largest, format.gptq ? GptqStep(group_format, range)
                                              : RoundToNearestStep(group_format, range));
    }
    std::fill_n(scales.begin() + first, format.channel_group, RowScale(largest));
  });
  return scales;
}

/// Scales to be fitted to the groups of w; those of rows are.
WeightScales PrepareScales(std::span<const float> w, const WeightGroups& groups,
                           const WeightFormat& format, ThreadPool& pool) {
  WeightScales scales;
  scales.groups.resize(static_cast<size_t>(groups.groups() * groups.n));
  if (format.scales == ScaleFormat::kTwoLevel) {
    scales.rows = FitRowScales(w, groups, format, pool);
  }
  return scales;
}

/// Rounds the low-bit columns of w to nearest, in place.
void RoundToNearest(std::span<float> w, const WeightGroups& groups, const WeightFormat& asked,
                    WeightScales& scales) {
  const WeightFormat format = WithPublishedLimits(asked);
  for (int64_t group = 0; group < groups.groups(); ++group) {
    for (int64_t first = 0; first < groups.n; first += format.channel_group) {
      const ValueRange range = groups.Range(w, group, first, format.channel_group);
      GroupFormat group_format = ToGroupFormat(format);
      group_format.row_scale = scales.RowScaleOf(first);
      const Grid grid = RoundToNearestGrid(group_format, range);
      for (int64_t row = first; row < first + format.channel_group; ++row) {
        RoundToGrid(format.number, grid, groups.Segment(w, group, row));
        scales.groups[static_cast<size_t>(group * groups.n + row)] = grid.scale;
      }
    }
  }
}

/// The code of a point = scale · code: the product was exact (at most 16 bits times 8), and times
/// the inverse it lies within 2^-15 of the code.
int CodeOf(float point, float inv) { return static_cast<int>(RoundHalfEven(point * inv)); }

/// Row `row` of `values`, rounded but for its outlier columns, into the low-bit codes.
void PackLowBits(std::span<const float> values, const WeightGroups& groups,
                 std::span<const float> scales, int64_t row, QuantizedMatrix& packed) {
  for (int64_t group = 0; group < groups.groups(); ++group) {
    const float inv = 1.0f / scales[static_cast<size_t>(group * groups.n + row)];
    const int64_t first = group * groups.width;
    for (int64_t column = first; column < first + groups.width; ++column) {
      const int code = CodeOf(values[static_cast<size_t>(column)], inv);
      if (packed.k4 == 0) {  // INT8 weights
        packed.codes8[static_cast<size_t>(row * packed.k8 + column)] = static_cast<int8_t>(code);
      } else {
        packed.SetCode4(row, column, code);
      }
    }
  }
}

void PackScales(const WeightScales& scales, const WeightFormat& format, QuantizedMatrix& packed) {
  if (format.scales == ScaleFormat::kTwoLevel && packed.k4 > 0) {
    packed.row_scales4 = scales.rows;
    for (int64_t group = 0; group < packed.groups(); ++group) {
      for (int64_t row = 0; row < packed.n; ++row) {  // the scale is S · k, exactly
        const float scale = scales.groups[static_cast<size_t>(group * packed.n + row)];
        packed.SetMultiplier4(row, group, Multiplier(scale, scales.RowScaleOf(row)));
      }
    }
    return;
  }
  std::vector<Half>& halves = format.bits == 8 ? packed.scales8 : packed.scales4;
  halves.resize(scales.groups.size());
  std::transform(scales.groups.begin(), scales.groups.end(), halves.begin(),
                 [](float scale) { return ToHalf(scale); });
}

/// Codes of w, whose low-bit columns are points of their grids; outlier columns are rounded here.
QuantizedMatrix Pack(std::span<const float> w, const WeightGroups& groups,
                     const WeightFormat& format, const WeightScales& scales, ThreadPool& pool) {
  const int64_t k4 = format.bits == 8 ? 0 : groups.low_bit;
  QuantizedMatrix packed(groups.n, k4, groups.k - k4, k4 == 0 ? 0 : groups.width, format.scales);
  const auto outliers = static_cast<size_t>(groups.k - groups.low_bit);
  pool.ParallelFor(groups.n, [&](int64_t index, int /*worker*/) {
    const auto row = static_cast<size_t>(index);
    const auto columns = static_cast<size_t>(groups.k);
    const std::span<const float> values = w.subspan(row * columns, columns);
    PackLowBits(values, groups, scales.groups, index, packed);
    if (outliers == 0) return;
    packed.scales8[row] = QuantizeSymmetric(
        values.last(outliers), 1.0f, 8, std::span(packed.codes8).subspan(row * outliers, outliers));
  });
  PackScales(scales, format, packed);
  return packed;
}

}  // namespace

bool IsPackable(const WeightFormat& format) {
  if (format.number != NumberFormat::kInt || !format.symmetric) return false;
  if (format.bits == 8) {
    return format.group == 0 && format.outliers == 0 && format.scales == ScaleFormat::kFp16;
  }
  // A group that does not divide K makes outlier columns of the rest, even where none were asked.
  const bool no_outliers = format.group == 0 && format.outliers == 0;
  return format.bits == 4 && (no_outliers || format.outlier_format == OutlierFormat::kInt8);
}

namespace {

/// Packs what was rounded but for its outliers, or rounds those where nothing can be packed.
Status Finish(const WeightGroups& groups, const WeightFormat& format, const WeightScales& scales,
              ThreadPool& pool, QuantizedWeight& result) {
  const auto row_of = [&](int64_t row) {
    return std::span(result.dense)
        .subspan(static_cast<size_t>(row * groups.k), static_cast<size_t>(groups.k));
  };
  if (IsPackable(format)) {
    result.packed = Pack(result.dense, groups, format, scales, pool);
    pool.ParallelFor(groups.n, [&](int64_t row, int /*worker*/) {
      result.packed->DequantizeRow(row, row_of(row));
    });
  } else {
    for (int64_t row = 0; row < groups.n; ++row) {
      FakeQuantizeOutliers(format.outlier_format,
                           row_of(row).subspan(static_cast<size_t>(groups.low_bit)));
    }
  }
  // fp16 and FP8 outliers overflow to infinity; the INT8 ones and the grids cannot.
  return CheckFinite("rounded weight", result.dense, groups.k);
}

/// By GPTQ, or by rounding to its grids.
Result<QuantizedWeight> Round(std::span<const float> w, const WeightGroups& groups,
                              const WeightFormat& format, std::span<const float> hessian,
                              const DampedFactor& factor, Spread spread, DenseAlgebra& algebra) {
  QuantizedWeight result;
  result.dense.assign(w.begin(), w.end());
  WeightScales scales = PrepareScales(w, groups, format, algebra.pool());
  RoundByGptq(result.dense, groups.n, groups.k, format, hessian, factor, spread, algebra, scales);
  if (Status status = Finish(groups, format, scales, algebra.pool(), result); !status.ok()) {
    return status.error();
  }
  result.damping = factor.damping;
  return result;
}

Result<QuantizedWeight> QuantizeByGptq(std::span<const float> w, const WeightGroups& groups,
                                       const WeightFormat& format, std::span<const float> hessian,
                                       const DampedFactor& factor, DenseAlgebra& algebra) {
  Result<QuantizedWeight> gptq =
      Round(w, groups, format, hessian, factor, Spread::kToCome, algebra);
  if (!gptq.ok() || format.reference_parity) return gptq;
  Result<QuantizedWeight> rounded =
      Round(w, groups, format, hessian, factor, Spread::kNowhere, algebra);
  if (!rounded.ok()) return rounded;
  const auto error_of = [&](const QuantizedWeight& q) {
    return MeasureOutputError(w, q.dense, groups.n, groups.k, hessian, algebra);
  };
  const GptqComparison comparison{error_of(*gptq), error_of(*rounded)};
  Result<QuantizedWeight>& kept = comparison.rounding_kept() ? rounded : gptq;
  kept->gptq = comparison;
  return std::move(kept);
}

}  // namespace

Result<QuantizedWeight> QuantizeWeight(std::span<const float> w, int64_t n, int64_t k,
                                       const WeightFormat& format, std::span<const float> hessian,
                                       DenseAlgebra& algebra, const DampedFactor* factor) {
  ATOM_CHECK(static_cast<int64_t>(w.size()) == n * k, "{} values for {} x {}", w.size(), n, k);
  if (Status status = CheckFinite("weight", w, k); !status.ok()) return status.error();
  QuantizedWeight result;
  if (format.bits == 16) {
    result.dense.assign(w.begin(), w.end());
    return result;
  }
  if (Status status = CheckShape(n, k, format); !status.ok()) return status.error();
  const WeightGroups groups(n, k, format);
  if (format.gptq) {
    if (factor != nullptr) return QuantizeByGptq(w, groups, format, hessian, *factor, algebra);
    const Result<DampedFactor> own =
        FactorDamped(hessian, k, format.damping, format.reference_parity, algebra);
    if (!own.ok()) return own.error();
    return QuantizeByGptq(w, groups, format, hessian, *own, algebra);
  }
  result.dense.assign(w.begin(), w.end());
  WeightScales scales = PrepareScales(w, groups, format, algebra.pool());
  RoundToNearest(result.dense, groups, format, scales);
  if (Status status = Finish(groups, format, scales, algebra.pool(), result); !status.ok()) {
    return status.error();
  }
  return result;
}

}  // namespace atom::quant
