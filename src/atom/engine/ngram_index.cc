#include "atom/engine/ngram_index.h"

#include <algorithm>
#include <bit>

namespace atom::engine {
namespace {

constexpr size_t kLeastBuckets = 256;

}  // namespace

size_t NgramIndex::BucketOf(std::span<const int32_t> tokens, int64_t end) const {
  uint64_t hash = 0;
  for (int64_t i = end - kGram + 1; i <= end; ++i) {
    hash = (hash ^ static_cast<uint32_t>(tokens[static_cast<size_t>(i)])) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
  }
  return static_cast<size_t>(hash >> 20) & (newest_.size() - 1);
}

void NgramIndex::Insert(std::span<const int32_t> tokens, int64_t end) {
  int32_t& newest = newest_[BucketOf(tokens, end)];
  before_[static_cast<size_t>(end) & (before_.size() - 1)] = newest;
  newest = static_cast<int32_t>(end);
}

/// As many buckets as places, up to a limit. All places are sorted in anew, each time of twice as
/// many as the last time.
void NgramIndex::Grow(std::span<const int32_t> tokens) {
  const auto places = static_cast<size_t>(std::min(std::ssize(tokens), kMostPlaces));
  if (places <= newest_.size()) return;
  const size_t size = std::max(kLeastBuckets, std::bit_ceil(places));
  newest_.assign(size, -1);
  before_.assign(size, -1);
  const int64_t last = known_;
  for (int64_t end = std::max(kGram - 1, last - kMostPlaces + 1); end <= last; ++end) {
    Insert(tokens, end);
  }
}

std::optional<NgramIndex::Match> NgramIndex::Find(std::span<const int32_t> tokens) {
  const int64_t last = std::ssize(tokens) - 1;
  if (last < kGram) return std::nullopt;
  Grow(tokens);
  while (known_ + 1 < last) Insert(tokens, ++known_);  // not the end itself

  Match best;
  int32_t place = newest_[BucketOf(tokens, last)];
  for (int64_t tried = 0; tried < kMostTried && Remembers(place); ++tried) {
    int64_t length = 0;
    while (length < kLongestMatch && length <= place &&
           tokens[static_cast<size_t>(place - length)] ==
               tokens[static_cast<size_t>(last - length)]) {
      ++length;
    }
    if (length > best.length) best = {.next = place + 1, .length = length};
    if (length == kLongestMatch) break;
    place = before_[static_cast<size_t>(place) & (before_.size() - 1)];
  }
  if (best.length < kGram) return std::nullopt;
  return best;
}

void AppendContinuation(std::span<const int32_t> tokens, int64_t next, int64_t most,
                        std::vector<int32_t>& draft) {
  const auto first = static_cast<int64_t>(draft.size());
  for (int64_t i = 0; i < most; ++i) {
    const int64_t from = next + i;
    const int64_t behind = from - std::ssize(tokens);
    draft.push_back(behind < 0 ? tokens[static_cast<size_t>(from)]
                               : draft[static_cast<size_t>(first + behind)]);
  }
}

}  // namespace atom::engine
