// The promise of continuous batching: what else runs, how prompts are cut, preemption and the
// prefix cache change no token.
#include "atom/engine/engine_core.h"

#include <fmt/format.h>

#include "tests/engine/many_requests.h"
#include "tests/engine/quantized_model.h"
#include "tests/family_model.h"
#include "tests/sanitizers.h"

namespace atom::engine {
namespace {

/// A backend, and whether the model is an artifact.
struct Case {
  std::string_view backend;
  bool quantized;
  int requests;
  RunnerKind runner = RunnerKind::kLocal;
  int64_t exact_window = 0;
  int64_t window = 0;       ///< of attention, in all layers
  std::string family = {};  ///< empty: the small random Llama. An artifact is atom-best's
};

/// By atom-best.
std::filesystem::path FamilyArtifact(const std::string& family) {
  const auto write = [&](const std::filesystem::path& folder) {
    std::filesystem::create_directory(folder / "model");
    tests::WriteFamilyModel(tests::FamilyConfig(family), folder / "model");
    tests::WriteArtifact(folder / "model", folder / "artifact",
                         quant::FindRecipe("atom-best").value());
  };
  return tests::WrittenOnce(family, write) / "artifact";
}

std::unique_ptr<LoadedModel> Load(const Case& which) {
  const model::Transformer::Limits limits{.rows = 512, .positions = 128};
  if (!which.family.empty()) {
    if (which.quantized) {
      return std::make_unique<LoadedModel>(FamilyArtifact(which.family), which.backend, limits);
    }
    const tests::TemporaryFolder folder;
    tests::WriteFamilyModel(tests::FamilyConfig(which.family), folder.path());
    return std::make_unique<LoadedModel>(folder.path(), which.backend, limits);
  }
  if (!which.quantized) {
    return std::make_unique<LoadedModel>(which.backend, limits, which.window);
  }
  return std::make_unique<LoadedModel>(tests::QuantizedTinyModel(which.exact_window, which.window),
                                       which.backend, limits);
}

class EngineCoreTest : public testing::TestWithParam<Case> {
 protected:
  /// As few as still make the pages scarce.
  int requests() const {
    return tests::kSanitized ? std::min(GetParam().requests, 16) : GetParam().requests;
  }

  Transcripts Together(int64_t kv_pages, const EngineOptions& options,
                       EngineStats* stats = nullptr) {
    OwnCore core(model_, kv_pages, options, GetParam().runner);
    for (Request& request : ManyRequests(requests())) core.Add(std::move(request), {});
    Transcripts results = Drain(core);
    EXPECT_EQ(core.stats().kv_pages_used, 0);
    if (stats != nullptr) *stats = core.stats();
    return results;
  }

  const std::unique_ptr<LoadedModel> loaded_ = Load(GetParam());
  LoadedModel& model_ = *loaded_;
};

TEST_P(EngineCoreTest, ChunksAndNeighboursChangeNothing) {
  const Transcripts alone = Alone(model_, ManyRequests(requests()));
  for (const int64_t step_tokens : tests::FewerIfSanitized<int64_t>({7, 1, 64, 512}, 2)) {
    ExpectSame(Together(64 * 8, {.step_tokens = step_tokens}), alone,
               fmt::format("{} tokens a step", step_tokens));
  }
}

TEST_P(EngineCoreTest, PreemptionChangesNothing) {
  const Transcripts alone = Alone(model_, ManyRequests(requests()));
  for (const bool prefix_cache : {false, true}) {
    int64_t preemptions = 0;
    for (const int64_t pages : {8, 17}) {
      EngineStats stats;
      ExpectSame(Together(pages, {.prefix_cache = prefix_cache}, &stats), alone,
                 fmt::format("prefix cache {}, {} pages", prefix_cache, pages));
      preemptions += stats.preemptions;
    }
    EXPECT_GT(preemptions, 0);
  }
}

/// Long answers that outgrow the pages while more urgent requests come.
TEST_P(EngineCoreTest, PreemptionByTheMoreUrgentChangesNothing) {
  const int count = requests() / 2;
  const auto make = [count] {
    std::vector<Request> all = ManyRequests(count);
    for (Request& request : all) request.stop.max_tokens = 45 + request.id % 10;
    return all;
  };
  const Transcripts alone = Alone(model_, make());
  for (const bool prefix_cache : {false, true}) {
    OwnCore core(model_, 20, {.step_tokens = 100, .prefix_cache = prefix_cache}, GetParam().runner);
    Transcripts results;
    int32_t urgency = 0;
    for (Request& request : make()) {
      request.priority = -(++urgency / 3);
      core.Add(std::move(request), {});
      StepInto(core, results);
      StepInto(core, results);
    }
    while (core.HasWork()) StepInto(core, results);
    ExpectSame(results, alone, fmt::format("prefix cache {}", prefix_cache));
    // Behind a window an answer soon outgrows nothing.
    EXPECT_TRUE(core.stats().preemptions > 0 || GetParam().window > 0);
    EXPECT_EQ(core.stats().kv_pages_used, 0);
  }
}

TEST_P(EngineCoreTest, ThePrefixCacheChangesNothing) {
  const Transcripts alone = Alone(model_, ManyRequests(requests()));
  OwnCore core(model_, 64 * 8, {}, GetParam().runner);
  for (int round = 0; round < 2; ++round) {
    for (Request& request : ManyRequests(requests())) core.Add(std::move(request), {});
    const Transcripts results = Drain(core);
    ExpectSame(results, alone, fmt::format("round {}", round));
    if (round == 0) continue;
    for (const Request& request : ManyRequests(requests())) {
      int64_t reusable = static_cast<int64_t>(request.prompt.size()) - 1;
      if (request.prompt_logprobs >= 0) {
        reusable = std::max<int64_t>(request.prompt_logprobs_from - 1, 0);
      }
      EXPECT_EQ(results.at(request.id).cached_tokens, reusable / 16 * 16);
    }
  }
  EXPECT_GT(core.stats().prefix_hits, 0);
}

/// Equal prompts that begin in one step: the second reads the pages that the first writes there.
TEST_P(EngineCoreTest, PagesSharedInTheStepThatWritesThemChangeNothing) {
  const auto make = [](int64_t prompt) {
    std::vector<Request> all;
    for (int i = 0; i < 6; ++i) {
      Request request;
      request.id = i;
      request.prompt = RandomPrompt(static_cast<uint64_t>(prompt + i / 3), prompt);
      request.stop = {.max_tokens = 8, .ignore_eos = true};
      request.sampling.temperature = i % 3 == 0 ? 0.0f : 1.2f;
      request.sampling.seed = static_cast<uint64_t>(i);
      request.logprobs = 2;
      all.push_back(std::move(request));
    }
    return all;
  };
  for (const int64_t prompt : {17, 64, 83}) {
    OwnCore core(model_, 64 * 8, {}, GetParam().runner);
    for (Request& request : make(prompt)) core.Add(std::move(request), {});
    const Transcripts results = Drain(core);
    ExpectSame(results, Alone(model_, make(prompt)), fmt::format("{} tokens", prompt));
    const int64_t shared = (prompt - 1) / 16 * 16;
    for (const auto& [id, result] : results) {
      EXPECT_EQ(result.cached_tokens, id % 3 == 0 ? 0 : shared) << id;
    }
    EXPECT_EQ(core.stats().prefix_hits, 4 * shared);
    EXPECT_EQ(core.stats().prefix_queries, 6 * (prompt - 1));
  }
}

/// Prompts that leave a cached one at every position, twice: the second time all full pages are
/// found, whatever is kept beside them.
TEST_P(EngineCoreTest, APrefixOfAnyLengthChangesNothing) {
  const std::vector<int32_t> base = RandomPrompt(77, 90);
  constexpr int kStep = tests::kSanitized ? 9 : 3;  // 64 is one of them: the end of a page
  const auto make = [&base](int round) {
    std::vector<Request> all;
    for (int shared = round == 0 ? 90 : 1; shared <= 90; shared += kStep) {
      Request request;
      request.id = 100 * round + shared;
      request.prompt.assign(base.begin(), base.begin() + shared);
      for (int i = 0; i < 3; ++i) request.prompt.push_back(70 * round + (shared + i) % 60 + 5);
      request.stop = {.max_tokens = 12, .ignore_eos = true};
      request.sampling.temperature = 0.0f;
      request.logprobs = 2;
      all.push_back(std::move(request));
    }
    return all;
  };
  OwnCore core(model_, 64 * 8, {.max_sequences = 3}, GetParam().runner);
  for (const int round : {0, 1, 2}) {
    for (Request& request : make(round)) core.Add(std::move(request), {});
    const Transcripts results = Drain(core);
    ExpectSame(results, Alone(model_, make(round)), fmt::format("round {}", round));
    if (round < 2) continue;
    for (const auto& [id, result] : results) {
      EXPECT_EQ(result.cached_tokens, (id - 200) / 16 * 16) << id;
    }
  }
}

/// As few exact pages as a sequence needs to get on.
TEST_P(EngineCoreTest, FewExactPagesChangeNothing) {
  const int64_t window = GetParam().exact_window;
  if (window == 0) return;
  const Transcripts alone = Alone(model_, ManyRequests(requests()));
  for (const int64_t pages : {window / 16 + 2, window / 16 + 5}) {
    model::LocalRunner runner(*model_.transformer, {.kv_pages = 512, .exact_pages = pages});
    EngineCore core(runner, *model_.tokenizer, {});
    for (Request& request : ManyRequests(requests())) core.Add(std::move(request), {});
    ExpectSame(Drain(core), alone, fmt::format("{} exact pages", pages));
  }
}

/// A sequence that outgrows all pages together goes on behind its window.
TEST_P(EngineCoreTest, AWindowNeedsNoPagesForWhatLiesBeforeIt) {
  const int64_t window = GetParam().window;
  if (window == 0) return;
  const auto make = [] {
    std::vector<Request> all;
    for (int i = 0; i < 4; ++i) {
      Request request;
      request.id = i;
      request.prompt = RandomPrompt(static_cast<uint64_t>(i / 2), 70);
      request.stop = {.max_tokens = 50 + i, .ignore_eos = true};
      request.sampling.temperature = i % 2 == 0 ? 0.0f : 1.2f;
      request.sampling.seed = static_cast<uint64_t>(i);
      all.push_back(std::move(request));
    }
    return all;
  };
  const Transcripts alone = Alone(model_, make());
  for (const int64_t more : {0, 1, 6}) {
    const int64_t pages = kernels::PagesFor(window, 16) + 2 + more;
    model::LocalRunner runner(
        *model_.transformer,
        {.kv_pages = pages, .exact_pages = GetParam().exact_window > 0 ? pages : 0});
    EngineCore core(runner, *model_.tokenizer, {.step_tokens = 40});
    for (Request& request : make()) {
      ASSERT_TRUE(core.Validate(request).ok()) << core.Validate(request).error().message;
      core.Add(std::move(request), {});
    }
    ExpectSame(Drain(core), alone, fmt::format("{} pages", pages));
    EXPECT_EQ(core.stats().kv_pages_used, 0);
  }
}

/// Of families, whose small models have heads that a GPU has no kernels for; and of the reference,
/// which is slow.
void AddHostCases(std::vector<Case>& cases) {
  for (const std::string& family : tests::kFamilies) {
    const int64_t window = family == "mistral" || family == "phi3" ? 40 : 0;
    cases.push_back({kTestedBackend, false, 16, RunnerKind::kLocal, 0, window, family});
  }
  for (const char* family : {"gemma3", "mixtral", "opt", "qwen3moe"}) {
    cases.push_back({kTestedBackend, true, 16, RunnerKind::kInFlight, 16, 0, family});
  }
  cases.push_back({"reference", false, 12});
  cases.push_back({"reference", true, 12});
  cases.push_back({"reference", false, 12, RunnerKind::kInFlight});
}

/// Under a sanitizer the reference runs once: with all that a model can have.
std::vector<Case> Cases() {
  std::vector<Case> cases = {{kTestedBackend, false, 64},
                             {kTestedBackend, true, 32},
                             {kTestedBackend, false, 64, RunnerKind::kLate},
                             {kTestedBackend, true, 32, RunnerKind::kLate},
                             {kTestedBackend, false, 64, RunnerKind::kInFlight},
                             {kTestedBackend, true, 32, RunnerKind::kLocal, 16},
                             {kTestedBackend, true, 32, RunnerKind::kLate, 32},
                             {kTestedBackend, true, 32, RunnerKind::kInFlight, 16},
                             {kTestedBackend, true, 32, RunnerKind::kInFlight, 16, 24},
                             {kTestedBackend, false, 64, RunnerKind::kLocal, 0, 40}};
  if (kTestsDevice) return cases;
  cases.push_back({"reference", true, 12, RunnerKind::kLocal, 16});
  if (!tests::kSanitized) AddHostCases(cases);
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Backends, EngineCoreTest, testing::ValuesIn(Cases()),
                         [](const auto& which) {
                           return fmt::format(
                               "{}{}{}{}{}{}", which.param.backend,
                               which.param.quantized ? "Quantized" : "", Name(which.param.runner),
                               which.param.exact_window > 0 ? "ExactWindow" : "",
                               which.param.window > 0 ? "Sliding" : "", which.param.family);
                         });

/// What is said of each request, output by output: a step in flight only comes later.
using Events = std::vector<std::tuple<RequestId, std::string, size_t, int64_t, int64_t>>;

Events EventsOf(LoadedModel& model, RunnerKind kind) {
  OwnCore core(model, 64 * 8, {.max_sequences = 64}, kind);
  for (Request& request : ManyRequests(32)) core.Add(std::move(request), {});
  Events events;
  while (core.HasWork()) {
    for (const Output& output : core.Step({})) {
      events.emplace_back(output.id, output.text, output.prompt.size(), output.output_tokens,
                          output.finish ? 1 + static_cast<int64_t>(*output.finish) : 0);
    }
  }
  return events;
}

TEST(EngineCoreEvents, StepsInFlightKeepTheOrderOfEachRequest) {
  LoadedModel model(kTestedBackend);
  Events expected = EventsOf(model, RunnerKind::kLocal);
  const auto by_request = [](const auto& a, const auto& b) {
    return std::get<0>(a) < std::get<0>(b);
  };
  std::ranges::stable_sort(expected, by_request);
  for (const RunnerKind kind : {RunnerKind::kLate, RunnerKind::kInFlight}) {
    Events events = EventsOf(model, kind);
    std::ranges::stable_sort(events, by_request);
    EXPECT_EQ(events, expected) << Name(kind);
  }
}

/// Where nobody's next token needs the host and all fit, all is said in the very same order.
TEST(EngineCoreEvents, StepsInFlightKeepTheOrderOfAll) {
  LoadedModel model(kTestedBackend);
  const auto run = [&](RunnerKind kind) {
    OwnCore core(model, 64 * 8, {.max_sequences = 64}, kind);
    for (Request& request : ManyRequests(32)) {
      request.sampling.frequency_penalty = 0.0f;
      request.sampling.repetition_penalty = 1.0f;
      core.Add(std::move(request), {});
    }
    std::vector<std::pair<RequestId, std::vector<int32_t>>> said;
    while (core.HasWork()) {
      for (const Output& output : core.Step({})) {
        auto& ids = said.emplace_back(output.id, std::vector<int32_t>()).second;
        for (const TokenOutput& token : output.tokens) ids.push_back(token.id);
      }
    }
    return std::pair(said, core.stats().steps);
  };
  const auto [expected, steps] = run(RunnerKind::kLocal);
  for (const RunnerKind kind : {RunnerKind::kLate, RunnerKind::kInFlight}) {
    const auto [said, taken] = run(kind);
    EXPECT_EQ(said, expected) << Name(kind);
    EXPECT_EQ(taken, steps) << "an end that is foreseen costs no step";
  }
}

}  // namespace
}  // namespace atom::engine
