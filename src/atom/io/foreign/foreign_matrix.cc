#include "atom/io/foreign/foreign_matrix.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <span>

namespace atom::io {
namespace {

constexpr int kWordBits = 32;
/// Outputs whose values are written side by side: each is a row of its own in memory.
constexpr int64_t kTile = 32;

/// Which element of the eight of a word its i-th code is.
constexpr std::array kInterleaved = {0, 2, 4, 6, 1, 3, 5, 7};

// Arrays lie at any address in a file.
uint32_t WordAt(const TensorView& words, int64_t index) {
  static_assert(std::endian::native == std::endian::little);
  uint32_t word = 0;
  std::memcpy(&word, words.data + index * static_cast<int64_t>(sizeof(word)), sizeof(word));
  return word;
}

/// Where element (output n, input i) of an array with `inputs` inputs lies.
struct Strides {
  int64_t output = 0;
  int64_t input = 0;
  int64_t At(int64_t n, int64_t i) const { return n * output + i * input; }
};
Strides StridesOf(bool inputs_first, int64_t columns) {
  return inputs_first ? Strides{1, columns} : Strides{columns, 1};
}

void Store(float value, Half& to) { to = ToHalf(value); }
void Store(float value, BFloat16& to) { to = ToBFloat16(value); }
void Store(float value, float& to) { to = value; }

/// The parts of a matrix, each with its strides.
struct Parts {
  UnpackedCodes codes;
  UnpackedCodes zeros;
  std::vector<float> scales;
  Strides code_at, zero_at, scale_at;
};

template <class T>
void Multiply(const ForeignMatrix& matrix, const Parts& parts, std::span<T> out) {
  const int middle = 1 << (matrix.codes.bits - 1);
  for (int64_t first = 0; first < matrix.n; first += kTile) {
    const int64_t end = std::min(matrix.n, first + kTile);
    for (int64_t k = 0; k < matrix.k; ++k) {
      const int64_t g =
          matrix.groups_of.empty() ? k / matrix.group : matrix.groups_of[static_cast<size_t>(k)];
      for (int64_t n = first; n < end; ++n) {
        const int code = parts.codes.values[static_cast<size_t>(parts.code_at.At(n, k))];
        const int zero =
            matrix.zeros ? parts.zeros.values[static_cast<size_t>(parts.zero_at.At(n, g))] : middle;
        const float scale = parts.scales[static_cast<size_t>(parts.scale_at.At(n, g))];
        // 11 bits of fp16 times 9: exact in fp32, so that Store rounds once.
        Store(scale * static_cast<float>(code - zero), out[static_cast<size_t>(n * matrix.k + k)]);
      }
    }
  }
}

/// [outputs][inputs] of an array in the file's order, what fills up its words left out.
template <class T>
std::vector<T> ByOutput(std::span<const T> from, Strides at, int64_t outputs, int64_t inputs) {
  std::vector<T> to(static_cast<size_t>(outputs * inputs));
  for (int64_t first = 0; first < outputs; first += kTile) {
    const int64_t end = std::min(outputs, first + kTile);
    for (int64_t i = 0; i < inputs; ++i) {
      for (int64_t n = first; n < end; ++n) {
        to[static_cast<size_t>(n * inputs + i)] = from[static_cast<size_t>(at.At(n, i))];
      }
    }
  }
  return to;
}

Parts PartsOf(const ForeignMatrix& matrix) {
  Parts parts{.codes = Unpack(matrix.codes),
              .zeros = matrix.zeros ? Unpack(*matrix.zeros) : UnpackedCodes(),
              .scales = ToFloats(matrix.scales),
              .code_at = {},
              .zero_at = {},
              .scale_at = StridesOf(matrix.inputs_first, matrix.scales.dim(1))};
  parts.code_at = StridesOf(matrix.inputs_first, parts.codes.columns);
  parts.zero_at = StridesOf(matrix.inputs_first, parts.zeros.columns);
  return parts;
}

int64_t GroupsOf(const ForeignMatrix& matrix) {
  return matrix.scales.dim(matrix.inputs_first ? 0 : 1);
}

}  // namespace

UnpackedCodes Unpack(const PackedCodes& packed) {
  const int64_t rows = packed.words.dim(0);
  const int64_t columns = packed.words.dim(1);
  const int count = kWordBits / packed.bits;
  const uint32_t mask = (uint32_t{1} << packed.bits) - 1;
  ATOM_CHECK(!packed.interleaved || count == std::ssize(kInterleaved), "{} bits", packed.bits);
  UnpackedCodes codes;
  codes.rows = packed.along_columns ? rows : rows * count;
  codes.columns = packed.along_columns ? columns * count : columns;
  codes.values.resize(static_cast<size_t>(codes.rows * codes.columns));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      const uint32_t word = WordAt(packed.words, row * columns + column) + packed.added;
      for (int i = 0; i < count; ++i) {
        const int element = packed.interleaved ? kInterleaved[static_cast<size_t>(i)] : i;
        const int64_t index = packed.along_columns ? row * codes.columns + column * count + element
                                                   : (row * count + element) * columns + column;
        codes.values[static_cast<size_t>(index)] =
            static_cast<uint8_t>(word >> (i * packed.bits) & mask);
      }
    }
  }
  return codes;
}

StoredCodes CodesOf(const ForeignMatrix& matrix) {
  const Parts parts = PartsOf(matrix);
  const int64_t groups = GroupsOf(matrix);
  StoredCodes codes{.n = matrix.n,
                    .k = matrix.k,
                    .bits = matrix.codes.bits,
                    .value = matrix.scales.dtype,
                    .scale = matrix.scales.dtype,
                    .group = matrix.group,
                    .groups_of = matrix.groups_of,
                    .file = matrix.file};
  codes.codes = ByOutput<uint8_t>(parts.codes.values, parts.code_at, matrix.n, matrix.k);
  codes.scales = ByOutput<float>(parts.scales, parts.scale_at, matrix.n, groups);
  if (matrix.zeros) {
    codes.zeros = ByOutput<uint8_t>(parts.zeros.values, parts.zero_at, matrix.n, groups);
  }
  return codes;
}

CodeSizes CodeSizesOf(const ForeignMatrix& matrix) {
  return {.n = matrix.n,
          .k = matrix.k,
          .groups = GroupsOf(matrix),
          .bits = matrix.codes.bits,
          .parameter_bytes = matrix.scales.dtype == DType::kF16 ? 4 : 6};
}

Buffer Dequantize(const ForeignMatrix& matrix) {
  const Parts parts = PartsOf(matrix);
  Buffer out(static_cast<size_t>(matrix.n * matrix.k * DTypeSize(matrix.scales.dtype)));
  switch (matrix.scales.dtype) {
    case DType::kF16:
      Multiply(matrix, parts, out.As<Half>());
      return out;
    case DType::kBF16:
      Multiply(matrix, parts, out.As<BFloat16>());
      return out;
    default:
      Multiply(matrix, parts, out.As<float>());
      return out;
  }
}

}  // namespace atom::io
