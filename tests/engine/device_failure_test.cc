// A device that goes wrong: every request ends once, with the one sentence, and nothing hangs.
#include <set>

#include "atom/engine/engine.h"

#include "tests/engine/failing_runner.h"
#include "tests/engine/loaded_model.h"

namespace atom::engine {
namespace {

using namespace std::chrono_literals;

struct Case {
  RunnerKind runner;
  FailsIn where;
};

class DeviceFailureTest : public testing::TestWithParam<Case> {
 protected:
  static constexpr int kRequests = 12;

  static Request Make(RequestId id) {
    Request request;
    request.id = id;
    request.prompt = RandomPrompt(static_cast<uint64_t>(id), 20);
    request.stop = {.max_tokens = 30, .ignore_eos = true};
    return request;
  }

  LoadedModel model_{kTestedBackend};
  OwnRunner healthy_{model_, 64, GetParam().runner};
  FailingRunner runner_{healthy_.runner(), GetParam().where, 5};
};

TEST_P(DeviceFailureTest, EveryRequestEndsOnceWithTheSentence) {
  EngineCore core(runner_, *model_.tokenizer, {.max_sequences = 4});
  for (RequestId id = 0; id < kRequests; ++id) core.Add(Make(id), {});
  core.Cancel(3);
  Transcripts results;
  const auto run = [&] {
    while (core.HasWork()) StepInto(core, results);
  };
  EXPECT_THROW(run(), kernels::DeviceError);
  for (Output& output : core.Abandon(FailingRunner::kSentence)) {
    results[output.id].Add(std::move(output));
  }
  ASSERT_EQ(results.size(), size_t{kRequests});
  for (const auto& [id, result] : results) {
    ASSERT_EQ(result.finishes.size(), 1u) << id;
    EXPECT_EQ(result.finishes[0], id == 3 ? FinishReason::kAborted : FinishReason::kError) << id;
    EXPECT_EQ(result.error, id == 3 ? "" : FailingRunner::kSentence) << id;
  }
  EXPECT_FALSE(core.HasWork());
  EXPECT_EQ(core.stats().kv_pages_used, 0);
  EXPECT_EQ(core.stats().running + core.stats().waiting, 0);
}

TEST_P(DeviceFailureTest, TheExceptionPassesACoreWithStepsInFlight) {
  Transcripts results;
  const auto run = [&] {
    EngineCore core(runner_, *model_.tokenizer, {.max_sequences = 4});
    for (RequestId id = 0; id < kRequests; ++id) core.Add(Make(id), {});
    while (core.HasWork()) StepInto(core, results);
  };
  EXPECT_THROW(run(), kernels::DeviceError);
}

TEST_P(DeviceFailureTest, TheThreadLivesOnAndSaysSo) {
  Engine engine(runner_, *model_.tokenizer, {.max_sequences = 4, .max_waiting = kRequests});
  EXPECT_FALSE(engine.failure().has_value());
  Transcripts results;
  // Twice as many as may wait: whoever is refused waits no longer.
  for (RequestId id = 0; id < 2 * kRequests; ++id) {
    ASSERT_TRUE(engine.Submit(Make(id)).ok()) << id;
    while (id >= kRequests - 1 && !results[id].finishes.size()) {
      for (Output& output : engine.Wait(100ms)) results[output.id].Add(std::move(output));
    }
  }
  for (const auto& [id, result] : results) {
    ASSERT_EQ(result.finishes, std::vector{FinishReason::kError}) << id;
    EXPECT_EQ(result.error, FailingRunner::kSentence) << id;
  }
  EXPECT_EQ(engine.failure(), FailingRunner::kSentence);
  EXPECT_EQ(engine.stats().running + engine.stats().waiting, 0);
  EXPECT_LT(engine.SinceLastTurn(), 60s);
}

INSTANTIATE_TEST_SUITE_P(Runners, DeviceFailureTest,
                         testing::Values(Case{RunnerKind::kLocal, FailsIn::kSubmit},
                                         Case{RunnerKind::kLocal, FailsIn::kCollect},
                                         Case{RunnerKind::kLate, FailsIn::kSubmit},
                                         Case{RunnerKind::kInFlight, FailsIn::kSubmit},
                                         Case{RunnerKind::kInFlight, FailsIn::kCollect}),
                         [](const auto& which) {
                           return Name(which.param.runner) +
                                  (which.param.where == FailsIn::kSubmit ? "Submit" : "Collect");
                         });

}  // namespace
}  // namespace atom::engine
