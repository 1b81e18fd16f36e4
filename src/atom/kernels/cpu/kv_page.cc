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
constexpr int64_t kLineLanes = kKvLineBytes / kKvQuadPositions;

/// Calls move(offset in the row, offset in the page, bytes) for every word of a row of K.
template <class Move>
void ForKeyWords(const KvPageLayout& layout, const KvRow& row, const Move& move) {
  const int64_t first = layout.KeyOffset(row.head) + row.position * kKvWordBytes;
  for (int64_t word = 0; word < layout.KeyWords(); ++word) {
    const int64_t from = word * kKvWordBytes;
    move(from, first + word * kWordStride, std::min(kKvWordBytes, layout.RowBytes() - from));
  }
}

uint32_t FourBytes(const uint8_t* from) {
  uint32_t four;
  std::memcpy(&four, from, sizeof(four));
  return four;
}

}  // namespace

quant::KvStorage KvPageLayout::storage() const {
  if (!quantized() || format.packed()) return format.storage;
  return quant::KvStorage::kInt8;
}

int64_t KvPageLayout::ValueBytes() const {
  if (!quantized()) return kKvPagePositions * RowBytes();
  return kKvPagePositions / kKvQuadPositions * ValueLines() * kKvLineBytes;
}

int64_t KvPageLayout::HeadBytes() const {
  const int64_t values = KeyWords() * kWordStride + ValueBytes();
  const int64_t scales = quantized() ? 4 * kScalesBytes : 0;
  return (values + scales + kHeadAlignment - 1) / kHeadAlignment * kHeadAlignment;
}

int64_t KvPageLayout::KeyOffset(int64_t head) const { return head * HeadBytes(); }

int64_t KvPageLayout::ValueOffset(int64_t head, int64_t position) const {
  const int64_t first = KeyOffset(head) + KeyWords() * kWordStride;
  if (!quantized()) return first + position * RowBytes();
  return first + position / kKvQuadPositions * ValueLines() * kKvLineBytes;
}

int64_t KvPageLayout::ScaleOffset(const KvRow& row) const {
  return ValueOffset(row.head, 0) + ValueBytes() + 2 * row.which * kScalesBytes +
         row.position * kScaleBytes;
}

int64_t KvPageLayout::ZeroOffset(const KvRow& row) const { return ScaleOffset(row) + kScalesBytes; }

void KvPageLayout::PutRow(const KvRow& row, std::span<const std::byte> bytes,
                          std::byte* page) const {
  ATOM_CHECK(std::ssize(bytes) == RowBytes() && !quantized(), "{} bytes of a row of {}",
             bytes.size(), RowBytes());
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
  ATOM_CHECK(std::ssize(bytes) == RowBytes() && !quantized(), "{} bytes of a row of {}",
             bytes.size(), RowBytes());
  if (row.which == 1) {
    std::memcpy(bytes.data(), page + ValueOffset(row.head, row.position), bytes.size());
    return;
  }
  ForKeyWords(*this, row, [&](int64_t to, int64_t from, int64_t count) {
    std::memcpy(bytes.data() + to, page + from, static_cast<size_t>(count));
  });
}

void KvPageLayout::PutCodes(const KvRow& row, const uint8_t* codes, std::byte* page) const {
  const bool half = nibbles();
  if (row.which == 0) {
    const int64_t words = KeyWords();
    std::byte* to = page + KeyOffset(row.head) + row.position * kKvWordBytes;
    for (int64_t word = 0; word < words; ++word, to += kWordStride) {
      const uint8_t* from = codes + word * (half ? 8 : 4);
      const uint32_t four = half ? FourBytes(from) | FourBytes(from + 4) << 4 : FourBytes(from);
      std::memcpy(to, &four, sizeof(four));
    }
    return;
  }
  const int64_t lines = ValueLines();
  std::byte* to = page + ValueOffset(row.head, row.position) + row.position % kKvQuadPositions;
  for (int64_t line = 0; line < lines; ++line, to += kKvLineBytes) {
    const uint8_t* from = codes + line * kLineLanes * (half ? 2 : 1);
    for (int64_t i = 0; i < kLineLanes; ++i) {
      const int code = half ? from[i] | from[i + kLineLanes] << 4 : from[i];
      to[i * kKvQuadPositions] = static_cast<std::byte>(code);
    }
  }
}

uint8_t KvPageLayout::CodeAt(const KvRow& row, int64_t channel, const std::byte* page) const {
  int64_t at = 0;
  bool high = false;
  if (row.which == 0) {
    const int64_t channels = nibbles() ? 8 : 4;
    high = channel % channels >= 4;
    at = KeyOffset(row.head) + channel / channels * kWordStride + row.position * kKvWordBytes +
         channel % 4;
  } else {
    const int64_t channels = nibbles() ? 2 * kLineLanes : kLineLanes;
    high = channel % channels >= kLineLanes;
    at = ValueOffset(row.head, row.position) + channel / channels * kKvLineBytes +
         channel % kLineLanes * kKvQuadPositions + row.position % kKvQuadPositions;
  }
  const auto byte = std::to_integer<uint8_t>(page[at]);
  if (!nibbles()) return byte;
  return high ? byte >> 4 : byte & 15;
}

}  // namespace atom::kernels::cpu
