// A request as the scheduler sees it: tokens, of which a beginning is computed, and the pages that
// hold K and V of that beginning.
//
//   tokens   p0 p1 p2 p3 p4 | a0 a1 ?    prompt, then the answer so far
//            ──── computed ────▶         the rest is computed next; after the last comes a new one
//
// With a step in flight, what has been submitted counts as computed, and the newest token may be
// one that only the device knows yet: its token slot stands for it (?).
//
// A draft is what may come behind the newest token (speculation.h). It is computed with it, so that
// one step tells of several tokens; what turns out to be wrong never was a token of the sequence,
// and K and V of it are written over.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <tuple>
#include <vector>

#include "atom/engine/prefix_cache.h"
#include "atom/engine/request.h"
#include "atom/kernels/batch.h"

namespace atom::engine {

struct Sequence {
  RequestId id = 0;
  int32_t priority = 0;
  int64_t arrival = 0;  ///< running number

  std::vector<int32_t> tokens;      ///< ids, or kernels::TokenInSlot
  std::vector<int32_t> draft = {};  ///< ids that may come behind them; empty: none are tried
  int64_t computed = 0;             ///< of the tokens
  std::vector<int32_t> pages = {};  ///< room for at least `computed` positions
  /// Those before it were given back, their numbers mean nothing: no query sees them any more.
  int64_t first_page = 0;
  /// Beside the last of them, where the model has an exact window.
  std::vector<int32_t> exact_pages = {};
  std::vector<PageHash> hashes = {};  ///< of the full pages that the cache knows, up to their ends
  /// Pages behind which it keeps tails (sequence_pages.h): what was cached of it when it was last
  /// admitted, and the last full page then.
  std::array<int64_t, 2> tail_ends = {};

  int64_t logits_from = 0;    ///< besides the last position's, the logits of positions in
  int64_t logits_below = 0;   ///< [logits_from, logits_below) are wanted
  int64_t cached_tokens = 0;  ///< found in the cache when it was last admitted

  int32_t token_slot = -1;                                    ///< while it runs
  int64_t most_tokens = std::numeric_limits<int64_t>::max();  ///< what it ends with at the latest
  /// Its newest token must be known before it is computed: a grammar or penalties look at it.
  bool needs_known_tokens = false;
  bool awaits_mask = false;  ///< which of its tokens may come next is being worked out

  /// The page that its first exact page is beside.
  int64_t first_exact_page() const { return std::ssize(pages) - std::ssize(exact_pages); }
  int64_t remaining() const { return static_cast<int64_t>(tokens.size()) - computed; }
  bool newest_is_known() const { return !kernels::IsTokenSlot(tokens.back()); }
  /// Nothing can be computed before the newest token is known (it may be the last), or what may
  /// come behind it.
  bool must_wait() const {
    if (awaits_mask) return true;
    return !newest_is_known() && (needs_known_tokens || std::ssize(tokens) >= most_tokens);
  }
  /// Only the newest token has to be computed, for a reader who waits.
  bool decoding() const { return remaining() == 1; }
  bool wants_logits(int64_t position) const {
    return position >= logits_from && position < logits_below;
  }
  /// Tokens that need not be computed where the cache has them: those before the first whose
  /// logits are wanted.
  int64_t reusable() const {
    const int64_t last = static_cast<int64_t>(tokens.size()) - 1;
    return logits_from < logits_below ? std::min(logits_from, last) : last;
  }
};

/// Who is served first.
inline bool RanksBefore(const Sequence& a, const Sequence& b) {
  return std::tie(a.priority, a.arrival) < std::tie(b.priority, b.arrival);
}

}  // namespace atom::engine
