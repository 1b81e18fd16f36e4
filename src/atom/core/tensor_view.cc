#include "atom/core/tensor_view.h"

#include <cstring>

namespace atom {
namespace {

template <class T>
void Widen(const std::byte* data, int64_t first, std::span<float> out) {
  const std::byte* source = data + first * static_cast<int64_t>(sizeof(T));
  for (float& value : out) {
    T element;
    std::memcpy(&element, source, sizeof(T));
    value = ToFloat(element);
    source += sizeof(T);
  }
}

}  // namespace

std::string ShapeString(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

int64_t ElementCount(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) {
    if (dim < 0 || __builtin_mul_overflow(count, dim, &count)) return -1;
  }
  return count;
}

void ReadFloats(const TensorView& tensor, int64_t first, std::span<float> out) {
  ATOM_CHECK(first >= 0 && first + static_cast<int64_t>(out.size()) <= tensor.elements(),
             "elements [{}, +{}) of {}", first, out.size(), ShapeString(tensor.shape));
  if (tensor.dtype == DType::kF32) return Widen<float>(tensor.data, first, out);
  if (tensor.dtype == DType::kF16) return Widen<Half>(tensor.data, first, out);
  if (tensor.dtype == DType::kBF16) return Widen<BFloat16>(tensor.data, first, out);
  ATOM_CHECK(false, "{} is not a float weight type", DTypeName(tensor.dtype));
}

std::vector<float> ToFloats(const TensorView& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.elements()));
  ReadFloats(tensor, 0, values);
  return values;
}

}  // namespace atom
