#include "atom/io/tensor_source.h"

#include <algorithm>
#include <cstring>

#include "atom/io/stored_codes.h"

namespace atom::io {
namespace {

int64_t RowBytes(const TensorView& view) {
  return view.dim(0) == 0 ? 0 : view.bytes() / view.dim(0);
}

// `bytes` of room that the tensor then views and owns.
std::byte* Replace(FoundTensor& tensor, Shape shape, Buffer room) {
  tensor.view.shape = std::move(shape);
  tensor.view.data = room.data();
  tensor.owned = std::move(room);
  return tensor.owned.data();
}

bool OrderRows(FoundTensor& tensor, std::span<const int32_t> order) {
  const TensorView from = tensor.view;
  if (std::ssize(order) != from.dim(0)) return false;
  const auto row_bytes = static_cast<size_t>(RowBytes(from));
  const Buffer old = std::move(tensor.owned);  // what `from` may view
  std::byte* to = Replace(tensor, from.shape, Buffer(static_cast<size_t>(from.bytes())));
  for (const int32_t row : order) {
    if (row < 0 || row >= from.dim(0)) return false;
    std::memcpy(to, from.data + static_cast<size_t>(row) * row_bytes, row_bytes);
    to += row_bytes;
  }
  return true;
}

bool Transpose(FoundTensor& tensor) {
  const TensorView from = tensor.view;
  if (from.shape.size() != 2) return false;
  const auto size = static_cast<size_t>(DTypeSize(from.dtype));
  const int64_t rows = from.dim(0);
  const int64_t columns = from.dim(1);
  const Buffer old = std::move(tensor.owned);
  std::byte* to = Replace(tensor, {columns, rows}, Buffer(static_cast<size_t>(from.bytes())));
  for (int64_t column = 0; column < columns; ++column) {
    for (int64_t row = 0; row < rows; ++row) {
      std::memcpy(to, from.data + static_cast<size_t>(row * columns + column) * size, size);
      to += size;
    }
  }
  return true;
}

void Add(FoundTensor& tensor, float offset) {
  const TensorView from = tensor.view;
  const Buffer old = std::move(tensor.owned);
  Buffer sums(static_cast<size_t>(from.elements()) * sizeof(float));
  ReadFloats(from, 0, sums.As<float>());
  for (float& value : sums.As<float>()) value += offset;
  Replace(tensor, from.shape, std::move(sums));
  tensor.view.dtype = DType::kF32;
}

}  // namespace

std::optional<StoredCodes> TensorSource::FindCodes(std::string_view) const { return std::nullopt; }

std::optional<FoundTensor> SafetensorsSource::Find(std::string_view tensor) const {
  for (const SafetensorsFile& file : files_) {
    const TensorInfo* info = file.Find(tensor);
    if (info != nullptr) return FoundTensor{file.View(*info), {}, &file.source()};
  }
  return std::nullopt;
}

std::optional<FoundTensor> Take(FoundTensor tensor, const TensorPlace& place) {
  TensorView& view = tensor.view;
  if (place.as_it_is()) return tensor;
  if (view.shape.empty()) return std::nullopt;
  if (place.transposed && !Transpose(tensor)) return std::nullopt;
  if (place.rows > 0) {
    if (place.first_row < 0 || view.dim(0) - place.first_row < place.rows) return std::nullopt;
    view.data += place.first_row * RowBytes(view);
    view.shape[0] = place.rows;
  }
  if (!place.row_order.empty() && !OrderRows(tensor, place.row_order)) return std::nullopt;
  if (place.offset != 0.0f) Add(tensor, place.offset);
  return tensor;
}

}  // namespace atom::io
