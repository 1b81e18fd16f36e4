#include "atom/kernels/kv_page.h"

namespace atom::kernels {
namespace {

constexpr int64_t kScaleBytes = 2;  // fp16
constexpr int64_t kPageAlignment = 64;

}  // namespace

bool KvPageLayout::quantized() const {
  return format.storage == quant::KvStorage::kInt4 || format.storage == quant::KvStorage::kInt8;
}

int64_t KvPageLayout::RowOffset(int which, int64_t head, int64_t position) const {
  return ((which * kv_heads + head) * kKvPagePositions + position) * RowBytes();
}

int64_t KvPageLayout::ScaleOffset(int which, int64_t head, int64_t position) const {
  const int64_t codes = 2 * kv_heads * kKvPagePositions * RowBytes();
  return codes + ((which * kv_heads + head) * kKvPagePositions + position) * kScaleBytes;
}

int64_t KvPageLayout::ZeroOffset(int which, int64_t head, int64_t position) const {
  return ScaleOffset(which, head, position) + 2 * kv_heads * kKvPagePositions * kScaleBytes;
}

int64_t KvPageLayout::PageBytes() const {
  const int64_t codes = 2 * kv_heads * kKvPagePositions * RowBytes();
  const int64_t params = quantized() ? 2 * 2 * kv_heads * kKvPagePositions * kScaleBytes : 0;
  return (codes + params + kPageAlignment - 1) / kPageAlignment * kPageAlignment;
}

}  // namespace atom::kernels
