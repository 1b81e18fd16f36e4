#include "atom/model/kv_cache.h"

#include <algorithm>

namespace atom::model {

KvCache::KvCache(kernels::Backend& backend, const std::vector<kernels::KvShape>& shapes,
                 const kernels::PagePool& pool)
    : pool_(pool) {
  layers_.reserve(shapes.size());
  for (const kernels::KvShape& shape : shapes) layers_.push_back(backend.MakeKvLayer(shape, pool));
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
