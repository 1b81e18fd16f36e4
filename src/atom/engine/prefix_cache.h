// Which pages hold what: finds the KV page whose tokens stand behind a known beginning, so that
// what many prompts have in common is computed once. An index only; pages and their users are the
// BlockPool's.
//
//   start ── tokens 0..15 ── content 4 ── tokens 16..31 ── content 9 …
//
// A content is the identity of everything up to the end of a page, given once and never again. A
// page is found by a hash, but only if its parent's content and all of its tokens are the same: two
// texts whose hashes collide never share a page.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace atom::engine {

using Content = uint64_t;
inline constexpr Content kNoContent = 0;  ///< in front of the first page

using PageTokens = std::span<const int32_t>;  ///< of a full page
using PageHash = uint64_t (*)(Content parent, PageTokens tokens);
uint64_t HashPage(Content parent, PageTokens tokens);  ///< XXH3

class PrefixCache {
 public:
  explicit PrefixCache(int64_t pages, PageHash hash = HashPage);

  /// The page with these tokens behind `parent`.
  std::optional<int32_t> Find(Content parent, PageTokens tokens) const;
  /// REQUIRES: nothing is known to hold them yet, and nothing of `page`.
  void Insert(Content parent, PageTokens tokens, int32_t page);
  void Erase(int32_t page);

  bool Has(int32_t page) const { return At(page).content != kNoContent; }
  /// REQUIRES: Has(page).
  Content ContentOf(int32_t page) const { return At(page).content; }

 private:
  struct Entry {
    Content content = kNoContent;  // kNoContent: nothing is known of the page
    Content parent = kNoContent;
    uint64_t hash = 0;
    std::vector<int32_t> tokens;
  };
  const Entry& At(int32_t page) const { return entries_.at(static_cast<size_t>(page)); }

  PageHash hash_;
  Content next_content_ = kNoContent + 1;
  std::vector<Entry> entries_;                          // by page
  std::unordered_multimap<uint64_t, int32_t> by_hash_;  // pages
};

}  // namespace atom::engine
