// How requests begin, are told of and end, in a running EngineCore.
#include <cmath>

#include "tests/engine/loaded_model.h"
#include "tests/engine/scripted_constraint.h"

namespace atom::engine {
namespace {

using namespace std::chrono_literals;

class RequestLife : public testing::TestWithParam<RunnerKind> {
 protected:
  Request Make(RequestId id, std::string_view script = {}) {
    Request request;
    request.id = id;
    request.prompt = RandomPrompt(static_cast<uint64_t>(id), 10);
    request.stop.max_tokens = 40;
    request.sampling.temperature = 0.0f;
    if (!script.empty()) request.constraint = std::make_unique<ScriptedConstraint>(script);
    return request;
  }
  Transcript RunAlone(Request request) {
    const RequestId id = request.id;
    core_.Add(std::move(request), {});
    Transcripts all = Drain(core_);
    EXPECT_EQ(core_.stats().kv_pages_used, 0);
    return std::move(all.at(id));
  }
  static std::vector<FinishReason> Once(FinishReason reason) { return {reason}; }

  LoadedModel model_{kTestedBackend};
  OwnCore core_{model_, 64, {.seed = 5}, GetParam()};
};

TEST_P(RequestLife, EndsAtMaxTokens) {
  Request request = Make(1, "abcdefgh");
  request.stop.max_tokens = 5;
  const Transcript result = RunAlone(std::move(request));
  EXPECT_EQ(result.text, "abcde");
  EXPECT_EQ(result.output_tokens, 5);
  EXPECT_EQ(result.finishes, Once(FinishReason::kLength));
}

TEST_P(RequestLife, EndsAtEndOfText) {
  Request request = Make(1);
  request.constraint = std::make_unique<ScriptedConstraint>(std::vector<int32_t>{100, 101, 2});
  const Transcript result = RunAlone(std::move(request));
  EXPECT_EQ(result.ids(), (std::vector<int32_t>{100, 101}));
  EXPECT_EQ(result.output_tokens, 2);
  EXPECT_EQ(result.text, "ab");
  EXPECT_EQ(result.end_token, 2);
  EXPECT_EQ(result.finishes, Once(FinishReason::kStop));
}

TEST_P(RequestLife, IgnoresEndOfTextIfAsked) {
  Request request = Make(1);
  request.constraint = std::make_unique<ScriptedConstraint>(std::vector<int32_t>{100, 2, 101});
  request.stop = {.max_tokens = 3, .ignore_eos = true};
  const Transcript result = RunAlone(std::move(request));
  EXPECT_EQ(result.ids(), (std::vector<int32_t>{100, 2, 101}));
  EXPECT_EQ(result.end_token, std::nullopt);
  EXPECT_EQ(result.finishes, Once(FinishReason::kLength));
}

TEST_P(RequestLife, EndsAtAStopToken) {
  Request request = Make(1, "abc.def");
  request.stop.token_ids = {3 + '.'};
  const Transcript result = RunAlone(std::move(request));
  EXPECT_EQ(result.text, "abc");
  EXPECT_EQ(result.finishes, Once(FinishReason::kStop));
}

TEST_P(RequestLife, EndsAtAStopStringAcrossTokens) {
  for (const bool include : {false, true}) {
    Request request = Make(1, "one sto stop two");
    request.stop.strings = {"stop", "never"};
    request.stop.include_string = include;
    const Transcript result = RunAlone(std::move(request));
    EXPECT_EQ(result.text, include ? "one sto stop" : "one sto ");
    EXPECT_EQ(result.finishes, Once(FinishReason::kStop));
  }
}

TEST_P(RequestLife, MinTokensOutlastStopStrings) {
  Request request = Make(1, "x.y.z.");
  request.stop.strings = {"."};
  request.stop.min_tokens = 4;
  EXPECT_EQ(RunAlone(std::move(request)).text, "x.y");
}

TEST_P(RequestLife, MinTokensOutlastEndOfText) {
  Request request = Make(1);
  request.sampling.logit_bias = {{2, 1000.0f}};  // the model wants nothing else
  request.stop.min_tokens = 7;
  const Transcript result = RunAlone(std::move(request));
  EXPECT_EQ(result.output_tokens, 7);
  EXPECT_EQ(result.finishes, Once(FinishReason::kStop));
}

TEST_P(RequestLife, WhatIsHeldBackComesAtTheEnd) {
  Request request = Make(1, "so it st");
  request.stop.strings = {"stop"};
  request.stop.max_tokens = 8;
  EXPECT_EQ(RunAlone(std::move(request)).text, "so it st");
  request = Make(2, "caf\xC3");
  request.stop.max_tokens = 4;
  EXPECT_EQ(RunAlone(std::move(request)).text, "caf\uFFFD");
}

TEST_P(RequestLife, TextIsWholeCharacters) {
  core_.Add(Make(1, "h\u00E9!"), {});
  std::vector<std::string> pieces;
  while (pieces.size() < 4) {
    for (const Output& output : core_.Step({})) pieces.push_back(output.text);
  }
  EXPECT_EQ(pieces, (std::vector<std::string>{"h", "", "\u00E9", "!"}));
}

TEST_P(RequestLife, EndsWhenTheContextIsFull) {
  Request request = Make(1);
  request.prompt = RandomPrompt(1, 120);
  request.stop = {.max_tokens = 1000, .ignore_eos = true};
  Transcript result = RunAlone(std::move(request));
  EXPECT_EQ(result.output_tokens, 128 - 120 + 1);  // the last one is not computed
  EXPECT_EQ(result.finishes, Once(FinishReason::kLength));
  request = Make(2);
  request.prompt = RandomPrompt(1, 128);
  result = RunAlone(std::move(request));
  EXPECT_EQ(result.output_tokens, 1);
}

TEST_P(RequestLife, KvMemoryBoundsTheContext) {
  OwnCore small(model_, 2, {}, GetParam());
  Request request = Make(1);
  request.prompt = RandomPrompt(1, 33);
  EXPECT_FALSE(small.Validate(request).ok());
  request.prompt.pop_back();
  EXPECT_TRUE(small.Validate(request).ok());
}

TEST_P(RequestLife, AConstraintThatAllowsNothingEndsItsRequestAlone) {
  core_.Add(Make(1, "ab"), {});
  core_.Add(Make(2, "a longer one"), {});
  Transcripts all = Drain(core_);
  EXPECT_EQ(all.at(1).text, "ab");
  EXPECT_EQ(all.at(1).finishes, Once(FinishReason::kError));
  EXPECT_FALSE(all.at(1).error.empty());
  EXPECT_EQ(all.at(2).text, "a longer one");
  EXPECT_EQ(core_.stats().kv_pages_used, 0);
}

TEST_P(RequestLife, CancellingFreesPagesWithinAStep) {
  core_.Add(Make(1), {});
  core_.Add(Make(2), {});
  Transcripts all;
  StepInto(core_, all);
  const int64_t used = core_.stats().kv_pages_used;
  EXPECT_TRUE(core_.Cancel(1));
  EXPECT_FALSE(core_.Cancel(1));
  EXPECT_FALSE(core_.Cancel(3));
  EXPECT_LT(core_.stats().kv_pages_used, used);
  EXPECT_TRUE(core_.Cancel(2));
  EXPECT_EQ(core_.stats().kv_pages_used, 0);
  EXPECT_TRUE(core_.HasWork());  // something is to be said
  StepInto(core_, all);
  EXPECT_EQ(all.at(1).finishes, Once(FinishReason::kAborted));
  EXPECT_EQ(all.at(2).finishes, Once(FinishReason::kAborted));
  EXPECT_FALSE(core_.HasWork());
}

TEST_P(RequestLife, TimesOutWhetherItRunsOrWaits) {
  OwnCore core(model_, 64, {.max_sequences = 1}, GetParam());
  const TimePoint start{};
  for (const RequestId id : {1, 2, 3}) {
    Request request = Make(id);
    request.stop = {.max_tokens = 10, .ignore_eos = true};
    if (id < 3) request.timeout_seconds = 5.0;
    core.Add(std::move(request), start);
  }
  Transcripts all;
  StepInto(core, all, start);
  for (int i = 0; i < Lag(GetParam()); ++i) StepInto(core, all, start + 1ms);
  StepInto(core, all, start + 4999ms);
  EXPECT_TRUE(all.at(1).finishes.empty());
  StepInto(core, all, start + 5s);
  EXPECT_EQ(all.at(1).finishes, Once(FinishReason::kTimeout));
  EXPECT_EQ(all.at(1).output_tokens, 2);
  EXPECT_EQ(all.at(2).finishes, Once(FinishReason::kTimeout));
  EXPECT_EQ(all.at(2).output_tokens, 0);
  for (auto& [id, result] : Drain(core, start + 100s)) {
    EXPECT_EQ(id, 3);
    EXPECT_EQ(result.finishes, Once(FinishReason::kLength));
  }
}

TEST_P(RequestLife, WaitsNoLongerThanItMay) {
  OwnCore core(model_, 64, {.max_sequences = 1}, GetParam());
  const TimePoint start{};
  for (const RequestId id : {1, 2}) {
    Request request = Make(id);
    request.stop = {.max_tokens = 10, .ignore_eos = true};
    request.queue_timeout_seconds = 5.0;
    core.Add(std::move(request), start);
  }
  Transcripts all;
  StepInto(core, all, start);
  StepInto(core, all, start + 4999ms);
  EXPECT_FALSE(all.contains(2));
  StepInto(core, all, start + 5s);
  EXPECT_EQ(all.at(2).finishes, Once(FinishReason::kTimeout));
  // Who is computed does not wait.
  EXPECT_EQ(Drain(core, start + 100s).at(1).finishes, Once(FinishReason::kLength));
}

/// Has no mask before it is told.
class SlowConstraint final : public TokenConstraint {
 public:
  explicit SlowConstraint(MaskState& state) : state_(state), script_("ab") {}
  MaskState state() override { return state_; }
  std::string error() const override { return "too much"; }
  std::span<const uint64_t> Allowed() override {
    EXPECT_EQ(state_, MaskState::kReady);
    return script_.Allowed();
  }
  void Accept(int32_t token) override {
    script_.Accept(token);
    state_ = MaskState::kPending;
  }

 private:
  MaskState& state_;
  ScriptedConstraint script_;
};

TEST_P(RequestLife, WhoHasNoMaskHoldsNobodyUp) {
  MaskState state = MaskState::kPending;
  Request slow = Make(1);
  slow.constraint = std::make_unique<SlowConstraint>(state);
  core_.Add(std::move(slow), {});
  EXPECT_EQ(core_.stats().waiting, 1);
  for (const RequestId id : {2, 3}) {
    Request request = Make(id);
    request.stop = {.max_tokens = 10, .ignore_eos = true};
    core_.Add(std::move(request), {});
  }
  Transcripts all;
  for (int i = 0; i < 4; ++i) StepInto(core_, all);
  EXPECT_FALSE(all.contains(1));
  EXPECT_GE(all.at(2).output_tokens, 2);
  state = MaskState::kReady;
  for (int i = 0; i < 3; ++i) StepInto(core_, all);
  EXPECT_EQ(all.at(1).text, "a");  // and then its next mask is pending
  for (int i = 0; i < 12; ++i) StepInto(core_, all);
  EXPECT_EQ(all.at(3).finishes, Once(FinishReason::kLength));
  EXPECT_EQ(all.at(1).text, "a");
  state = MaskState::kFailed;
  StepInto(core_, all);
  EXPECT_EQ(all.at(1).finishes, Once(FinishReason::kError));
  EXPECT_FALSE(core_.HasWork());
  EXPECT_EQ(core_.stats().kv_pages_used, 0);
}

TEST_P(RequestLife, WithoutAnyMaskItEnds) {
  MaskState state = MaskState::kFailed;
  Request request = Make(1);
  request.constraint = std::make_unique<SlowConstraint>(state);
  core_.Add(std::move(request), {});
  const std::vector<Output> outputs = core_.Step({});
  ASSERT_EQ(outputs.size(), 1u);
  EXPECT_EQ(outputs[0].finish, FinishReason::kError);
  EXPECT_EQ(outputs[0].error, "too much");
  EXPECT_TRUE(outputs[0].bad_request);
  state = MaskState::kPending;
  Request cancelled = Make(2);
  cancelled.constraint = std::make_unique<SlowConstraint>(state);
  core_.Add(std::move(cancelled), {});
  EXPECT_TRUE(core_.Cancel(2));
  EXPECT_EQ(core_.stats().waiting, 0);
}

TEST_P(RequestLife, SpecialTokensAreTokensButNoText) {
  for (const bool skips : {true, false}) {
    Request request = Make(1);
    request.constraint = std::make_unique<ScriptedConstraint>(std::vector<int32_t>{1, 100, 1, 101});
    request.stop.max_tokens = 4;
    request.skip_special_tokens = skips;
    const Transcript result = RunAlone(std::move(request));
    EXPECT_EQ(result.ids(), (std::vector<int32_t>{1, 100, 1, 101}));
    EXPECT_EQ(result.text, skips ? "ab" : "<s>a<s>b");
  }
}

TEST_P(RequestLife, NoTokensAreAPromptThatIsMeasured) {
  Request request = Make(1);
  request.stop.max_tokens = 0;
  request.prompt_logprobs = 0;
  const Transcript result = RunAlone(std::move(request));
  EXPECT_EQ(result.prompt.size(), 10u);
  EXPECT_TRUE(result.tokens.empty());
  EXPECT_EQ(result.finishes, Once(FinishReason::kLength));
}

TEST_P(RequestLife, ThePartOfAPromptThatIsMeasuredIsThatOfTheWhole) {
  const auto measure = [&](EngineCore& core, int64_t from) {
    Request request = Make(1);
    request.prompt = RandomPrompt(1, 60);
    request.stop.max_tokens = 0;
    request.prompt_logprobs = 1;
    request.prompt_logprobs_from = from;
    core.Add(std::move(request), {});
    return Drain(core).at(1);
  };
  const Transcript whole = measure(core_, 0);
  ASSERT_EQ(whole.prompt.size(), 60u);
  for (const int64_t from : {1, 16, 17, 33, 59}) {
    SCOPED_TRACE(from);
    const Transcript found = measure(core_, from);  // the pages of `whole` are there
    OwnCore fresh(model_, 8, {}, GetParam());
    const Transcript computed = measure(fresh, from);
    EXPECT_EQ(found.cached_tokens, (from - 1) / 16 * 16);
    EXPECT_EQ(computed.cached_tokens, 0);
    ASSERT_EQ(found.prompt.size(), static_cast<size_t>(60 - from));
    ASSERT_EQ(computed.prompt.size(), found.prompt.size());
    for (size_t i = 0; i < found.prompt.size(); ++i) {
      const TokenOutput& expected = whole.prompt[static_cast<size_t>(from) + i];
      for (const Transcript* part : {&found, &computed}) {
        EXPECT_EQ(part->prompt[i].id, expected.id);
        EXPECT_EQ(part->prompt[i].logprob, expected.logprob);
        ASSERT_EQ(part->prompt[i].top.size(), 1u);
        EXPECT_EQ(part->prompt[i].top[0].id, expected.top[0].id);
      }
    }
  }
}

TEST_P(RequestLife, SeedsDecideAndTheEngineDrawsThoseThatAreMissing) {
  const auto run = [&](EngineCore& core, std::optional<uint64_t> seed) {
    Request request = Make(1);
    request.stop = {.max_tokens = 20, .ignore_eos = true};
    request.sampling.temperature = 1.0f;
    request.sampling.seed = seed;
    core.Add(std::move(request), {});
    return Drain(core).at(1).ids();
  };
  EXPECT_EQ(run(core_, 3), run(core_, 3));
  EXPECT_NE(run(core_, 3), run(core_, 4));
  OwnCore again(model_, 64, {.seed = 5}, GetParam());
  const std::vector<int32_t> first = run(core_, {});
  EXPECT_EQ(run(again, {}), first);
  EXPECT_NE(run(again, {}), first);
}

TEST_P(RequestLife, CountsWhatHappened) {
  RunAlone(Make(1, "abcdef"));  // ends for want of a seventh
  RunAlone(Make(1, "abc"));
  const EngineStats& stats = core_.stats();
  EXPECT_EQ(stats.prompt_tokens, 20);
  EXPECT_EQ(stats.output_tokens, 9);
  EXPECT_EQ(stats.steps, 7 + 4);
  EXPECT_EQ(stats.running + stats.waiting, 0);
  EXPECT_EQ(stats.kv_pages, 64);
  EXPECT_GT(stats.model_seconds, 0.0);
}

/// The prompt's log-probabilities by one forward pass, in double.
TEST_P(RequestLife, LogProbabilitiesAreThoseOfTheModel) {
  constexpr int64_t kPrompt = 100;
  Request request = Make(1);
  request.prompt = RandomPrompt(1, kPrompt);
  request.prompt_logprobs = 2;
  request.logprobs = 1;
  request.stop = {.max_tokens = 3, .ignore_eos = true};
  request.sampling.logit_bias = {{50, 1000.0f}};  // does not show in log-probabilities
  const std::vector<int32_t> prompt = request.prompt;
  const Transcript result = RunAlone(std::move(request));
  ASSERT_EQ(result.prompt.size(), static_cast<size_t>(kPrompt));
  EXPECT_EQ(result.prompt[0].id, prompt[0]);
  EXPECT_TRUE(result.prompt[0].top.empty());

  kernels::Batch batch = model_.transformer->OneSequence(prompt, 0);
  for (int32_t row = 0; row < kPrompt; ++row) batch.logit_rows.push_back(row);
  model::KvCache cache = model_.transformer->MakeKvCache(kPrompt);
  const kernels::DeviceTensor tensor = model_.transformer->Forward(batch, cache);
  std::vector<float> logits(static_cast<size_t>(tensor.rows * tensor.cols));
  model_.backend->Download(tensor.data, std::as_writable_bytes(std::span(logits)));
  for (size_t row = 0; row < kPrompt; ++row) {
    const auto z = std::span(logits).subspan(row * static_cast<size_t>(tensor.cols),
                                             static_cast<size_t>(tensor.cols));
    double sum = 0.0;
    for (const float logit : z) sum += std::exp(double{logit});
    const TokenOutput& token = row + 1 < kPrompt ? result.prompt[row + 1] : result.tokens[0];
    EXPECT_EQ(token.id, row + 1 < kPrompt ? prompt[row + 1] : 50);
    EXPECT_NEAR(double{token.logprob}, double{z[static_cast<size_t>(token.id)]} - std::log(sum),
                1e-6);
    ASSERT_EQ(token.top.size(), row + 1 < kPrompt ? 2u : 1u);
    EXPECT_EQ(token.top[0].id, std::ranges::max_element(z) - z.begin());
  }
}

INSTANTIATE_TEST_SUITE_P(Runners, RequestLife, testing::ValuesIn(kRunnerKinds), RunnerKindName);

}  // namespace
}  // namespace atom::engine
