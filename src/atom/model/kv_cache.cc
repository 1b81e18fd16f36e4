#include "atom/model/kv_cache.h"

#include <algorithm>

#include "atom/core/check.h"

namespace atom::model {

KvCache::KvCache(kernels::Backend& backend, const std::vector<kernels::KvShape>& shapes,
                 const kernels::PagePool& pool, bool shared)
    : pool_(pool), shared_(shared) {
  layers_.reserve(shapes.size());
  for (const kernels::KvShape& shape : shapes) {
    layers_.push_back(backend.MakeKvLayer(shape, pool));
    if (!shared) continue;
    for (const kernels::KvShape& other : shapes) {
      ATOM_CHECK(other.kv_heads == shape.kv_heads && other.head_dim == shape.head_dim,
                 "layers of several shapes cannot share their pages");
    }
    return;
  }
}

int64_t ExactWindowOf(const std::vector<kernels::KvShape>& shapes) {
  int64_t window = 0;
  for (const kernels::KvShape& shape : shapes) {
    window = std::max(window, shape.format.exact_window);
  }
  return window;
}

int64_t ExactPagesFor(const kernels::PagePool& pool, const StepLimits& limits) {
  if (pool.exact_window == 0) return 0;
  const int64_t sequences = limits.most_sequences();
  const int64_t running = kernels::ExactPagesOfStep(pool, limits.rows, sequences);
  const int64_t tails = 2 * sequences + pool.pages / kPagesBetweenTails;
  const int64_t tail_pages = kernels::PagesFor(pool.exact_window, pool.page_positions);
  return std::min(pool.pages, running + tails * tail_pages);
}

int64_t KvPageBytes(const kernels::Backend& backend, const std::vector<kernels::KvShape>& shapes) {
  int64_t bytes = 0;
  for (const kernels::KvShape& shape : shapes) bytes += backend.KvPageBytes(shape);
  return bytes;
}

int64_t ExactPageBytes(const kernels::Backend& backend,
                       const std::vector<kernels::KvShape>& shapes) {
  int64_t bytes = 0;
  for (const kernels::KvShape& shape : shapes) {
    if (shape.format.exact_window > 0) bytes += backend.KvPageBytes(shape.Exact());
  }
  return bytes;
}

}  // namespace atom::model
