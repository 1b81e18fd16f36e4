// A drafter that was told how texts go on, and that lies as often as it is told to.
#pragma once

#include <map>
#include <vector>

#include "atom/core/rng.h"
#include "atom/engine/drafter.h"

namespace atom::engine {

class ToldDrafter final : public Drafter {
 public:
  /// Of each token that it guesses, `truth` is its chance to be right.
  explicit ToldDrafter(double truth, uint64_t seed = 1) : truth_(truth), random_(seed) {}

  /// A prompt and its answer.
  void Tell(RequestId id, std::vector<int32_t> tokens) { texts_[id] = std::move(tokens); }
  void Draft(std::span<DraftQuestion> questions) override {
    for (DraftQuestion& question : questions) {
      const std::vector<int32_t>& text = texts_.at(question.id);
      for (int64_t i = 0; i < question.most; ++i) {
        const size_t place = question.tokens.size() + static_cast<size_t>(i);
        const int32_t right = place < text.size() ? text[place] : 5;
        question.draft->push_back(random_.Uniform() < truth_ ? right : 3 + (right + 1) % 250);
      }
    }
  }
  void End(RequestId id) override { ended_.push_back(id); }
  const std::vector<RequestId>& ended() const { return ended_; }

 private:
  double truth_;
  Rng random_;
  std::map<RequestId, std::vector<int32_t>> texts_;
  std::vector<RequestId> ended_;
};

}  // namespace atom::engine
