// The paged KV cache of a model: one pool of pages a layer, all of the same number of pages, so
// that one page list a sequence serves every layer.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "atom/kernels/backend.h"

namespace atom::model {

class KvCache {
 public:
  /// `shapes` has one entry a layer.
  KvCache(kernels::Backend& backend, const std::vector<kernels::KvShape>& shapes, int64_t pages);

  kernels::PagePool pool() const { return pool_; }
  int64_t pages() const { return pool_.pages; }
  kernels::KvLayer& layer(int64_t index) { return *layers_.at(static_cast<size_t>(index)); }

 private:
  kernels::PagePool pool_;
  std::vector<std::unique_ptr<kernels::KvLayer>> layers_;
};

/// Bytes of a page in all layers.
int64_t KvPageBytes(const kernels::Backend& backend, const std::vector<kernels::KvShape>& shapes);

}  // namespace atom::model
