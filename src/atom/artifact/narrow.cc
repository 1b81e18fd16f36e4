#include "atom/artifact/narrow.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "atom/core/check.h"
#include "atom/core/half.h"

namespace atom::artifact {
namespace {

constexpr int64_t kPiece = 16384;  // values read at once: tensors may be unaligned

/// visit(first, values) of one piece after the other, until it gives false.
template <class Visit>
void ForEachPiece(const TensorView& tensor, Visit visit) {
  std::vector<float> values;
  const int64_t elements = tensor.elements();
  for (int64_t first = 0; first < elements; first += kPiece) {
    values.resize(static_cast<size_t>(std::min(kPiece, elements - first)));
    ReadFloats(tensor, first, values);
    if (!visit(first, values)) return;
  }
}

template <class T>
bool IsExact(const TensorView& tensor, T (*narrow)(float)) {
  bool exact = true;
  ForEachPiece(tensor, [&](int64_t, const std::vector<float>& values) {
    exact = std::ranges::all_of(values, [&](float value) {
      return std::bit_cast<uint32_t>(ToFloat(narrow(value))) == std::bit_cast<uint32_t>(value);
    });
    return exact;
  });
  return exact;
}

template <class T>
Buffer Narrowed(const TensorView& tensor, T (*narrow)(float)) {
  Buffer buffer(static_cast<size_t>(tensor.elements()) * sizeof(T));
  T* out = reinterpret_cast<T*>(buffer.data());
  ForEachPiece(tensor, [&](int64_t first, const std::vector<float>& values) {
    std::ranges::transform(values, out + first, narrow);
    return true;
  });
  return buffer;
}

}  // namespace

DType NarrowestExact(const TensorView& tensor) {
  if (tensor.dtype != DType::kF32) return tensor.dtype;
  if (IsExact(tensor, ToBFloat16)) return DType::kBF16;
  return IsExact(tensor, ToHalf) ? DType::kF16 : DType::kF32;
}

Buffer Narrow(const TensorView& tensor, DType dtype) {
  ATOM_CHECK(tensor.dtype == DType::kF32 && (dtype == DType::kBF16 || dtype == DType::kF16),
             "{} as {}", DTypeName(tensor.dtype), DTypeName(dtype));
  return dtype == DType::kF16 ? Narrowed(tensor, ToHalf) : Narrowed(tensor, ToBFloat16);
}

}  // namespace atom::artifact
