// Where the end of a text stood before: for drafts without a model. The last kGram tokens are
// looked up by their hash; of the newest places where they stood, the one counts that agrees with
// the end for longest.
//
//   … a b c d e x y …  p q a b c d e      the longest match, 5 tokens: x y may come next
//
// Tokens stay with the caller and only grow. Memory is 8 to 16 bytes a token, 1 MiB at the most:
// what is older than kMostPlaces is forgotten. A token more costs a constant in the mean, a look-up
// at most kMostTried comparisons.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace atom::engine {

class NgramIndex {
 public:
  static constexpr int64_t kGram = 3;
  static constexpr int64_t kMostPlaces = int64_t{1} << 17;
  static constexpr int64_t kMostTried = 16;     ///< places of a look-up
  static constexpr int64_t kLongestMatch = 64;  ///< longer ones are not told apart

  struct Match {
    int64_t next = 0;    ///< place of the token that followed
    int64_t length = 0;  ///< tokens alike before it
  };

  /// Takes up what is new in `tokens` and looks for their end.
  std::optional<Match> Find(std::span<const int32_t> tokens);
  /// Bytes.
  int64_t memory() const {
    return static_cast<int64_t>((newest_.capacity() + before_.capacity()) * sizeof(int32_t));
  }

 private:
  size_t BucketOf(std::span<const int32_t> tokens, int64_t end) const;
  void Insert(std::span<const int32_t> tokens, int64_t end);
  void Grow(std::span<const int32_t> tokens);
  bool Remembers(int64_t end) const { return end >= 0 && end > known_ - kMostPlaces; }

  // A place is that of a gram's last token.
  int64_t known_ = kGram - 2;    // the last place that was taken up
  std::vector<int32_t> newest_;  // by bucket: the newest place; -1: none
  std::vector<int32_t> before_;  // by place, in a ring: the one before it in its bucket
};

/// Appends up to `most` tokens that follow a match to `draft`; where it reaches the end, the text
/// goes on as it is drafted.
void AppendContinuation(std::span<const int32_t> tokens, int64_t next, int64_t most,
                        std::vector<int32_t>& draft);

}  // namespace atom::engine
