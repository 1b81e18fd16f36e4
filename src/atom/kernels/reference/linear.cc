// y = x · Wᵀ + bias: docs/numerics.md, section 3, to the letter.
#include <algorithm>
#include <cmath>

#include "atom/kernels/reference/dot.h"
#include "atom/kernels/reference/product.h"
#include "atom/kernels/reference/reference_backend.h"
#include "atom/kernels/reference/reference_storage.h"

namespace atom::kernels::reference {
namespace {

/// The outliers' product, behind all others.
float AddOutliers(const ReferenceActivation& x, int64_t m, const ReferenceWeight& w, int64_t n,
                  float acc) {
  const quant::QuantizedMatrix& q = *w.packed;
  if (q.k8 == 0) return acc;
  const int16_t* a = x.codes.data() + m * x.k() + q.k4;
  const int8_t* b = w.codes.data() + n * w.k() + q.k4;
  const float scale = x.OutlierScale(m) * ToFloat(q.scales8[static_cast<size_t>(n)]);
  return std::fma(static_cast<float>(IntegerDot(a, b, q.k8)), scale, acc);
}

/// Codes times codes: exact integers, then the product of the two scales, group by group.
float IntegerProduct(const ReferenceActivation& x, int64_t m, const ReferenceWeight& w, int64_t n) {
  const quant::QuantizedMatrix& q = *w.packed;
  const int16_t* a = x.codes.data() + m * x.k();
  const int8_t* b = w.codes.data() + n * w.k();
  float acc = 0.0f;
  for (int64_t g = 0; g < q.groups(); ++g) {
    const int64_t k = g * q.group;
    const float scale = x.Scale(m, g) * q.Scale4(n, k);
    acc = std::fma(static_cast<float>(IntegerDot(a + k, b + k, q.group)), scale, acc);
  }
  return AddOutliers(x, m, w, n, acc);
}

/// Two-level scales: one sum of integers over all groups, times the scales of token and row.
float TwoLevelProduct(const ReferenceActivation& x, int64_t m, const ReferenceWeight& w,
                      int64_t n) {
  const quant::QuantizedMatrix& q = *w.packed;
  const int16_t* a = x.codes.data() + m * x.k();
  const int8_t* b = w.codes.data() + n * w.k();
  int32_t sum = 0;
  for (int64_t g = 0; g < q.groups(); ++g) {
    const int64_t k = g * q.group;
    sum += x.Multiplier(m, g) * q.Multiplier4(n, g) * IntegerDot(a + k, b + k, q.group);
  }
  const float scale = x.TokenScale(m) * q.row_scales4[static_cast<size_t>(n)];
  return AddOutliers(x, m, w, n, std::fma(static_cast<float>(sum), scale, 0.0f));
}

/// Values times codes (W4A16).
float WeightOnlyProduct(const ReferenceActivation& x, int64_t m, const ReferenceWeight& w,
                        int64_t n) {
  const quant::QuantizedMatrix& q = *w.packed;
  const float* a = x.dense.data() + m * x.k();
  const int8_t* b = w.codes.data() + n * w.k();
  float acc = 0.0f;
  for (int64_t g = 0; g < q.groups(); ++g) {
    const int64_t k = g * q.group;
    acc = std::fma(FmaChain(a + k, b + k, q.group), q.Scale4(n, k), acc);
  }
  if (q.k8 > 0) {
    const float scale = ToFloat(q.scales8[static_cast<size_t>(n)]);
    acc = std::fma(FmaChain(a + q.k4, b + q.k4, q.k8), scale, acc);
  }
  return acc;
}

/// Fake-quantized values times codes (`--simulate`): exact sums, rounded once a group.
float SimulatedProduct(const ReferenceActivation& x, int64_t m, const ReferenceWeight& w,
                       int64_t n) {
  const quant::QuantizedMatrix& q = *w.packed;
  const float* a = x.dense.data() + m * x.k();
  const int8_t* b = w.codes.data() + n * w.k();
  float acc = 0.0f;
  if (q.scale_format() == quant::ScaleFormat::kTwoLevel) {
    double sum = 0.0;  // the token's scale times the sum of integers, exactly
    for (int64_t g = 0; g < q.groups(); ++g) {
      const int64_t k = g * q.group;
      sum += q.Multiplier4(n, g) * ExactDot(a + k, b + k, q.group);
    }
    const float token = x.TokenScale(m);
    acc = std::fma(static_cast<float>(sum / double{token}),
                   token * q.row_scales4[static_cast<size_t>(n)], 0.0f);
  } else {
    for (int64_t g = 0; g < q.groups(); ++g) {
      const int64_t k = g * q.group;
      const double dot = ExactDot(a + k, b + k, q.group);
      acc = static_cast<float>(double{acc} + dot * double{q.Scale4(n, k)});
    }
  }
  if (q.k8 > 0) {
    const float scale = ToFloat(q.scales8[static_cast<size_t>(n)]);
    acc = static_cast<float>(double{acc} + ExactDot(a + q.k4, b + q.k4, q.k8) * double{scale});
  }
  return acc;
}

float DenseProduct(const ReferenceActivation& x, int64_t m, const ReferenceWeight& w, int64_t n) {
  return FmaChain(x.dense.data() + m * x.k(), w.dense.data() + n * w.k(), w.k());
}

}  // namespace

Product ChooseProduct(const ReferenceActivation& x, const ReferenceWeight& w) {
  const bool dense = x.format().dense();
  if (!w.packed.has_value()) {
    ATOM_CHECK(dense, "a dense weight, a {}-bit activation", x.format().bits);
    return &DenseProduct;
  }
  if (x.format().simulated) return &SimulatedProduct;
  if (dense) return &WeightOnlyProduct;
  const bool one_scale = x.format().group == 0;
  ATOM_CHECK(one_scale || x.format().group == w.packed->group, "groups of {} times groups of {}",
             x.format().group, w.packed->group);
  ATOM_CHECK(x.k4() == w.packed->k4 || (one_scale && x.format().outlier_columns == 0),
             "{} outlier columns times {}", x.format().outlier_columns, w.packed->k8);
  if (w.packed->scale_format() == quant::ScaleFormat::kFp16) {
    ATOM_CHECK(!x.two_level(), "two-level scales times fp16 scales");
    return &IntegerProduct;
  }
  ATOM_CHECK(one_scale || x.two_level(), "fp16 scales of groups times two-level scales");
  return &TwoLevelProduct;
}

void ReferenceBackend::Linear(const PackedActivation& x,
                              std::span<const PackedWeight* const> weights, const DeviceTensor& y,
                              OutputMode mode) {
  const ReferenceActivation& a = ReferenceActivation::Of(x);
  int64_t column = 0;
  for (const PackedWeight* weight : weights) {
    const ReferenceWeight& w = ReferenceWeight::Of(*weight);
    ATOM_CHECK(column + w.n() <= y.cols, "output {} wide, expected more", y.cols);
    ATOM_CHECK(x.k() == w.k(), "{} columns times {}", x.k(), w.k());
    const Product product = ChooseProduct(a, w);

    constexpr int64_t kTile = 16;  // outputs a task: their weights stay in the nearest cache
    pool_.ParallelFor((w.n() + kTile - 1) / kTile, [&](int64_t tile, int) {
      const int64_t end = std::min(w.n(), (tile + 1) * kTile);
      for (int64_t m = 0; m < y.rows; ++m) {
        const std::span<float> out = Row(y, m).subspan(static_cast<size_t>(column));
        for (int64_t n = tile * kTile; n < end; ++n) {
          const auto i = static_cast<size_t>(n);
          float acc = product(a, m, w, n);
          if (!w.bias.empty()) acc += w.bias[i];
          out[i] = mode == OutputMode::kAdd ? out[i] + acc : acc;
        }
      }
    });
    column += w.n();
  }
  ATOM_CHECK(y.rows == x.rows() && y.cols == column, "output {} x {}, expected {} x {}", y.rows,
             y.cols, x.rows(), column);
}

}  // namespace atom::kernels::reference
