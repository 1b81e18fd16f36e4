// Who uses which KV page. A page is free, cached (nobody uses it, but it still holds the tokens of
// a finished prefix and may be found again), or used by one sequence or, if it is full, by several.
//
//           Allocate              Release, nothing known of it
//   free ───────────▶ used ────────────────────────────────▶ free
//                      │ ▲
//    Release, Cache-d  ▼ │ Find
//                     cached ── Allocate, when nothing is free: the one released longest ago ──▶
//                     used
//
// Promises: no page has two meanings; used and available pages add up to all.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <vector>

#include "atom/engine/prefix_cache.h"

namespace atom::engine {

class PageAllocator {
 public:
  explicit PageAllocator(int64_t pages, BucketFunction bucket = LowBits);

  int64_t pages() const { return static_cast<int64_t>(users_.size()); }
  /// Pages that Allocate can give: free and cached ones.
  int64_t available() const;
  int64_t used() const { return pages() - available(); }

  /// A page for one user, to be written; nothing if all are in use.
  std::optional<int32_t> Allocate();
  /// One user less. Release the pages of a sequence last to first, so that what is dropped first
  /// is the end of a prefix.
  void Release(int32_t page);

  /// The page that holds `tokens` behind `parent`, with one user more.
  std::optional<int32_t> Find(const PageHash& parent, PageTokens tokens);
  bool Knows(const PageHash& parent, PageTokens tokens) const {
    return cache_.Find(parent, tokens).has_value();
  }
  /// `page` is full and will not be written any more: it may be found from now on, unless another
  /// page holds the same already. Gives the hash up to its end.
  PageHash Cache(const PageHash& parent, PageTokens tokens, int32_t page);
  const PageHash& HashOf(int32_t page) const { return cache_.HashOf(page); }
  /// `page`, which has users, will not be written after all: it is not found any more.
  void Forget(int32_t page);

 private:
  PrefixCache cache_;
  std::vector<int32_t> users_;                           // by page
  std::vector<int32_t> free_;                            // without users, nothing known of them
  std::list<int32_t> cached_;                            // without users, longest unused first
  std::vector<std::list<int32_t>::iterator> in_cached_;  // by page, if it is there
};

}  // namespace atom::engine
