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
  for (int64_t page = 0; page < limit; ++page) {
    const std::optional<int32_t> hit =
        pages_.Find(HashBefore(sequence, page), TokensOf(sequence, page));
    if (!hit) break;
    sequence.pages.push_back(*hit);
    sequence.hashes.push_back(pages_.HashOf(*hit));
  }
  if (has_exact()) {
    sequence.tail_ends = {std::ssize(sequence.pages), limit};
    while (!sequence.pages.empty() && !FindTail(sequence)) {
      pages_.Release(sequence.pages.back());
      sequence.pages.pop_back();
      sequence.hashes.pop_back();
    }
  }
  sequence.computed = sequence.cached_tokens = RoomOf(sequence);
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
  const int64_t all = kernels::PagesFor(std::ssize(sequence.tokens), pool_.page_positions);
  if (all - std::ssize(sequence.pages) + running > pages_.available()) return false;
  if (!has_exact()) return true;
  const int64_t exact = std::min(all, tail_pages_ + 2);
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
  if (!has_exact()) return;
  // The last full page that is cached may become the end of a prefix: its tail stays.
  const int64_t full =
      prefix_cache_ ? std::ssize(sequence.hashes) : sequence.computed / pool_.page_positions;
  const auto unneeded = sequence.exact_pages.begin() +
                        std::max<int64_t>(0, full - tail_pages_ - sequence.first_exact_page());
  for (auto page = sequence.exact_pages.begin(); page < unneeded; ++page) exact_.Release(*page);
  sequence.exact_pages.erase(sequence.exact_pages.begin(), unneeded);
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
  for (; !sequence.pages.empty(); sequence.pages.pop_back()) pages_.Release(sequence.pages.back());
  sequence.computed = 0;
  sequence.hashes.clear();
}

}  // namespace atom::engine
