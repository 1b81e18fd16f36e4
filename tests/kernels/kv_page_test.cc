#include "atom/kernels/cpu/kv_page.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <vector>

namespace atom::kernels::cpu {
namespace {

using quant::KvStorage;

TEST(KvPage, Int4ByHand) {
  const KvPageLayout layout{{.storage = KvStorage::kInt4}, /*kv_heads=*/2, /*head_dim=*/8};
  EXPECT_EQ(layout.RowBytes(), 4);
  EXPECT_EQ(layout.KeyWords(), 1);
  EXPECT_EQ(layout.ValueLines(), 1);   // of 32 channels
  EXPECT_EQ(layout.HeadBytes(), 448);  // 64 of K, 4 · 64 of V, 4 · 32 of scales and zero points
  EXPECT_EQ(layout.KeyOffset(1), 448);
  EXPECT_EQ(layout.ValueOffset(0, 0), 64);  // behind a word of 4 bytes for each of 16 positions
  EXPECT_EQ(layout.ValueOffset(1, 3), 448 + 64);
  EXPECT_EQ(layout.ValueOffset(1, 4), 448 + 64 + 64);
  EXPECT_EQ(layout.ScaleOffset({0, 0, 0}), 320);
  EXPECT_EQ(layout.ScaleOffset({0, 0, 3}), 326);
  EXPECT_EQ(layout.ZeroOffset({0, 0, 0}), 352);
  EXPECT_EQ(layout.ScaleOffset({1, 1, 15}), 448 + 384 + 30);
  EXPECT_EQ(layout.ZeroOffset({1, 1, 15}), 448 + 416 + 30);
  EXPECT_EQ(layout.PageBytes(), 896);
}

/// Codes 1, 2, … of a row, as PutCodes takes them.
std::vector<uint8_t> Numbered(const KvPageLayout& layout) {
  std::vector<uint8_t> codes(static_cast<size_t>(layout.PaddedCodes()));
  for (int64_t i = 0; i < layout.head_dim; ++i) {
    codes[static_cast<size_t>(i)] = static_cast<uint8_t>(i + 1);
  }
  return codes;
}

TEST(KvPage, BytesByHand) {
  const KvPageLayout layout{{.storage = KvStorage::kInt8}, /*kv_heads=*/2, /*head_dim=*/6};
  EXPECT_EQ(layout.KeyWords(), 2);  // 6 bytes and 2 that nobody reads
  std::vector<std::byte> page(static_cast<size_t>(layout.PageBytes()));
  constexpr size_t head = 512;  // 128 of K, 256 of V, 128 of scales and zero points
  EXPECT_EQ(layout.KeyOffset(1), head);
  layout.PutCodes({0, 1, 3}, Numbered(layout).data(), page.data());
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(page[head + 3 * 4 + i], std::byte(i + 1));
  EXPECT_EQ(page[head + 64 + 3 * 4], std::byte{5});
  EXPECT_EQ(page[head + 64 + 3 * 4 + 1], std::byte{6});
  layout.PutCodes({1, 1, 6}, Numbered(layout).data(), page.data());
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(page[head + 128 + 64 + 4 * i + 2], std::byte(i + 1));
  EXPECT_EQ(std::count(page.begin(), page.end(), std::byte{0}), std::ssize(page) - 12);
}

TEST(KvPage, NibblesByHand) {
  const KvPageLayout layout{{.storage = KvStorage::kInt4}, /*kv_heads=*/1, /*head_dim=*/34};
  EXPECT_EQ(layout.KeyWords(), 5);
  EXPECT_EQ(layout.ValueLines(), 2);
  std::vector<std::byte> page(static_cast<size_t>(layout.PageBytes()));
  std::vector<uint8_t> codes = Numbered(layout);
  for (uint8_t& code : codes) code %= 16;
  layout.PutCodes({0, 0, 2}, codes.data(), page.data());
  EXPECT_EQ(page[8], std::byte{0x51});   // channels 0 and 4
  EXPECT_EQ(page[11], std::byte{0x84});  // 3 and 7
  EXPECT_EQ(page[4 * 64 + 9], std::byte{0x02});
  layout.PutCodes({1, 0, 13}, codes.data(), page.data());
  const size_t quad = 5 * 64 + 3 * 2 * 64;
  EXPECT_EQ(page[quad + 1], std::byte{0x11});           // channels 0 and 16
  EXPECT_EQ(page[quad + 4 * 15 + 1], std::byte{0x00});  // 15 and 31, both 16 modulo 16
  EXPECT_EQ(page[quad + 64 + 4 + 1], std::byte{0x02});  // channel 33
}

TEST(KvPage, CodesComeBackAndDisturbNoOthers) {
  const quant::KvFormat three_bits = {.fake_bits = 3};
  for (const quant::KvFormat& format :
       {quant::KvFormat{.storage = KvStorage::kInt4}, {.storage = KvStorage::kInt8}, three_bits}) {
    for (const int64_t head_dim : {2, 6, 64, 80}) {
      const KvPageLayout layout{format, 2, head_dim};
      std::vector<std::byte> page(static_cast<size_t>(layout.PageBytes()));
      const auto code = [&](const KvRow& row, int64_t i) {
        const int64_t mark = row.which * 101 + row.head * 53 + row.position * 3 + i;
        return static_cast<uint8_t>(mark % (1 << format.CodeBits()));
      };
      std::vector<KvRow> rows;
      for (int which = 0; which < 2; ++which) {
        for (int64_t head = 0; head < 2; ++head) {
          for (int64_t p = 0; p < kKvPagePositions; ++p) rows.push_back({which, head, p});
        }
      }
      for (const KvRow& row : rows) {
        std::vector<uint8_t> codes(static_cast<size_t>(layout.PaddedCodes()));
        for (int64_t i = 0; i < head_dim; ++i) codes[static_cast<size_t>(i)] = code(row, i);
        layout.PutCodes(row, codes.data(), page.data());
      }
      for (const KvRow& row : rows) {
        for (int64_t i = 0; i < head_dim; ++i) {
          ASSERT_EQ(layout.CodeAt(row, i, page.data()), code(row, i))
              << row.which << " " << row.head << " " << row.position << " " << i;
        }
      }
    }
  }
}

TEST(KvPage, RowsComeBackAndDisturbNoOthers) {
  for (const KvStorage storage : {KvStorage::kBF16, KvStorage::kF16, KvStorage::kF32}) {
    for (const int64_t head_dim : {2, 6, 64}) {
      const KvPageLayout layout{{.storage = storage}, 2, head_dim};
      std::vector<std::byte> page(static_cast<size_t>(layout.PageBytes()));
      const auto row_of = [&](const KvRow& row) {
        std::vector<std::byte> bytes(static_cast<size_t>(layout.RowBytes()));
        for (size_t i = 0; i < bytes.size(); ++i) {
          const auto mark = row.which * 101 + row.head * 53 + row.position * 3;
          bytes[i] = static_cast<std::byte>(mark + static_cast<int64_t>(i));
        }
        return bytes;
      };
      std::vector<KvRow> rows;
      for (int which = 0; which < 2; ++which) {
        for (int64_t head = 0; head < 2; ++head) {
          for (int64_t p = 0; p < kKvPagePositions; ++p) rows.push_back({which, head, p});
        }
      }
      for (const KvRow& row : rows) layout.PutRow(row, row_of(row), page.data());
      for (const KvRow& row : rows) {
        std::vector<std::byte> bytes(static_cast<size_t>(layout.RowBytes()));
        layout.GetRow(row, page.data(), bytes);
        EXPECT_EQ(bytes, row_of(row)) << row.which << " " << row.head << " " << row.position;
      }
    }
  }
}

TEST(KvPage, FloatsHaveNoScales) {
  const KvPageLayout layout{{.storage = KvStorage::kBF16}, 1, 8};
  EXPECT_EQ(layout.RowBytes(), 16);
  EXPECT_EQ(layout.PageBytes(), 2 * 16 * 16);
}

TEST(KvPage, PartsDoNotOverlapAndPagesAreAligned) {
  for (const KvStorage storage :
       {KvStorage::kInt4, KvStorage::kInt8, KvStorage::kBF16, KvStorage::kF16, KvStorage::kF32}) {
    for (const int64_t kv_heads : {1, 3}) {
      for (const int64_t head_dim : {2, 8, 64, 80, 128}) {
        const KvPageLayout layout{{.storage = storage}, kv_heads, head_dim};
        const int64_t last = kv_heads - 1;
        int64_t end = last * layout.HeadBytes();
        EXPECT_EQ(layout.KeyOffset(last), end);
        end += layout.KeyWords() * 64;
        EXPECT_EQ(layout.ValueOffset(last, 0), end);
        end += layout.ValueBytes();
        EXPECT_GE(layout.ValueBytes(), kKvPagePositions * layout.RowBytes());
        for (int which = 0; layout.quantized() && which < 2; ++which) {
          EXPECT_EQ(layout.ScaleOffset({which, last, 0}), end);
          EXPECT_EQ(layout.ZeroOffset({which, last, 0}), end + 32);
          EXPECT_EQ(layout.ZeroOffset({which, last, 15}), end + 62);
          end += 64;
        }
        EXPECT_GE(layout.PageBytes(), end);
        EXPECT_LT(layout.PageBytes(), end + 64);
        EXPECT_EQ(layout.PageBytes() % 64, 0);
      }
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cpu
