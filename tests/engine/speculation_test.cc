// Speculation changes no token, no log-probability and no text, whatever is guessed, on whatever
// runner; and when guesses are tried.
#include "atom/engine/speculation.h"

#include <fmt/format.h>

#include "atom/engine/ngram_drafter.h"

#include "tests/engine/many_requests.h"
#include "tests/engine/quantized_model.h"
#include "tests/engine/scripted_constraint.h"
#include "tests/engine/told_drafter.h"
#include "tests/sanitizers.h"

namespace atom::engine {
namespace {

struct Case {
  std::string_view backend;
  bool quantized;
  int requests;
  RunnerKind runner = RunnerKind::kLocal;
  int64_t exact_window = 0;
  int64_t window = 0;
};

std::unique_ptr<LoadedModel> Load(const Case& which) {
  const model::Transformer::Limits limits{.rows = 512, .positions = 128};
  if (!which.quantized) {
    return std::make_unique<LoadedModel>(which.backend, limits, which.window);
  }
  return std::make_unique<LoadedModel>(tests::QuantizedTinyModel(which.exact_window, which.window),
                                       which.backend, limits);
}

class SpeculationTest : public testing::TestWithParam<Case> {
 protected:
  std::vector<Request> Requests() const {
    return ManyRequests(tests::kSanitized ? std::min(GetParam().requests, 8) : GetParam().requests);
  }

  static void Tell(const Request& request, const Transcripts& answers, ToldDrafter& drafter) {
    std::vector<int32_t> text = request.prompt;
    std::ranges::copy(answers.at(request.id).ids(), std::back_inserter(text));
    drafter.Tell(request.id, std::move(text));
  }
  /// All at once, with guesses of which that part is right.
  Transcripts Together(double truth, int64_t kv_pages, EngineOptions options) {
    ToldDrafter drafter(truth);
    for (const Request& request : Requests()) Tell(request, alone_, drafter);
    options.speculation = {
        .drafter = &drafter, .tokens = options.speculation.tokens, .always = true};
    OwnCore core(model_, kv_pages, options, GetParam().runner);
    for (Request& request : Requests()) core.Add(std::move(request), {});
    Transcripts results = Drain(core);
    EXPECT_EQ(core.stats().kv_pages_used, 0);
    EXPECT_EQ(drafter.ended().size(), Requests().size());
    stats_ = core.stats();
    return results;
  }

  const std::unique_ptr<LoadedModel> loaded_ = Load(GetParam());
  LoadedModel& model_ = *loaded_;
  const Transcripts alone_ = Alone(model_, Requests());
  EngineStats stats_;
};

TEST_P(SpeculationTest, GuessesChangeNothing) {
  for (const double truth : tests::FewerIfSanitized<double>({0.6, 1.0, 0.0}, 2)) {
    for (const int64_t tokens : tests::FewerIfSanitized<int64_t>({4, 1, 15}, 1)) {
      ExpectSame(Together(truth, 64 * 8, {.speculation = {.tokens = tokens}}), alone_,
                 fmt::format("{} right, drafts of {}", truth, tokens));
      EXPECT_GT(stats_.draft_tokens, 0);
      const int64_t least = truth == 1.0 ? stats_.draft_tokens : 0;
      const int64_t most = truth == 0.0 ? 0 : stats_.draft_tokens;
      EXPECT_GE(stats_.accepted_tokens, least);
      EXPECT_LE(stats_.accepted_tokens, most);
    }
  }
}

TEST_P(SpeculationTest, ChunksChangeNothing) {
  for (const int64_t step_tokens : tests::FewerIfSanitized<int64_t>({7, 3, 64}, 1)) {
    ExpectSame(Together(0.7, 64 * 8, {.step_tokens = step_tokens, .speculation = {.tokens = 3}}),
               alone_, fmt::format("{} tokens a step", step_tokens));
    EXPECT_GT(stats_.accepted_tokens, 0);
  }
}

/// Long answers that outgrow the pages while more urgent requests come.
TEST_P(SpeculationTest, PreemptionChangesNothing) {
  const auto make = [&] {
    std::vector<Request> all = Requests();
    for (Request& request : all) {
      request.stop.max_tokens = 45 + request.id % 10;
      request.priority = -static_cast<int32_t>(request.id / 3);
    }
    return all;
  };
  const Transcripts alone = Alone(model_, make());
  int64_t preemptions = 0;
  for (const bool prefix_cache : {false, true}) {
    ToldDrafter drafter(0.7);
    OwnCore core(model_, 14,
                 {.step_tokens = 100,
                  .prefix_cache = prefix_cache,
                  .speculation = {.drafter = &drafter, .tokens = 5, .always = true}},
                 GetParam().runner);
    Transcripts results;
    for (Request& request : make()) {
      Tell(request, alone, drafter);
      core.Add(std::move(request), {});
      StepInto(core, results);
      StepInto(core, results);
    }
    while (core.HasWork()) StepInto(core, results);
    ExpectSame(results, alone, fmt::format("prefix cache {}", prefix_cache));
    EXPECT_EQ(core.stats().kv_pages_used, 0);
    EXPECT_GT(core.stats().accepted_tokens, 0);
    preemptions += core.stats().preemptions;
  }
  // Behind a window an answer soon outgrows nothing.
  EXPECT_TRUE(preemptions > 0 || GetParam().window > 0);
}

/// What answers left in the cache is what a prompt that repeats them finds there.
TEST_P(SpeculationTest, CachedPagesOfAnswersHoldWhatCame) {
  std::vector<Request> first = Requests();
  std::vector<Request> second;
  ToldDrafter drafter(0.5);
  for (const Request& request : first) {
    std::vector<int32_t> text = request.prompt;
    std::ranges::copy(alone_.at(request.id).ids(), std::back_inserter(text));
    drafter.Tell(request.id, text);
    Request next;
    next.id = request.id + 1000;
    next.prompt = std::move(text);
    next.stop = {.max_tokens = 6, .ignore_eos = true};
    next.sampling.temperature = 0.0f;
    next.logprobs = 1;
    drafter.Tell(next.id, {});
    second.push_back(std::move(next));
  }
  const auto again = [&second] {
    std::vector<Request> all;
    for (const Request& request : second) {
      Request& copy = all.emplace_back();
      copy.id = request.id;
      copy.prompt = request.prompt;
      copy.stop = request.stop;
      copy.sampling = request.sampling;
      copy.logprobs = request.logprobs;
    }
    return all;
  };
  OwnCore core(model_, 64 * 8, {.speculation = {.drafter = &drafter, .tokens = 5, .always = true}},
               GetParam().runner);
  for (Request& request : first) core.Add(std::move(request), {});
  Drain(core);
  const int64_t hits = core.stats().prefix_hits;
  for (Request& request : again()) core.Add(std::move(request), {});
  ExpectSame(Drain(core), Alone(model_, again()), "prompts that repeat answers");
  EXPECT_GT(core.stats().prefix_hits, hits);
}

/// As few pages as a sequence needs to get on, behind a window and beside exact ones.
TEST_P(SpeculationTest, FewPagesAreEnough) {
  const Case& which = GetParam();
  if (which.exact_window == 0 && which.window == 0) return;
  for (const int64_t tokens : {3, 15}) {
    ToldDrafter drafter(0.7);
    for (const Request& request : Requests()) Tell(request, alone_, drafter);
    const int64_t pages = which.window > 0 ? kernels::PagesFor(which.window, 16) + 2 : 512;
    model::LocalRunner runner(
        *model_.transformer,
        {.kv_pages = pages,
         .exact_pages = which.exact_window > 0 ? which.exact_window / 16 + 2 : 0});
    EngineCore core(runner, *model_.tokenizer,
                    {.speculation = {.drafter = &drafter, .tokens = tokens, .always = true}});
    for (Request& request : Requests()) core.Add(std::move(request), {});
    ExpectSame(Drain(core), alone_, fmt::format("drafts of {}", tokens));
    EXPECT_GT(core.stats().accepted_tokens, 0);
  }
}

std::vector<Case> Cases() {
  std::vector<Case> cases = {{kTestedBackend, false, 32},
                             {kTestedBackend, true, 16, RunnerKind::kLocal, 16},
                             {kTestedBackend, false, 32, RunnerKind::kLate},
                             {kTestedBackend, true, 16, RunnerKind::kInFlight, 16, 24},
                             {kTestedBackend, false, 32, RunnerKind::kInFlight, 0, 40}};
  if (tests::kSanitized) return cases;
  cases.push_back({kTestedBackend, true, 16});
  cases.push_back({kTestedBackend, true, 16, RunnerKind::kLate, 32});
  if (!kTestsDevice) cases.push_back({"reference", true, 6, RunnerKind::kLocal, 16});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Backends, SpeculationTest, testing::ValuesIn(Cases()),
                         [](const auto& which) {
                           return fmt::format("{}{}{}{}{}", which.param.backend,
                                              which.param.quantized ? "Quantized" : "",
                                              Name(which.param.runner),
                                              which.param.exact_window > 0 ? "ExactWindow" : "",
                                              which.param.window > 0 ? "Sliding" : "");
                         });

/// One request of 60 tokens, whose text goes round in a circle soon, as small models' do.
class SpeculatingEngine : public testing::TestWithParam<RunnerKind> {
 protected:
  static Request Make(RequestId id = 1) {
    Request request;
    request.id = id;
    request.prompt = RandomPrompt(static_cast<uint64_t>(id), 12);
    request.stop = {.max_tokens = 60, .ignore_eos = true};
    request.sampling.temperature = 0.0f;
    return request;
  }
  /// What the first request is answered.
  static void Tell(const Transcript& answer, ToldDrafter& drafter) {
    std::vector<int32_t> text = Make().prompt;
    std::ranges::copy(answer.ids(), std::back_inserter(text));
    drafter.Tell(1, std::move(text));
  }
  Transcript Run(EngineCore& core, Request request) {
    const RequestId id = request.id;
    core.Add(std::move(request), {});
    return std::move(Drain(core).at(id));
  }

  LoadedModel model_{kTestedBackend};
};

TEST_P(SpeculatingEngine, RepeatedTextTakesFewerSteps) {
  OwnCore plain(model_, 64, {}, GetParam());
  const Transcript expected = Run(plain, Make());
  NgramDrafter drafter;
  OwnCore core(model_, 64, {.speculation = {.drafter = &drafter, .row_cost = 0.01}}, GetParam());
  const Transcript result = Run(core, Make());
  EXPECT_EQ(result.ids(), expected.ids());
  EXPECT_EQ(result.text, expected.text);
  EXPECT_EQ(result.outputs, expected.outputs);  // one for each token
  const EngineStats& stats = core.stats();
  EXPECT_GT(stats.accepted_tokens, 10);
  EXPECT_GE(stats.draft_tokens, stats.accepted_tokens);
  EXPECT_EQ(stats.steps + stats.accepted_tokens, plain.stats().steps);
  int64_t sum = 0;
  for (const int64_t accepted : stats.accepted_at) sum += accepted;
  EXPECT_EQ(sum, stats.accepted_tokens);
  EXPECT_EQ(stats.accepted_at[0] <= stats.drafts, true);
}

TEST_P(SpeculatingEngine, WrongGuessesStopSoon) {
  ToldDrafter liar(0.0);
  const Transcript expected = [&] {
    OwnCore core(model_, 64, {}, GetParam());
    return Run(core, Make());
  }();
  Tell(expected, liar);
  OwnCore core(model_, 64, {.speculation = {.drafter = &liar, .row_cost = 0.1}}, GetParam());
  EXPECT_EQ(Run(core, Make()).ids(), expected.ids());
  EXPECT_GT(core.stats().drafts, 0);
  EXPECT_LE(core.stats().drafts, 20);
}

/// Above a batch a row more costs what a sequence's own does.
TEST_P(SpeculatingEngine, ManySequencesAreNotSpeculatedFor) {
  NgramDrafter drafter;
  OwnCore core(model_, 512, {.speculation = {.drafter = &drafter, .row_cost = 0.1}}, GetParam());
  for (RequestId id = 1; id <= 12; ++id) core.Add(Make(id), {});
  Drain(core);
  EXPECT_EQ(core.stats().draft_tokens, 0);
}

TEST_P(SpeculatingEngine, AnEndInsideADraftEndsTheAnswer) {
  OwnCore plain(model_, 64, {}, GetParam());
  const Transcript whole = Run(plain, Make());
  for (const size_t at : {20, 21, 22, 23, 24}) {
    ToldDrafter drafter(1.0);
    Tell(whole, drafter);
    Request request = Make();
    request.stop.token_ids = {whole.tokens[at].id};
    const auto first = std::ranges::find(whole.tokens, whole.tokens[at].id, &TokenOutput::id);
    OwnCore core(model_, 64, {.speculation = {.drafter = &drafter, .tokens = 7, .always = true}},
                 GetParam());
    const Transcript result = Run(core, std::move(request));
    EXPECT_EQ(std::ssize(result.tokens), first - whole.tokens.begin());
    EXPECT_EQ(result.end_token, whole.tokens[at].id);
    EXPECT_EQ(result.finishes, std::vector{FinishReason::kStop});
    EXPECT_EQ(core.stats().kv_pages_used, 0);
  }
}

TEST_P(SpeculatingEngine, TheContextIsFilledToItsEnd) {
  const auto make = [] {
    Request request = Make();
    request.stop.max_tokens = 1000;
    return request;
  };
  OwnCore plain(model_, 64, {}, GetParam());
  const Transcript expected = Run(plain, make());
  ToldDrafter drafter(1.0);
  Tell(expected, drafter);
  OwnCore core(model_, 64, {.speculation = {.drafter = &drafter, .tokens = 15, .always = true}},
               GetParam());
  const Transcript result = Run(core, make());
  EXPECT_EQ(result.ids(), expected.ids());
  EXPECT_EQ(std::ssize(result.tokens), 128 - 12 + 1);
  EXPECT_EQ(result.finishes, std::vector{FinishReason::kLength});
}

/// Each token has to be seen before the next can be chosen.
TEST_P(SpeculatingEngine, GrammarsAndPenaltiesAreLeftOut) {
  ToldDrafter drafter(1.0);
  OwnCore core(model_, 64, {.speculation = {.drafter = &drafter, .always = true}}, GetParam());
  Request constrained = Make();
  constrained.constraint = std::make_unique<ScriptedConstraint>("abcabcabcabc");
  constrained.stop.max_tokens = 12;
  EXPECT_EQ(Run(core, std::move(constrained)).text, "abcabcabcabc");
  Request penalized = Make(2);
  penalized.sampling.frequency_penalty = 0.5f;
  EXPECT_EQ(Run(core, std::move(penalized)).output_tokens, 60);
  EXPECT_EQ(core.stats().draft_tokens, 0);
}

TEST_P(SpeculatingEngine, ACancelledRequestLeavesNothing) {
  ToldDrafter drafter(1.0);
  drafter.Tell(1, {});
  OwnCore core(model_, 64, {.speculation = {.drafter = &drafter, .always = true}}, GetParam());
  core.Add(Make(), {});
  for (int i = 0; i < 5; ++i) core.Step({});
  EXPECT_TRUE(core.Cancel(1));
  EXPECT_EQ(Drain(core).at(1).finishes, std::vector{FinishReason::kAborted});
  EXPECT_EQ(core.stats().kv_pages_used, 0);
}

INSTANTIATE_TEST_SUITE_P(Runners, SpeculatingEngine, testing::ValuesIn(kRunnerKinds),
                         RunnerKindName);

}  // namespace
}  // namespace atom::engine
