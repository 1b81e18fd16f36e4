#include "atom/engine/prefix_cache.h"

#include <algorithm>
#include <xxhash.h>

#include "atom/core/check.h"

namespace atom::engine {

PageHash HashPage(const PageHash& parent, PageTokens tokens) {
  // Both halves of the parent go in: one as the seed, the other in front of the result.
  const XXH128_hash_t own = XXH3_128bits_withSeed(tokens.data(), tokens.size_bytes(), parent.low);
  const uint64_t words[] = {parent.high, own.low64, own.high64};
  const XXH128_hash_t chained = XXH3_128bits_withSeed(words, sizeof(words), parent.low);
  return {.low = chained.low64, .high = chained.high64};
}

PrefixCache::PrefixCache(int64_t pages, BucketFunction bucket)
    : bucket_(bucket), entries_(static_cast<size_t>(pages)) {}

std::optional<int32_t> PrefixCache::Find(const PageHash& parent, PageTokens tokens) const {
  const auto [first, last] = by_bucket_.equal_range(bucket_(HashPage(parent, tokens)));
  for (auto it = first; it != last; ++it) {
    const Entry& entry = At(it->second);
    if (entry.parent == parent && std::ranges::equal(entry.tokens, tokens)) return it->second;
  }
  return std::nullopt;
}

void PrefixCache::Insert(const PageHash& parent, PageTokens tokens, int32_t page) {
  ATOM_CHECK(!Has(page), "page {} holds something already", page);
  Entry& entry = entries_[static_cast<size_t>(page)];
  entry = {
      .hash = HashPage(parent, tokens), .parent = parent, .tokens = {tokens.begin(), tokens.end()}};
  by_bucket_.emplace(bucket_(entry.hash), page);
}

void PrefixCache::Erase(int32_t page) {
  Entry& entry = entries_.at(static_cast<size_t>(page));
  const auto [first, last] = by_bucket_.equal_range(bucket_(entry.hash));
  for (auto it = first; it != last; ++it) {
    if (it->second != page) continue;
    by_bucket_.erase(it);
    break;
  }
  entry = {};
}

}  // namespace atom::engine
