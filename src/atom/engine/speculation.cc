#include "atom/engine/speculation.h"

#include <algorithm>

#include "atom/core/check.h"

namespace atom::engine {
namespace {

// Of a new observation: a request's own record follows it within some ten tokens.
constexpr double kOwnWeight = 1.0 / 8;
constexpr double kAllWeight = 1.0 / 64;
/// What did not pay has to look better than what does.
constexpr double kHysteresis = 1.5;

}  // namespace

void DraftRecord::Add(int draft_class, bool came_true, double weight) {
  double& rate = rates_[static_cast<size_t>(draft_class)];
  rate += ((came_true ? 1.0 : 0.0) - rate) * weight;
}

Speculation::Speculation(const SpeculationOptions& options) : options_(options) {
  ATOM_CHECK(options.tokens >= 1 && options.tokens <= kMostDraftTokens, "drafts of {} tokens",
             options.tokens);
}

void Speculation::End(RequestId id) {
  if (enabled()) options_.drafter->End(id);
}

std::span<const int32_t> Speculation::KnownTokens(const Sequence& sequence) {
  const std::span<const int32_t> tokens(sequence.tokens);
  return sequence.newest_is_known() ? tokens : tokens.first(tokens.size() - 1);
}

void Speculation::Judge(const Candidate& candidate) {
  Speculated& speculated = *candidate.speculated;
  const std::span<const int32_t> tokens = KnownTokens(*candidate.sequence);
  const std::span<const int32_t> came = tokens.subspan(static_cast<size_t>(speculated.guess_at));
  for (size_t i = 0; i < std::min(came.size(), speculated.guess.size()); ++i) {
    const bool came_true = came[i] == speculated.guess[i];
    speculated.record.Add(speculated.guess_class, came_true, kOwnWeight);
    all_.Add(speculated.guess_class, came_true, kAllWeight);
    if (!came_true) break;
  }
}

void Speculation::Ask(std::span<const Candidate> candidates) {
  questions_.clear();
  for (const Candidate& candidate : candidates) {
    Speculated& speculated = *candidate.speculated;
    const Sequence& sequence = *candidate.sequence;
    Judge(candidate);
    const std::span<const int32_t> tokens = KnownTokens(sequence);
    speculated.guess.clear();
    speculated.guess_at = std::ssize(tokens);
    // The last token of all is chosen by the row of the one before it; behind it nothing is.
    const int64_t room = sequence.most_tokens - 1 - std::ssize(tokens);
    questions_.push_back({.id = sequence.id,
                          .tokens = tokens,
                          .most = std::clamp(room, int64_t{0}, options_.tokens + 1),
                          .draft = &speculated.guess});
  }
  options_.drafter->Draft(questions_);
  for (size_t i = 0; i < candidates.size(); ++i) {
    candidates[i].speculated->guess_class = questions_[i].draft_class;
  }
}

int64_t Speculation::Worth(Speculated& speculated, int64_t rows) const {
  if (options_.always) return options_.tokens;
  const double rate = speculated.record.rate(speculated.guess_class);
  const double least =
      options_.row_cost * static_cast<double>(rows) * (speculated.pays ? 1.0 : kHysteresis);
  int64_t worth = 0;
  for (double chance = rate; chance > least && worth < options_.tokens; chance *= rate) ++worth;
  if (!speculated.guess.empty()) speculated.pays = worth > 0;
  return worth;
}

bool Speculation::Plan(std::span<const Candidate> candidates, int64_t rows) {
  for (const Candidate& candidate : candidates) candidate.sequence->draft.clear();
  if (candidates.empty()) return false;
  Ask(candidates);
  bool would_pay = false;
  for (const Candidate& candidate : candidates) {
    Speculated& speculated = *candidate.speculated;
    const int64_t unknown = candidate.sequence->newest_is_known() ? 0 : 1;
    const int64_t guessed = std::max<int64_t>(std::ssize(speculated.guess) - unknown, 0);
    const int64_t count = std::min(guessed, Worth(speculated, rows));
    if (count == 0) continue;
    would_pay = would_pay || unknown > 0;
    if (unknown > 0) continue;
    candidate.sequence->draft.assign(speculated.guess.begin(), speculated.guess.begin() + count);
  }
  return would_pay;
}

}  // namespace atom::engine
