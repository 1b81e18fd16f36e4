#include "atom/kernels/kv_page.h"

#include <gtest/gtest.h>

namespace atom::kernels {
namespace {

using quant::KvStorage;

TEST(KvPage, Int4ByHand) {
  const KvPageLayout layout{{.storage = KvStorage::kInt4}, /*kv_heads=*/2, /*head_dim=*/8};
  EXPECT_EQ(layout.RowBytes(), 4);
  EXPECT_EQ(layout.RowOffset(0, 0, 1), 4);
  EXPECT_EQ(layout.RowOffset(0, 1, 0), 64);
  EXPECT_EQ(layout.RowOffset(1, 0, 0), 128);
  EXPECT_EQ(layout.ScaleOffset(0, 0, 0), 256);  // behind 2 · 2 · 16 rows of 4 bytes
  EXPECT_EQ(layout.ScaleOffset(0, 0, 3), 262);
  EXPECT_EQ(layout.ScaleOffset(1, 1, 15), 256 + 63 * 2);
  EXPECT_EQ(layout.ZeroOffset(0, 0, 0), 384);
  EXPECT_EQ(layout.PageBytes(), 512);
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
        int64_t end = 0;
        for (int which = 0; which < 2; ++which) {
          for (int64_t head = 0; head < kv_heads; ++head) {
            for (int64_t position = 0; position < kKvPagePositions; ++position) {
              EXPECT_EQ(layout.RowOffset(which, head, position), end);
              end += layout.RowBytes();
            }
          }
        }
        if (layout.quantized()) {
          const int64_t scales = 2 * kv_heads * kKvPagePositions * 2;
          EXPECT_EQ(layout.ScaleOffset(0, 0, 0), end);
          EXPECT_EQ(layout.ZeroOffset(0, 0, 0), end + scales);
          EXPECT_EQ(layout.ZeroOffset(1, kv_heads - 1, 15), end + 2 * scales - 2);
          end += 2 * scales;
        }
        EXPECT_GE(layout.PageBytes(), end);
        EXPECT_LT(layout.PageBytes(), end + 64);
        EXPECT_EQ(layout.PageBytes() % 64, 0);
      }
    }
  }
}

}  // namespace
}  // namespace atom::kernels
