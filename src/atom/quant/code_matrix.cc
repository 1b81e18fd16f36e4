#include "atom/quant/code_matrix.h"

#include <algorithm>
#include <cmath>

#include "atom/core/check.h"
#include "atom/core/half.h"

namespace atom::quant {
namespace {

float RoundTo(DType type, float value) {
  if (type == DType::kF16) return ToFloat(ToHalf(value));
  return type == DType::kBF16 ? ToFloat(ToBFloat16(value)) : value;
}

void Store(float value, float& to) { to = value; }
void Store(float value, Half& to) { to = ToHalf(value); }
void Store(float value, BFloat16& to) { to = ToBFloat16(value); }

template <class T>
void DequantizeTo(const CodeMatrix& matrix, std::span<T> out) {
  for (int64_t row = 0; row < matrix.n; ++row) {
    for (int64_t k = 0; k < matrix.k; ++k) {
      const auto i = static_cast<size_t>(row * matrix.k + k);
      Store(matrix.Value(row, matrix.GroupOf(k), matrix.codes[i]), out[i]);
    }
  }
}

}  // namespace

float CodeMatrix::Value(int64_t row, int64_t g, int code) const {
  const auto i = static_cast<size_t>(row * groups() + g);
  if (!offsets.empty()) return std::fma(scales[i], static_cast<float>(code), offsets[i]);
  return RoundTo(value, scales[i] * static_cast<float>(code - ZeroAt(row, g)));
}

bool CodeMatrix::AllFinite() const {
  const int most = (1 << bits) - 1;
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t g = 0; g < groups(); ++g) {
      if (!std::isfinite(Value(row, g, 0)) || !std::isfinite(Value(row, g, most))) return false;
    }
  }
  return true;
}

Buffer CodeMatrix::Dequantize() const {
  Buffer out(static_cast<size_t>(n * k * DTypeSize(value)));
  if (value == DType::kF16) {
    DequantizeTo(*this, out.As<Half>());
  } else if (value == DType::kBF16) {
    DequantizeTo(*this, out.As<BFloat16>());
  } else {
    DequantizeTo(*this, out.As<float>());
  }
  return out;
}

void CheckCodeMatrix(const CodeMatrix& matrix) {
  const auto groups = matrix.scales.size();
  ATOM_CHECK(matrix.bits == 4 || matrix.bits == 8, "{} bits", matrix.bits);
  ATOM_CHECK(matrix.n > 0 && matrix.k > 0 && matrix.group > 0, "{} x {} in groups of {}", matrix.n,
             matrix.k, matrix.group);
  ATOM_CHECK(std::ssize(matrix.codes) == matrix.n * matrix.k, "{} codes", matrix.codes.size());
  ATOM_CHECK(groups > 0 && static_cast<int64_t>(groups) % matrix.n == 0, "{} scales of {} rows",
             groups, matrix.n);
  ATOM_CHECK(matrix.zeros.empty() || matrix.zeros.size() == groups, "{} zero points",
             matrix.zeros.size());
  ATOM_CHECK(matrix.offsets.empty() || (matrix.offsets.size() == groups && matrix.zeros.empty() &&
                                        matrix.value == DType::kF32),
             "{} offsets", matrix.offsets.size());
  if (matrix.groups_of.empty()) {
    ATOM_CHECK(matrix.groups() == (matrix.k + matrix.group - 1) / matrix.group, "{} groups of {}",
               matrix.groups(), matrix.group);
    return;
  }
  ATOM_CHECK(std::ssize(matrix.groups_of) == matrix.k, "groups of {} inputs",
             matrix.groups_of.size());
  ATOM_CHECK(std::ranges::all_of(matrix.groups_of,
                                 [&](int32_t g) { return g >= 0 && g < matrix.groups(); }),
             "an input in no group");
}

}  // namespace atom::quant
