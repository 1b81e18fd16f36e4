#include "atom/io/stored_codes.h"

#include <algorithm>

namespace atom::io {
namespace {

/// Rows of an array [N][columns], which may be empty.
template <class T>
void KeepRows(std::vector<T>& values, int64_t n, const std::vector<int64_t>& rows) {
  if (values.empty()) return;
  const int64_t columns = std::ssize(values) / n;
  std::vector<T> kept;
  kept.reserve(rows.size() * static_cast<size_t>(columns));
  for (const int64_t row : rows) {
    kept.insert(kept.end(), values.begin() + row * columns, values.begin() + (row + 1) * columns);
  }
  values = std::move(kept);
}

}  // namespace

std::optional<StoredCodes> TakeRows(StoredCodes codes, const TensorPlace& place) {
  if (place.as_it_is()) return codes;
  if (place.transposed || place.offset != 0.0f) return std::nullopt;
  const int64_t count = place.rows > 0 ? place.rows : codes.n;
  if (place.first_row < 0 || codes.n - place.first_row < count) return std::nullopt;
  if (!place.row_order.empty() && std::ssize(place.row_order) != count) return std::nullopt;
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < count; ++row) {
    const int64_t from = place.row_order.empty() ? row : place.row_order[static_cast<size_t>(row)];
    if (from < 0 || from >= count) return std::nullopt;
    rows.push_back(place.first_row + from);
  }
  KeepRows(codes.codes, codes.n, rows);
  KeepRows(codes.scales, codes.n, rows);
  KeepRows(codes.zeros, codes.n, rows);
  KeepRows(codes.offsets, codes.n, rows);
  codes.n = count;
  return codes;
}

}  // namespace atom::io
