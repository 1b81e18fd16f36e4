#include "atom/model/kv_cache.h"

namespace atom::model {

kernels::KvLayer MakeKvLayer(kernels::Backend& backend, const kernels::KvPageLayout& layout,
                             int64_t pages) {
  return {.layout = layout,
          .pages = pages,
          .data = backend.Allocate(static_cast<size_t>(pages * layout.PageBytes()))};
}

KvCache::KvCache(kernels::Backend& backend, const std::vector<kernels::KvPageLayout>& layouts,
                 int64_t pages)
    : pages_(pages) {
  layers_.reserve(layouts.size());
  for (const kernels::KvPageLayout& layout : layouts) {
    layers_.push_back(MakeKvLayer(backend, layout, pages));
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
