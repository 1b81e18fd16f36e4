// A weight W[N][K] that another program quantized, as its codes: what runs packed of a GGUF, GPTQ,
// AWQ or compressed-tensors file. Beside QuantizedMatrix, which is Atom's own format, it knows what
// others need: codes of 8 bits throughout, scales of three types, zero points or offsets, and
// groups that inputs are in by a list.
//
//   w[n][k] = T(scale[n][g] · (code[n][k] − zero[n][g]))       g = groups_of[k], or k / group
//   w[n][k] = fp32(scale[n][g] · code[n][k] + offset[n][g])    where there are offsets
//
// The difference is exact, the rest is rounded once. A product with it is that with the dense
// weight of these values, bit for bit (docs/numerics.md, 3).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "atom/core/buffer.h"
#include "atom/core/dtype.h"

namespace atom::quant {

struct CodeMatrix {
  int64_t n = 0;
  int64_t k = 0;
  int bits = 4;                     ///< of a code: 4 or 8
  DType value = DType::kF32;        ///< T: F32, F16 or BF16
  DType scale = DType::kF16;        ///< what scales are representable in: F16, BF16 or F32
  std::vector<uint8_t> codes = {};  ///< [N][K], below 2^bits
  std::vector<float> scales = {};   ///< [N][groups]
  /// [N][groups], below 2^bits; empty: 2^(bits − 1) throughout.
  std::vector<uint8_t> zeros = {};
  /// [N][groups], of fp16; or empty. With them there are no zeros, and T is F32.
  std::vector<float> offsets = {};
  int64_t group = 0;                    ///< inputs
  std::vector<int32_t> groups_of = {};  ///< [K]; or empty: input k is in group k / group

  int64_t groups() const { return n == 0 ? 0 : static_cast<int64_t>(scales.size()) / n; }
  int64_t GroupOf(int64_t input) const {
    return groups_of.empty() ? input / group : groups_of[static_cast<size_t>(input)];
  }
  int middle() const { return 1 << (bits - 1); }
  int ZeroAt(int64_t row, int64_t g) const {
    return zeros.empty() ? middle() : zeros[static_cast<size_t>(row * groups() + g)];
  }
  float Value(int64_t row, int64_t g, int code) const;

  /// Whether all values that a code could stand for are finite.
  bool AllFinite() const;
  /// [N][K] of T.
  Buffer Dequantize() const;
};

/// Sizes agree, codes and groups are in range.
void CheckCodeMatrix(const CodeMatrix& matrix);

}  // namespace atom::quant
