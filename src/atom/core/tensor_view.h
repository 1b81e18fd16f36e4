// A TensorView points at a dense row-major tensor and never owns it; a Buffer (buffer.h) owns bytes
// and never views.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "atom/core/check.h"
#include "atom/core/dtype.h"
#include "atom/core/half.h"

namespace atom {

using Shape = std::vector<int64_t>;

/// "[4096, 512]"
std::string ShapeString(const Shape& shape);
/// Product of the dimensions; -1 when one is negative or the product does not fit int64.
int64_t ElementCount(const Shape& shape);

struct TensorView {
  DType dtype = DType::kF32;
  Shape shape;
  const std::byte* data = nullptr;  ///< may be unaligned: it can point into a mapped file

  int64_t elements() const { return ElementCount(shape); }
  int64_t bytes() const { return elements() * DTypeSize(dtype); }
  int64_t dim(size_t axis) const { return shape.at(axis); }
};

/// Widens elements [first, first + out.size()) of an F32, F16 or BF16 tensor.
void ReadFloats(const TensorView& tensor, int64_t first, std::span<float> out);
/// All elements of an F32, F16 or BF16 tensor, widened.
std::vector<float> ToFloats(const TensorView& tensor);

}  // namespace atom
