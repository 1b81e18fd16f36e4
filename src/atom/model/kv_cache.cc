#include "atom/model/kv_cache.h"

namespace atom::model {

kernels::KvLayer MakeKvLayer(kernels::Backend& backend, const quant::KvFormat& format,
                             int64_t kv_heads, int64_t head_dim, int64_t pages) {
  kernels::KvLayer layer;
  layer.layout = {.format = format, .kv_heads = kv_heads, .head_dim = head_dim};
  layer.pages = pages;
  layer.data = backend.Allocate(static_cast<size_t>(pages * layer.layout.PageBytes()));
  return layer;
}

KvCache::KvCache(kernels::Backend& backend, const std::vector<quant::KvFormat>& formats,
                 int64_t kv_heads, int64_t head_dim, int64_t pages)
    : pages_(pages) {
  layers_.reserve(formats.size());
  for (const quant::KvFormat& format : formats) {
    layers_.push_back(MakeKvLayer(backend, format, kv_heads, head_dim, pages));
  }
}

int64_t KvCache::bytes() const {
  int64_t total = 0;
  for (const kernels::KvLayer& layer : layers_) total += static_cast<int64_t>(layer.data.bytes());
  return total;
}

int64_t PagesFor(int64_t positions) {
  return (positions + kernels::kKvPagePositions - 1) / kernels::kKvPagePositions;
}

}  // namespace atom::model
