#include "atom/eval/continuation.h"

#include <algorithm>
#include <string>
#include <utility>

#include "atom/tokenizer/unicode.h"

namespace atom::eval {
namespace {

using Groups = std::vector<std::vector<Continuation>>;

/// Keeps the requests of all groups going.
class Scorer {
 public:
  Scorer(engine::EngineCore& core, const Groups& groups) : core_(core), groups_(groups) {
    for (const auto& group : groups) {
      first_ids_.push_back(requests_);
      requests_ += static_cast<engine::RequestId>(group.size());
      unfinished_.push_back(group.size());
      sums_.emplace_back(group.size());
    }
  }

  Status Start() {
    for (size_t group = 0; group < groups_.size(); ++group) {
      if (Status s = Add(group, 0, 0); !s.ok()) return s;
    }
    return {};
  }

  /// Sums an answer up; gives whether its group is finished. The others of a group follow its first
  /// before groups that have not begun, while its pages are there.
  Result<bool> Take(const engine::Output& output) {
    const auto above = std::ranges::upper_bound(first_ids_, output.id);
    const auto group = static_cast<size_t>(above - first_ids_.begin()) - 1;
    const auto member = static_cast<size_t>(output.id - first_ids_[group]);
    for (const engine::TokenOutput& token : output.prompt) {
      sums_[group][member].log += double{token.logprob};
      sums_[group][member].greedy &= token.top.front().id == token.id;
    }
    for (size_t other = 1; member == 0 && other < groups_[group].size(); ++other) {
      if (Status s = Add(group, other, -1); !s.ok()) return s.error();
    }
    return --unfinished_[group] == 0;
  }

  std::vector<std::vector<Likelihood>> sums() && { return std::move(sums_); }

 private:
  Status Add(size_t group, size_t member, int32_t priority) {
    const Continuation& continuation = groups_[group][member];
    engine::Request request;
    request.id = first_ids_[group] + static_cast<engine::RequestId>(member);
    request.prompt = continuation.tokens;
    request.stop.max_tokens = 0;
    request.priority = priority;
    request.prompt_logprobs = 1;
    request.prompt_logprobs_from = continuation.begin;
    if (Status s = core_.Validate(request); !s.ok()) return s;
    core_.Add(std::move(request), {});
    return {};
  }

  engine::EngineCore& core_;
  const Groups& groups_;
  engine::RequestId requests_ = 0;
  std::vector<engine::RequestId> first_ids_;  // by group
  std::vector<size_t> unfinished_;            // requests, by group
  std::vector<std::vector<Likelihood>> sums_;
};

}  // namespace

Result<Continuation> EncodePair(const tokenizer::Tokenizer& tokenizer,
                                std::string_view context_text, std::string_view continuation,
                                int64_t context) {
  const std::string whole = std::string(context_text).append(continuation);
  const std::string_view given = tokenizer::TrimEnd(context_text);
  const tokenizer::EncodeOptions options{.add_bos = true, .parse_special = true};
  Result<std::vector<int32_t>> tokens = tokenizer.Encode(given, options);
  if (!tokens.ok()) return tokens.error();
  Continuation pair{.tokens = *std::move(tokens)};
  pair.begin = static_cast<int64_t>(pair.tokens.size());
  const Result<std::vector<int32_t>> all = tokenizer.Encode(whole, options);
  if (!all.ok()) return all.error();
  const int64_t scored = std::ssize(*all) - pair.begin;
  if (pair.begin == 0 || scored <= 0 || scored > context) {
    return MakeError("expected a token of context and 1 to {} of continuation, found {} and {}",
                     context, pair.begin, std::max(scored, int64_t{0}));
  }
  pair.tokens.insert(pair.tokens.end(), all->begin() + pair.begin, all->end());
  const int64_t dropped = std::max(pair.begin + scored - context - 1, int64_t{0});
  pair.tokens.erase(pair.tokens.begin(), pair.tokens.begin() + dropped);
  pair.begin -= dropped;
  return pair;
}

Result<std::vector<std::vector<Likelihood>>> LogLikelihoods(engine::EngineCore& core,
                                                            const Groups& groups,
                                                            const std::function<void()>& on_group) {
  Scorer run(core, groups);
  if (Status s = run.Start(); !s.ok()) return s.error();
  while (core.HasWork()) {
    for (const engine::Output& output : core.Step(std::chrono::steady_clock::now())) {
      if (output.finish == engine::FinishReason::kError) return MakeError("{}", output.error);
      const Result<bool> finished = run.Take(output);
      if (!finished.ok()) return finished.error();
      if (*finished) on_group();
    }
  }
  return std::move(run).sums();
}

}  // namespace atom::eval
