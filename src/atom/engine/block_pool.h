// Who uses which KV page. A page is free, cached (nobody uses it, but it still holds the tokens of
// a finished prefix and may be found again), or used by one sequence or, if it is full, by several.
//
//            Take                 Release, unknown content
//   free ───────────▶ used ────────────────────────────────▶ free
//                      │ ▲
//     Release, Keep-ed ▼ │ Find
//                     cached ── Take, when nothing is free: the one released longest ago ──▶ used
//
// Promises: no page has two meanings; used and available pages add up to all.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <vector>

#include "atom/engine/prefix_cache.h"

namespace atom::engine {

class BlockPool {
 public:
  explicit BlockPool(int64_t pages, PageHash hash = HashPage);

  int64_t pages() const { return static_cast<int64_t>(users_.size()); }
  /// Pages that Take can give: free and cached ones.
  int64_t available() const;
  int64_t used() const { return pages() - available(); }

  /// A page for one user, to be written; nothing if all are in use.
  std::optional<int32_t> Take();
  /// One user less. Release the pages of a sequence last to first, so that what is dropped first
  /// is the end of a prefix.
  void Release(int32_t page);

  /// The page that holds `tokens` behind `parent`, with one user more.
  std::optional<int32_t> Find(Content parent, PageTokens tokens);
  /// `page` is full and will not be written any more: it may be found from now on, unless another
  /// page holds the same already. Gives the content up to its end.
  Content Keep(Content parent, PageTokens tokens, int32_t page);
  Content ContentOf(int32_t page) const { return cache_.ContentOf(page); }

 private:
  PrefixCache cache_;
  std::vector<int32_t> users_;                           // by page
  std::vector<int32_t> free_;                            // without users and content
  std::list<int32_t> cached_;                            // without users, longest unused first
  std::vector<std::list<int32_t>::iterator> in_cached_;  // by page, if it is there
};

}  // namespace atom::engine
