#include "atom/engine/sequence_pages.h"

#include <algorithm>

#include "atom/core/check.h"
#include "atom/model/kv_cache.h"

namespace atom::engine {

SequencePages::SequencePages(const kernels::PagePool& pool, bool prefix_cache)
    : pool_(pool),
      tail_pages_(kernels::PagesFor(pool.exact_window, pool.page_positions)),
      prefix_cache_(prefix_cache),
      pages_(pool.pages),
      exact_(pool.exact_pages) {
  // The first in rank gets on with its tail, the page it is in and the next.
  const int64_t least = has_exact() ? std::min(pool.pages, tail_pages_ + 2) : 0;
  ATOM_CHECK(pool.exact_pages >= least, "{} exact pages, expected at least {}", pool.exact_pages,
             least);
}

int64_t SequencePages::RoomOf(const Sequence& sequence) const {
  return std::ssize(sequence.pages) * pool_.page_positions;
}

PageTokens SequencePages::TokensOf(const Sequence& sequence, int64_t page) const {
  return PageTokens(sequence.tokens)
      .subspan(static_cast<size_t>(page * pool_.page_positions),
               static_cast<size_t>(pool_.page_positions));
}

PageHash SequencePages::HashBefore(const Sequence& sequence, int64_t page) {
  return page == 0 ? kNoPages : sequence.hashes[static_cast<size_t>(page) - 1];
}

void SequencePages::Reuse(Sequence& sequence) {
  sequence.cached_tokens = 0;
  sequence.tail_ends = {};
  if (!prefix_cache_) return;
  // Never all tokens: the logits behind the last are wanted, and shared pages are not written.
  const int64_t limit = sequence.reusable() / pool_.page_positions;
  if (pool_.window > 0) {
    FindPagesInWindow(sequence, limit);
  } else {
    FindPages(sequence, limit);
  }
  sequence.computed = sequence.cached_tokens = RoomOf(sequence);
}

void SequencePages::FindPages(Sequence& sequence, int64_t limit) {
  for (int64_t page = 0; page < limit; ++page) {
    const std::optional<int32_t> hit =
        pages_.Find(HashBefore(sequence, page), TokensOf(sequence, page));
    if (!hit) break;
    sequence.pages.push_back(*hit);
    sequence.hashes.push_back(pages_.HashOf(*hit));
  }
  if (!has_exact()) return;
  sequence.tail_ends = {std::ssize(sequence.pages), limit};
  while (!sequence.pages.empty() && !FindTail(sequence)) {
    pages_.Release(sequence.pages.back());
    sequence.pages.pop_back();
    sequence.hashes.pop_back();
  }
}

void SequencePages::FindPagesInWindow(Sequence& sequence, int64_t limit) {
  std::vector<PageHash> hashes;      // up to the end of each page
  std::vector<int64_t> known_since;  // by page: the first of the run of known pages that it ends
  for (int64_t page = 0; page < limit; ++page) {
    const PageHash before = hashes.empty() ? kNoPages : hashes.back();
    const PageTokens tokens = TokensOf(sequence, page);
    const bool goes_on = page > 0 && known_since.back() < page;
    const int64_t since = goes_on ? known_since.back() : page;
    known_since.push_back(pages_.Knows(before, tokens) ? since : page + 1);
    hashes.push_back(HashPage(before, tokens));
  }
  if (has_exact()) sequence.tail_ends = {0, limit};
  for (int64_t end = limit; end > 0; --end) {
    const int64_t first = pool_.FirstVisiblePage(end * pool_.page_positions);
    if (known_since[static_cast<size_t>(end) - 1] > std::min(first, end - 1)) continue;
    if (has_exact() && sequence.tail_ends[0] == 0) sequence.tail_ends[0] = end;
    if (has_exact() && !KnowsTail(sequence, end, hashes)) continue;
    TakePagesBefore(sequence, end, hashes);
    return;
  }
}

void SequencePages::TakePagesBefore(Sequence& sequence, int64_t end,
                                    std::span<const PageHash> hashes) {
  // One page at least, so that there is something to stand in the place of those before.
  sequence.first_page = std::min(pool_.FirstVisiblePage(end * pool_.page_positions), end - 1);
  sequence.hashes.assign(hashes.begin(), hashes.begin() + end);
  sequence.pages.assign(static_cast<size_t>(sequence.first_page), -1);
  for (int64_t page = sequence.first_page; page < end; ++page) {
    sequence.pages.push_back(*pages_.Find(HashBefore(sequence, page), TokensOf(sequence, page)));
  }
  if (has_exact()) ATOM_CHECK(FindTail(sequence), "a tail that was known is gone");
}

bool SequencePages::KnowsTail(const Sequence& sequence, int64_t end,
                              std::span<const PageHash> hashes) const {
  for (int64_t page = std::max<int64_t>(0, end - tail_pages_); page < end; ++page) {
    const PageHash before = page == 0 ? kNoPages : hashes[static_cast<size_t>(page) - 1];
    if (!exact_.Knows(before, TokensOf(sequence, page))) return false;
  }
  return true;
}

bool SequencePages::FindTail(Sequence& sequence) {
  const int64_t end = std::ssize(sequence.pages);
  for (int64_t page = std::max<int64_t>(0, end - tail_pages_); page < end; ++page) {
    const std::optional<int32_t> hit =
        exact_.Find(HashBefore(sequence, page), TokensOf(sequence, page));
    if (!hit) {
      ReleaseExact(sequence);
      return false;
    }
    sequence.exact_pages.push_back(*hit);
  }
  return true;
}

bool SequencePages::CanBegin(const Sequence& sequence, int64_t running) const {
  const int64_t all = std::ssize(sequence.tokens);
  const int64_t held = std::ssize(sequence.pages) - sequence.first_page;
  if (pool_.PagesAtOnce(all) - held + running > pages_.available()) return false;
  if (!has_exact()) return true;
  const int64_t exact = std::min(kernels::PagesFor(all, pool_.page_positions), tail_pages_ + 2);
  return exact - std::ssize(sequence.exact_pages) + running <= exact_.available();
}

bool SequencePages::Extend(Sequence& sequence) {
  if (has_exact() && exact_.available() == 0) return false;
  const std::optional<int32_t> page = pages_.Allocate();
  if (!page) return false;
  sequence.pages.push_back(*page);
  if (has_exact()) sequence.exact_pages.push_back(*exact_.Allocate());
  return true;
}

void SequencePages::Advance(Sequence& sequence) {
  CacheFullPages(sequence);
  ReleaseUnseen(sequence);
  if (!has_exact()) return;
  // The last full page that is cached may become the end of a prefix: its tail stays.
  const int64_t full =
      prefix_cache_ ? std::ssize(sequence.hashes) : sequence.computed / pool_.page_positions;
  const auto unneeded = sequence.exact_pages.begin() +
                        std::max<int64_t>(0, full - tail_pages_ - sequence.first_exact_page());
  for (auto page = sequence.exact_pages.begin(); page < unneeded; ++page) exact_.Release(*page);
  sequence.exact_pages.erase(sequence.exact_pages.begin(), unneeded);
}

void SequencePages::ReleaseUnseen(Sequence& sequence) {
  // Not before the cache has heard of them.
  const int64_t full =
      prefix_cache_ ? std::ssize(sequence.hashes) : sequence.computed / pool_.page_positions;
  const int64_t first = std::min(full, pool_.FirstVisiblePage(sequence.computed));
  for (; sequence.first_page < first; ++sequence.first_page) {
    pages_.Release(sequence.pages[static_cast<size_t>(sequence.first_page)]);
  }
}

void SequencePages::CacheFullPages(Sequence& sequence, int64_t end) {
  if (!prefix_cache_) return;
  for (int64_t page = std::ssize(sequence.hashes); (page + 1) * pool_.page_positions <= end;
       ++page) {
    const PageTokens tokens = TokensOf(sequence, page);
    if (kernels::IsTokenSlot(tokens.back())) return;
    sequence.hashes.push_back(pages_.Cache(HashBefore(sequence, page), tokens,
                                           sequence.pages[static_cast<size_t>(page)]));
    if (has_exact() && IsKept(sequence, page)) CacheExact(sequence, page);
  }
}

bool SequencePages::IsKept(const Sequence& sequence, int64_t page) const {
  const auto before = [&](int64_t end) { return page < end && page >= end - tail_pages_; };
  constexpr int64_t kBetween = model::kPagesBetweenTails;
  return before((page / kBetween + 1) * kBetween) ||
         std::ranges::any_of(sequence.tail_ends, before);
}

void SequencePages::CacheExact(const Sequence& sequence, int64_t page) {
  const auto index = static_cast<size_t>(page - sequence.first_exact_page());
  exact_.Cache(HashBefore(sequence, page), TokensOf(sequence, page), sequence.exact_pages[index]);
}

void SequencePages::ReleaseExact(Sequence& sequence) {
  for (; !sequence.exact_pages.empty(); sequence.exact_pages.pop_back()) {
    exact_.Release(sequence.exact_pages.back());
  }
}

void SequencePages::ForgetUnwritten(Sequence& sequence) {
  for (auto page = std::ssize(sequence.hashes) - 1;
       (page + 1) * pool_.page_positions > sequence.computed; --page) {
    pages_.Forget(sequence.pages[static_cast<size_t>(page)]);
    const int64_t exact = page - sequence.first_exact_page();
    if (has_exact()) exact_.Forget(sequence.exact_pages[static_cast<size_t>(exact)]);
    sequence.hashes.pop_back();
  }
}

void SequencePages::Release(Sequence& sequence) {
  ForgetUnwritten(sequence);
  const int64_t end = std::ssize(sequence.hashes);
  const int64_t tail = std::max<int64_t>(0, end - tail_pages_);
  for (int64_t page = std::max(tail, sequence.first_exact_page()); has_exact() && page < end;
       ++page) {
    CacheExact(sequence, page);
  }
  ReleaseExact(sequence);
  while (std::ssize(sequence.pages) > sequence.first_page) {
    pages_.Release(sequence.pages.back());
    sequence.pages.pop_back();
  }
  sequence.pages.clear();
  sequence.first_page = 0;
  sequence.computed = 0;
  sequence.hashes.clear();
}

}  // namespace atom::engine
