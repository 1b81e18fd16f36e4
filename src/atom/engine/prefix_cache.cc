#include "atom/engine/prefix_cache.h"

#include <algorithm>
#include <xxhash.h>

#include "atom/core/check.h"

namespace atom::engine {

uint64_t HashPage(Content parent, PageTokens tokens) {
  return XXH3_64bits_withSeed(tokens.data(), tokens.size_bytes(), parent);
}

PrefixCache::PrefixCache(int64_t pages, PageHash hash)
    : hash_(hash), entries_(static_cast<size_t>(pages)) {}

std::optional<int32_t> PrefixCache::Find(Content parent, PageTokens tokens) const {
  const auto [first, last] = by_hash_.equal_range(hash_(parent, tokens));
  for (auto it = first; it != last; ++it) {
    const Entry& entry = At(it->second);
    if (entry.parent == parent && std::ranges::equal(entry.tokens, tokens)) return it->second;
  }
  return std::nullopt;
}

void PrefixCache::Insert(Content parent, PageTokens tokens, int32_t page) {
  ATOM_CHECK(!Has(page), "page {} holds content {} already", page, ContentOf(page));
  Entry& entry = entries_[static_cast<size_t>(page)];
  entry = {.content = next_content_++,
           .parent = parent,
           .hash = hash_(parent, tokens),
           .tokens = {tokens.begin(), tokens.end()}};
  by_hash_.emplace(entry.hash, page);
}

void PrefixCache::Erase(int32_t page) {
  Entry& entry = entries_.at(static_cast<size_t>(page));
  const auto [first, last] = by_hash_.equal_range(entry.hash);
  for (auto it = first; it != last; ++it) {
    if (it->second != page) continue;
    by_hash_.erase(it);
    break;
  }
  entry = {};
}

}  // namespace atom::engine
