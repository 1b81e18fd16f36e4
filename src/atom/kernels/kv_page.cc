#include "atom/kernels/kv_page.h"

#include <algorithm>
#include <cstring>

#include "atom/core/check.h"

namespace atom::kernels {
namespace {

constexpr int64_t kScaleBytes = 2;  // fp16
constexpr int64_t kPageAlignment = 64;
constexpr int64_t kWordStride = kKvPagePositions * kKvWordBytes;

/// Calls move(offset in the row, offset in the page, bytes) for every word of a row of K.
template <class Move>
void ForKeyWords(const KvPageLayout& layout, const KvRow& row, const Move& move) {
  const int64_t first = layout.KeyOffset(row.head) + row.position * kKvWordBytes;
  for (int64_t word = 0; word < layout.KeyWords(); ++word) {
    const int64_t from = word * kKvWordBytes;
    move(from, first + word * kWordStride, std::min(kKvWordBytes, layout.RowBytes() - from));
  }
}

}  // namespace

bool KvPageLayout::quantized() const {
  return format.storage == quant::KvStorage::kInt4 || format.storage == quant::KvStorage::kInt8;
}

int64_t KvPageLayout::KeyOffset(int64_t head) const { return head * KeyWords() * kWordStride; }

int64_t KvPageLayout::ValueOffset(int64_t head, int64_t position) const {
  return KeyOffset(kv_heads) + (head * kKvPagePositions + position) * RowBytes();
}

int64_t KvPageLayout::CodeBytes() const { return ValueOffset(kv_heads, 0); }

int64_t KvPageLayout::ScaleOffset(const KvRow& row) const {
  const int64_t index = (row.which * kv_heads + row.head) * kKvPagePositions + row.position;
  return CodeBytes() + index * kScaleBytes;
}

int64_t KvPageLayout::ZeroOffset(const KvRow& row) const {
  return ScaleOffset(row) + 2 * kv_heads * kKvPagePositions * kScaleBytes;
}

int64_t KvPageLayout::PageBytes() const {
  const int64_t params = quantized() ? 2 * 2 * kv_heads * kKvPagePositions * kScaleBytes : 0;
  return (CodeBytes() + params + kPageAlignment - 1) / kPageAlignment * kPageAlignment;
}

void KvPageLayout::PutRow(const KvRow& row, std::span<const std::byte> bytes,
                          std::byte* page) const {
  ATOM_CHECK(std::ssize(bytes) == RowBytes(), "{} bytes of a row of {}", bytes.size(), RowBytes());
  if (row.which == 1) {
    std::memcpy(page + ValueOffset(row.head, row.position), bytes.data(), bytes.size());
    return;
  }
  ForKeyWords(*this, row, [&](int64_t from, int64_t to, int64_t count) {
    std::memcpy(page + to, bytes.data() + from, static_cast<size_t>(count));
  });
}

void KvPageLayout::GetRow(const KvRow& row, const std::byte* page,
                          std::span<std::byte> bytes) const {
  ATOM_CHECK(std::ssize(bytes) == RowBytes(), "{} bytes of a row of {}", bytes.size(), RowBytes());
  if (row.which == 1) {
    std::memcpy(bytes.data(), page + ValueOffset(row.head, row.position), bytes.size());
    return;
  }
  ForKeyWords(*this, row, [&](int64_t to, int64_t from, int64_t count) {
    std::memcpy(bytes.data() + to, page + from, static_cast<size_t>(count));
  });
}

}  // namespace atom::kernels
