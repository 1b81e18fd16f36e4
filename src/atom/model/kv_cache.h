// The paged KV cache of a model: one pool of pages a layer, all of the same number of pages, so
// that one page list a sequence serves every layer. Where the model has an exact window, likewise
// one pool of exact pages (kernels/batch.h).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "atom/kernels/backend.h"
#include "atom/model/step_plan.h"

namespace atom::model {

class KvCache {
 public:
  /// `shapes` has one entry a layer. Where `shared`, all layers write to the pages of the first:
  /// what they attend to is nonsense then, but takes as long. REQUIRES: shapes alike, for that.
  KvCache(kernels::Backend& backend, const std::vector<kernels::KvShape>& shapes,
          const kernels::PagePool& pool, bool shared = false);

  kernels::PagePool pool() const { return pool_; }
  int64_t pages() const { return pool_.pages; }
  kernels::KvLayer& layer(int64_t index) {
    return shared_ ? *layers_.front() : *layers_.at(static_cast<size_t>(index));
  }

 private:
  kernels::PagePool pool_;
  bool shared_;
  std::vector<std::unique_ptr<kernels::KvLayer>> layers_;
};

/// The exact window of a model whose layers have these shapes; 0: none.
int64_t ExactWindowOf(const std::vector<kernels::KvShape>& shapes);

/// A cached prefix can be continued where the exact pages before its end are kept, its *tail*: at
/// the end of a prompt, of an answer, and every so many pages.
inline constexpr int64_t kPagesBetweenTails = 32;
/// Exact pages for a pool of `pool.pages` pages: of sequences that run, and of the tails of as many
/// prompts and answers and of long prefixes. No more than pages: each is beside one.
int64_t ExactPagesFor(const kernels::PagePool& pool, const StepLimits& limits);

/// Bytes of a page in all layers, and of an exact page.
int64_t KvPageBytes(const kernels::Backend& backend, const std::vector<kernels::KvShape>& shapes);
int64_t ExactPageBytes(const kernels::Backend& backend,
                       const std::vector<kernels::KvShape>& shapes);

}  // namespace atom::model
