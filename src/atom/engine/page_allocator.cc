#include "atom/engine/page_allocator.h"

#include "atom/core/check.h"

namespace atom::engine {

PageAllocator::PageAllocator(int64_t pages, BucketFunction bucket)
    : cache_(pages, bucket),
      users_(static_cast<size_t>(pages), 0),
      in_cached_(static_cast<size_t>(pages)) {
  for (int64_t page = pages - 1; page >= 0; --page) free_.push_back(static_cast<int32_t>(page));
}

int64_t PageAllocator::available() const {
  return static_cast<int64_t>(free_.size() + cached_.size());
}

std::optional<int32_t> PageAllocator::Allocate() {
  int32_t page = 0;
  if (!free_.empty()) {
    page = free_.back();
    free_.pop_back();
  } else if (!cached_.empty()) {
    page = cached_.front();
    cached_.pop_front();
    cache_.Erase(page);
  } else {
    return std::nullopt;
  }
  users_[static_cast<size_t>(page)] = 1;
  return page;
}

void PageAllocator::Release(int32_t page) {
  int32_t& users = users_.at(static_cast<size_t>(page));
  ATOM_CHECK(users > 0, "page {} is released but not used", page);
  if (--users > 0) return;
  if (cache_.Has(page)) {
    in_cached_[static_cast<size_t>(page)] = cached_.insert(cached_.end(), page);
  } else {
    free_.push_back(page);
  }
}

std::optional<int32_t> PageAllocator::Find(const PageHash& parent, PageTokens tokens) {
  const std::optional<int32_t> page = cache_.Find(parent, tokens);
  if (!page) return std::nullopt;
  const auto i = static_cast<size_t>(*page);
  if (users_[i]++ == 0) cached_.erase(in_cached_[i]);
  return page;
}

PageHash PageAllocator::Cache(const PageHash& parent, PageTokens tokens, int32_t page) {
  ATOM_CHECK(users_.at(static_cast<size_t>(page)) > 0, "page {} has no user", page);
  if (const std::optional<int32_t> same = cache_.Find(parent, tokens)) {
    return cache_.HashOf(*same);
  }
  cache_.Insert(parent, tokens, page);
  return cache_.HashOf(page);
}

void PageAllocator::Forget(int32_t page) {
  ATOM_CHECK(users_.at(static_cast<size_t>(page)) > 0, "page {} has no user", page);
  if (cache_.Has(page)) cache_.Erase(page);
}

}  // namespace atom::engine
