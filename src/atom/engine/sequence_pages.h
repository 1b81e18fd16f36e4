// The KV pages of sequences: taken as a sequence grows, given back when it stops, found again where
// an earlier sequence began alike. Where the model has an exact window, the newest pages have exact
// pages beside them (kernels/batch.h), in a pool of their own:
//
//   pages         p0 p1 p2 p3 p4 p5           room for all positions so far
//   exact pages            e3 e4 e5           beside the last ones; e3 goes once no query needs it
//
// A prefix of n pages can only be continued with the exact pages in front of its end, its *tail*:
// e(n - tail) … e(n - 1). Tails are kept, as long as there is room, at the end of a prompt, where a
// prompt left what was cached, where a sequence stopped, and every kPagesBetweenTails pages. What
// is found ends at the last tail that is kept.
//
// Where all layers have a window, pages that no later query sees are given back while a sequence
// runs (Sequence::first_page). They stay cached as long as there is room. A prefix of n pages is
// found where those are cached that a query behind it sees, whether or not the first ones are.
//
// A page may be found from when it is planned, before it is written: each layer of a step writes K
// and V of all rows before any of them attends, so its reader may be in the writer's own step.
#pragma once

#include <cstdint>
#include <span>

#include "atom/engine/page_allocator.h"
#include "atom/engine/sequence.h"
#include "atom/kernels/batch.h"

namespace atom::engine {

class SequencePages {
 public:
  SequencePages(const kernels::PagePool& pool, bool prefix_cache);

  const PageAllocator& pages() const { return pages_; }
  const PageAllocator& exact_pages() const { return exact_; }
  bool prefix_cache() const { return prefix_cache_; }
  /// Positions that a sequence has pages for.
  int64_t RoomOf(const Sequence& sequence) const;

  /// Takes the pages that the cache has of its beginning: they count as computed. REQUIRES: it has
  /// none.
  void Reuse(Sequence& sequence);
  /// Whether it can begin beside `running` others, with a page more for each of those.
  bool CanBegin(const Sequence& sequence, int64_t running) const;
  /// Takes one page more; false if there is none.
  bool Extend(Sequence& sequence);
  /// `count` tokens more will be computed in the step that is planned, for certain: pages that they
  /// fill may be found by others. If the step fails, Release takes them back.
  void Plan(Sequence& sequence, int64_t count) {
    CacheFullPages(sequence, sequence.computed + count);
  }
  /// More is computed: full pages may be found by others, exact pages that no query needs go.
  void Advance(Sequence& sequence);
  /// The same for pages that were full before all of their tokens were known.
  void CacheFullPages(Sequence& sequence) { CacheFullPages(sequence, sequence.computed); }
  /// Gives back everything: nothing counts as computed.
  void Release(Sequence& sequence);

 private:
  bool has_exact() const { return pool_.exact_window > 0; }
  PageTokens TokensOf(const Sequence& sequence, int64_t page) const;
  static PageHash HashBefore(const Sequence& sequence, int64_t page);
  /// Pages from the beginning on, as far as the cache has them.
  void FindPages(Sequence& sequence, int64_t limit);
  /// The same behind a window: the longest prefix with all pages that a query behind it sees.
  void FindPagesInWindow(Sequence& sequence, int64_t limit);
  /// Takes those that a query behind `end` pages sees. REQUIRES: the cache knows them.
  void TakePagesBefore(Sequence& sequence, int64_t end, std::span<const PageHash> hashes);
  bool KnowsTail(const Sequence& sequence, int64_t end, std::span<const PageHash> hashes) const;
  /// The exact pages in front of the end of its pages; false, and none, if one is missing.
  bool FindTail(Sequence& sequence);
  /// Gives back pages that no query sees any more.
  void ReleaseUnseen(Sequence& sequence);
  /// Those that end at `end` tokens or before.
  void CacheFullPages(Sequence& sequence, int64_t end);
  /// Full pages of a step that never came.
  void ForgetUnwritten(Sequence& sequence);
  bool IsKept(const Sequence& sequence, int64_t page) const;
  void CacheExact(const Sequence& sequence, int64_t page);
  void ReleaseExact(Sequence& sequence);

  kernels::PagePool pool_;
  int64_t tail_pages_;  // of a tail
  bool prefix_cache_;
  PageAllocator pages_;
  PageAllocator exact_;
};

}  // namespace atom::engine
