#include "atom/kernels/cpu/kv_page.h"

#include <algorithm>
#include <cstring>

#include "atom/core/check.h"

namespace atom::kernels::cpu {
namespace {

constexpr int64_t kScaleBytes = 2;  // fp16
constexpr int64_t kScalesBytes = kKvPagePositions * kScaleBytes;
constexpr int64_t kHeadAlignment = 64;
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

int64_t KvPageLayout::HeadBytes() const {
  const int64_t codes = KeyWords() * kWordStride + kKvPagePositions * RowBytes();
  const int64_t scales = quantized() ? 4 * kScalesBytes : 0;
  return (codes + scales + kHeadAlignment - 1) / kHeadAlignment * kHeadAlignment;
}

int64_t KvPageLayout::KeyOffset(int64_t head) const { return head * HeadBytes(); }

int64_t KvPageLayout::ValueOffset(int64_t head, int64_t position) const {
  return KeyOffset(head) + KeyWords() * kWordStride + position * RowBytes();
}

int64_t KvPageLayout::ScaleOffset(const KvRow& row) const {
  return ValueOffset(row.head, kKvPagePositions) + 2 * row.which * kScalesBytes +
         row.position * kScaleBytes;
}

int64_t KvPageLayout::ZeroOffset(const KvRow& row) const { return ScaleOffset(row) + kScalesBytes; }

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

}  // namespace atom::kernels::cpu
