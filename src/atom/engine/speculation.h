// Speculation: several tokens of a sequence from one step. A Drafter guesses what comes behind the
// newest token; the step computes the guesses along with it, and each of its rows chooses the token
// that comes next there, in the way and with the uniform number (TokenUniforms) that it would be
// chosen with anyway. As long as the tokens chosen are those guessed, the next row stands where it
// would have stood, and its token counts too:
//
//   newest   draft            row i is computed as if draft[0 … i) had come
//      a     x   y   z
//      ↓     ↓   ↓   ↓
//      x     y   w   …        x and y were guessed; w was not: three tokens, and w is the newest
//
// Whatever is guessed, an answer's tokens, and what is said of them, are those of an engine that
// does not speculate: guesses decide only how many come of a step. A guess is taken with the
// probability that the model gives it, as it is where guesses are sampled by rejection; docs/
// serving.md has more.
//
// This is when and how much: guesses pay as long as a row more costs a step little, and enough of
// them come true. Both are kept track of, with hysteresis; and requests whose grammar or penalties
// look at each token first are left out.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "atom/engine/drafter.h"
#include "atom/engine/sequence.h"

namespace atom::engine {

inline constexpr int64_t kMostDraftTokens = 15;

struct SpeculationOptions {
  Drafter* drafter = nullptr;  ///< null: no speculation. It must outlive the engine
  int64_t tokens = 8;          ///< most of a draft
  /// What a row more costs, as a part of a step in which every sequence has one. Guesses pay where
  /// it times the sequences is less than their chance to come true.
  double row_cost = 0.04;
  bool always = false;  ///< full drafts, whatever they are worth: for tests and measurements
};

/// How many of the guesses have come true: what is kept of a request.
class DraftRecord {
 public:
  DraftRecord() { rates_.fill(kFirstRate); }
  explicit DraftRecord(const DraftRecord* others) : DraftRecord() {
    if (others != nullptr) rates_ = others->rates_;
  }

  double rate(int draft_class) const { return rates_[static_cast<size_t>(draft_class)]; }
  void Add(int draft_class, bool came_true, double weight);

  static constexpr double kFirstRate = 0.5;

 private:
  std::array<double, kDraftClasses> rates_;
};

/// What speculation keeps of a request.
struct Speculated {
  DraftRecord record;
  std::vector<int32_t> guess;  ///< the last one, whether it was tried or not
  int64_t guess_at = 0;        ///< its place in the sequence
  int guess_class = 0;
  bool pays = false;  ///< guesses were tried when they were last there
};

class Speculation {
 public:
  explicit Speculation(const SpeculationOptions& options);

  bool enabled() const { return options_.drafter != nullptr; }
  /// What a new request begins with: the experience of others.
  Speculated Begin() const { return {.record = DraftRecord(&all_), .guess = {}}; }
  void End(RequestId id);

  /// A sequence that decodes.
  struct Candidate {
    Sequence* sequence = nullptr;
    Speculated* speculated = nullptr;
  };
  /// Gives each sequence its draft, of a step with `rows` rows without drafts. True: it would pay
  /// to have one for sequences whose newest token is not known yet.
  bool Plan(std::span<const Candidate> candidates, int64_t rows);

 private:
  static std::span<const int32_t> KnownTokens(const Sequence& sequence);
  /// Takes down which of the last guesses have come true.
  void Judge(const Candidate& candidate);
  void Ask(std::span<const Candidate> candidates);
  /// Tokens of a guess that are worth a row each.
  int64_t Worth(Speculated& speculated, int64_t rows) const;

  SpeculationOptions options_;
  DraftRecord all_;  // of all requests
  std::vector<DraftQuestion> questions_;
};

}  // namespace atom::engine
