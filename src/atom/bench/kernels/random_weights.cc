#include "atom/bench/kernels/random_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "atom/core/check.h"
#include "atom/quant/two_level.h"

namespace atom::bench {
namespace {

constexpr int64_t kBlock = (int64_t{1} << 18) - 5;  // odd: rows of a matrix do not all repeat

template <class T>
void FillBytes(Rng& rng, std::vector<T>& bytes) {
  static_assert(sizeof(T) == 1);
  for (size_t at = 0; at < bytes.size(); at += sizeof(uint64_t)) {
    const uint64_t word = rng.Next();
    std::memcpy(bytes.data() + at, &word, std::min(sizeof(word), bytes.size() - at));
  }
}

/// Of uniform codes of `bits` bits with K inputs.
Half ScaleFor(int bits, int64_t k) {
  const double deviation = std::ldexp(1.0, bits) / std::sqrt(12.0);
  return ToHalf(static_cast<float>(1.0 / (deviation * std::sqrt(static_cast<double>(k)))));
}

template <class T, class Convert>
void FillDense(std::span<const float> values, std::span<T> out, const Convert& convert) {
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = i < values.size() ? convert(values[i]) : out[i - values.size()];
  }
}

}  // namespace

std::vector<float> RandomFloats(Rng& rng, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) {
    value = static_cast<float>(static_cast<int32_t>(rng.Next() >> 32)) * 0x1p-31f;
  }
  return values;
}

quant::QuantizedMatrix RandomMatrix(Rng& rng, const quant::WeightFormat& format, int64_t n,
                                    int64_t k, quant::ScaleFormat scales) {
  ATOM_CHECK(format.bits == 4 || format.bits == 8, "{} bits are not packed", format.bits);
  const int64_t outliers =
      format.bits == 8 ? k : std::clamp<int64_t>(format.OutlierColumns(k), 0, k);
  const int64_t low = k - outliers;
  const int64_t group = low == 0 ? 0 : format.group == 0 ? low : format.group;
  if (low == 0) scales = quant::ScaleFormat::kFp16;
  quant::QuantizedMatrix matrix(n, low, outliers, group, scales);
  FillBytes(rng, matrix.codes4);
  FillBytes(rng, matrix.codes8);
  std::fill(matrix.scales4.begin(), matrix.scales4.end(), ScaleFor(4, k));
  // 1 … 15 times a fifteenth.
  const float step = ToFloat(ScaleFor(4, k));
  std::fill(matrix.row_scales4.begin(), matrix.row_scales4.end(), quant::RowScale(step));
  for (int64_t i = 0; !matrix.row_scales4.empty() && i < matrix.groups() * n; ++i) {
    matrix.SetMultiplier4(i % n, i / n, static_cast<int>(1 + rng.Below(quant::kMaxMultiplier)));
  }
  std::fill(matrix.scales8.begin(), matrix.scales8.end(), ScaleFor(8, k));
  return matrix;
}

artifact::DenseMatrix RandomDense(Rng& rng, DType dtype, int64_t n, int64_t k) {
  std::vector<float> values = RandomFloats(rng, std::min(n * k, kBlock));
  const float scale = 1.0f / std::sqrt(static_cast<float>(k));
  for (float& value : values) value *= scale;
  artifact::DenseMatrix matrix;
  matrix.owned = Buffer(static_cast<size_t>(n * k * DTypeSize(dtype)));
  if (dtype == DType::kF32) {
    FillDense(values, matrix.owned.As<float>(), [](float value) { return value; });
  } else if (dtype == DType::kF16) {
    FillDense(values, matrix.owned.As<Half>(), [](float value) { return ToHalf(value); });
  } else {
    FillDense(values, matrix.owned.As<BFloat16>(), [](float value) { return ToBFloat16(value); });
  }
  matrix.view = TensorView{dtype, {n, k}, matrix.owned.data()};
  return matrix;
}

quant::Permutation RandomPermutation(Rng& rng, int64_t size) {
  std::vector<int32_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = size - 1; i > 0; --i) {
    std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(rng.Below(i + 1))]);
  }
  return quant::Permutation(std::move(order));
}

int64_t WeightBytes(const quant::QuantizedMatrix& matrix) {
  const size_t codes = matrix.codes4.size() + matrix.codes8.size();
  const size_t scales = (matrix.scales4.size() + matrix.scales8.size()) * sizeof(Half) +
                        matrix.multipliers4.size() + matrix.row_scales4.size() * sizeof(float);
  return static_cast<int64_t>(codes + scales);
}

int64_t WeightBytes(const artifact::HostLinear& linear) {
  if (linear.packed()) return WeightBytes(std::get<artifact::PackedMatrix>(linear.weight).owned);
  return std::get<artifact::DenseMatrix>(linear.weight).view.bytes();
}

}  // namespace atom::bench
