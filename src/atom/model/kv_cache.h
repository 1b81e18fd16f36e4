// The paged KV cache of a model: one pool of pages a layer, all of the same number of pages, so
// that one block table serves every layer.
#pragma once

#include <cstdint>
#include <vector>

#include "atom/kernels/backend.h"

namespace atom::model {

kernels::KvLayer MakeKvLayer(kernels::Backend& backend, const kernels::KvPageLayout& layout,
                             int64_t pages);

class KvCache {
 public:
  /// `layouts` has one entry a layer.
  KvCache(kernels::Backend& backend, const std::vector<kernels::KvPageLayout>& layouts,
          int64_t pages);

  int64_t pages() const { return pages_; }
  kernels::KvLayer& layer(int64_t index) { return layers_.at(static_cast<size_t>(index)); }
  int64_t bytes() const;

 private:
  int64_t pages_;
  std::vector<kernels::KvLayer> layers_;
};

/// Pages that hold `positions` positions.
int64_t PagesFor(int64_t positions);

}  // namespace atom::model
