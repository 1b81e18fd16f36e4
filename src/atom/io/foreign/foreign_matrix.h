// One weight W[N][K] as GPTQ, AWQ or compressed-tensors stores it, and its values. The formats
// differ in how they lay small integers into 32-bit words, not in what these mean:
//
//   w[n][k] = scale[n][g] · (code[n][k] − zero[n][g])      g: the group of input k
//
// in the type of the scales: the difference is exact there, and the product is rounded once, as the
// formats' own packages compute it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "atom/core/buffer.h"
#include "atom/core/tensor_view.h"
#include "atom/io/stored_codes.h"

namespace atom::io {

/// Codes of `bits` bits (4 or 8) in words of 32, the first in the lowest bits.
struct PackedCodes {
  TensorView words;  ///< I32 [rows][columns]
  int bits = 4;
  bool along_columns = true;  ///< a word has neighbours of one row; false: of one column
  bool interleaved = false;   ///< AWQ: the eight of a word are elements 0 2 4 6 1 3 5 7
  uint32_t added = 0;         ///< to each word before it is taken apart
};

struct UnpackedCodes {
  std::vector<uint8_t> values;  ///< [rows][columns]
  int64_t rows = 0;
  int64_t columns = 0;  ///< those that fill up the last word included
};
UnpackedCodes Unpack(const PackedCodes& packed);

/// Views of the files that it is in. Sizes agree, and groups_of is in range: whoever makes one has
/// checked that.
struct ForeignMatrix {
  int64_t n = 0;
  int64_t k = 0;
  /// Arrays are [K][N] and [groups][N]; false: [N][K] and [N][groups].
  bool inputs_first = true;
  PackedCodes codes;
  std::optional<PackedCodes> zeros;     ///< none: zero is code 2^(bits − 1)
  TensorView scales;                    ///< F16, BF16 or F32
  std::vector<int32_t> groups_of = {};  ///< [K] group of each input; empty: k / group
  int64_t group = 0;

  std::string type;  ///< "gptq 4-bit", for people
  int64_t stored_bytes = 0;
  const std::string* file = nullptr;
};

/// [N][K] in the type of the scales.
Buffer Dequantize(const ForeignMatrix& matrix);
/// The same as codes.
StoredCodes CodesOf(const ForeignMatrix& matrix);
CodeSizes CodeSizesOf(const ForeignMatrix& matrix);

}  // namespace atom::io
