#include "atom/model/kv_cache.h"

namespace atom::model {

KvCache::KvCache(kernels::Backend& backend, const std::vector<kernels::KvShape>& shapes,
                 int64_t pages)
    : pool_{.pages = pages, .page_positions = backend.kv_page_positions()} {
  layers_.reserve(shapes.size());
  for (const kernels::KvShape& shape : shapes) layers_.push_back(backend.MakeKvLayer(shape, pages));
}

int64_t KvPageBytes(const kernels::Backend& backend, const std::vector<kernels::KvShape>& shapes) {
  int64_t bytes = 0;
  for (const kernels::KvShape& shape : shapes) bytes += backend.KvPageBytes(shape);
  return bytes;
}

}  // namespace atom::model
