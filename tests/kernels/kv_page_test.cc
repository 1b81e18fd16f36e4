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
  EXPECT_EQ(layout.HeadBytes(), 256);  // 64 of K, 64 of V, 4 · 32 of scales and zero points
  EXPECT_EQ(layout.KeyOffset(1), 256);
  EXPECT_EQ(layout.ValueOffset(0, 0), 64);  // behind a word of 4 bytes for each of 16 positions
  EXPECT_EQ(layout.ValueOffset(1, 3), 256 + 64 + 3 * 4);
  EXPECT_EQ(layout.ScaleOffset({0, 0, 0}), 128);
  EXPECT_EQ(layout.ScaleOffset({0, 0, 3}), 134);
  EXPECT_EQ(layout.ZeroOffset({0, 0, 0}), 160);
  EXPECT_EQ(layout.ScaleOffset({1, 1, 15}), 256 + 192 + 30);
  EXPECT_EQ(layout.ZeroOffset({1, 1, 15}), 256 + 224 + 30);
  EXPECT_EQ(layout.PageBytes(), 512);
}

std::vector<std::byte> Numbered(int64_t count) {
  std::vector<std::byte> bytes;
  for (int64_t i = 0; i < count; ++i) bytes.push_back(static_cast<std::byte>(i + 1));
  return bytes;
}

TEST(KvPage, WordsOfKLieSideBySideByHand) {
  const KvPageLayout layout{{.storage = KvStorage::kInt8}, /*kv_heads=*/2, /*head_dim=*/6};
  EXPECT_EQ(layout.KeyWords(), 2);  // 6 bytes and 2 that nobody reads
  std::vector<std::byte> page(static_cast<size_t>(layout.PageBytes()));
  layout.PutRow({0, 1, 3}, Numbered(6), page.data());
  constexpr int head = 384;  // 128 of K, 96 of V, 128 of scales and zero points, padded
  EXPECT_EQ(layout.KeyOffset(1), head);
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(page[static_cast<size_t>(head + 3 * 4 + i)], std::byte(i + 1));
  EXPECT_EQ(page[static_cast<size_t>(head + 64 + 3 * 4)], std::byte{5});
  EXPECT_EQ(page[static_cast<size_t>(head + 64 + 3 * 4 + 1)], std::byte{6});
  EXPECT_EQ(std::count(page.begin(), page.end(), std::byte{0}), std::ssize(page) - 6);
}

TEST(KvPage, RowsComeBackAndDisturbNoOthers) {
  for (const KvStorage storage : {KvStorage::kInt4, KvStorage::kInt8, KvStorage::kF32}) {
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
        end += kKvPagePositions * layout.RowBytes();
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
