// A weight W[N][K] as small integers and what makes values of them, taken out of a file of another
// program, whatever its packing: what runs packed. Everything else is dequantized when it is asked
// for (FoundTensor).
//
//   w[n][k] = T(scale[n][g] · (code[n][k] − zero[n][g]))      g = groups_of[k], or k / group
//   w[n][k] = fp32(scale[n][g] · code[n][k] + offset[n][g])   where there are offsets
//
// rounded once, in T: the values of FoundTensor, bit for bit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "atom/core/dtype.h"
#include "atom/io/tensor_source.h"

namespace atom::io {

struct StoredCodes {
  int64_t n = 0;
  int64_t k = 0;
  int bits = 4;                         ///< of a code: 4 or 8
  DType value = DType::kF32;            ///< T
  DType scale = DType::kF16;            ///< what scales are representable in
  std::vector<uint8_t> codes = {};      ///< [N][K]
  std::vector<float> scales = {};       ///< [N][groups]
  std::vector<uint8_t> zeros = {};      ///< [N][groups]; empty: 2^(bits − 1)
  std::vector<float> offsets = {};      ///< [N][groups] of fp16, or empty
  int64_t group = 0;                    ///< inputs
  std::vector<int32_t> groups_of = {};  ///< [K], or empty
  const std::string* file = nullptr;    ///< for sentences; lives as long as the source

  int64_t groups() const { return n == 0 ? 0 : static_cast<int64_t>(scales.size()) / n; }
};

/// As Take of a tensor; nullopt too where the place transposes or adds.
std::optional<StoredCodes> TakeRows(StoredCodes codes, const TensorPlace& place);

/// What such a weight takes in memory, scales and all, in bytes.
struct CodeSizes {
  int64_t n = 0;
  int64_t k = 0;
  int64_t groups = 0;
  int bits = 4;
  int64_t parameter_bytes = 2;  ///< of a group of one output
  int64_t bytes() const { return n * (k * bits / 8 + groups * parameter_bytes); }
};

}  // namespace atom::io
