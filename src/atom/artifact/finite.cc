#include "atom/artifact/finite.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "atom/io/quote.h"

namespace atom::artifact {
namespace {

constexpr int64_t kBlock = 4096;  // elements looked at before the first branch

// The first of `count` little-endian words for which is_bad. A block at a time without branches,
// which compilers turn into vector code; the words may be unaligned.
template <class Word, class IsBad>
int64_t FirstBad(const std::byte* data, int64_t count, IsBad is_bad) {
  const auto word_at = [data](int64_t i) {
    Word word;
    std::memcpy(&word, data + i * static_cast<int64_t>(sizeof(Word)), sizeof(Word));
    return word;
  };
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(count, begin + kBlock);
    Word any = 0;
    for (int64_t i = begin; i < end; ++i) any |= is_bad(word_at(i)) ? Word{1} : Word{0};
    if (any == 0) continue;
    for (int64_t i = begin; i < end; ++i) {
      if (is_bad(word_at(i))) return i;
    }
  }
  return -1;
}

// NaN and infinity are the values whose exponent is all ones.
template <class Word>
int64_t FirstWithExponent(const TensorView& tensor, Word exponent) {
  return FirstBad<Word>(tensor.data, tensor.elements(),
                        [exponent](Word word) { return (word & exponent) == exponent; });
}

}  // namespace

int64_t FirstNonFinite(const TensorView& tensor) {
  switch (tensor.dtype) {
    case DType::kF32:
      return FirstWithExponent<uint32_t>(tensor, 0x7f800000u);
    case DType::kF16:
      return FirstWithExponent<uint16_t>(tensor, 0x7c00u);
    case DType::kBF16:
      return FirstWithExponent<uint16_t>(tensor, 0x7f80u);
    default:
      ATOM_CHECK(IsFloatWeight(tensor.dtype), "{} is no weight", DTypeName(tensor.dtype));
      return -1;
  }
}

int64_t FirstBadScale(const TensorView& scales) {
  ATOM_CHECK(scales.dtype == DType::kF16, "scales in {}", DTypeName(scales.dtype));
  // Good bits are 0x0001 (2^-24) to 0x7bff (65504); 0 wraps around to the top.
  return FirstBad<uint16_t>(scales.data, scales.elements(), [](uint16_t bits) {
    return static_cast<uint16_t>(bits - 1u) >= 0x7bffu;
  });
}

Status CheckFinite(const TensorView& tensor, const std::string& name, const std::string& file) {
  const int64_t bad = FirstNonFinite(tensor);
  if (bad < 0) return {};
  std::array<float, 1> value;
  ReadFloats(tensor, bad, value);
  return MakeError("{}: tensor {}: element {} is {}, expected finite values", file, io::Quote(name),
                   PositionString(tensor.shape, bad), value[0]);
}

std::string PositionString(const Shape& shape, int64_t flat) {
  Shape position(shape.size());
  for (size_t axis = shape.size(); axis-- > 0;) {
    position[axis] = flat % shape[axis];
    flat /= shape[axis];
  }
  return ShapeString(position);
}

}  // namespace atom::artifact
