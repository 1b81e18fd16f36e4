// The engine in its thread, pulled at from several others.
#include "atom/engine/engine.h"

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "tests/engine/held_runner.h"
#include "tests/engine/loaded_model.h"
#include "tests/soon.h"

namespace atom::engine {
namespace {

using namespace std::chrono_literals;

class EngineTest : public testing::TestWithParam<RunnerKind> {
 protected:
  static Request Make(RequestId id) {
    Request request;
    request.id = id;
    request.prompt = RandomPrompt(static_cast<uint64_t>(id), 1 + id % 30);
    request.stop = {.max_tokens = 1 + id % 12, .ignore_eos = true};
    request.sampling.seed = static_cast<uint64_t>(id);
    return request;
  }

  LoadedModel model_{kTestedBackend};
};

struct OwnHeldRunner {
  OwnHeldRunner(LoadedModel& model, int64_t kv_pages, RunnerKind kind)
      : own(model, kv_pages, kind) {}
  OwnRunner own;
  HeldRunner model_runner{own.runner()};
};

/// An Engine with a runner of its own.
class OwnEngine : public OwnHeldRunner, public Engine {
 public:
  OwnEngine(LoadedModel& model, int64_t kv_pages, const EngineOptions& options, RunnerKind kind)
      : OwnHeldRunner(model, kv_pages, kind), Engine(model_runner, *model.tokenizer, options) {}
  ~OwnEngine() { model_runner.Release(); }
};

TEST_P(EngineTest, RandomSubmitsAndCancelsAllEndOnce) {
  constexpr int kThreads = 3;
  constexpr int kEach = 40;
  OwnEngine engine(model_, 24, {.max_sequences = 8}, GetParam());
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&engine, t] {
      Rng random(static_cast<uint64_t>(t));
      for (int i = 0; i < kEach; ++i) {
        Request request = Make(t * 1000 + i);
        ASSERT_TRUE(engine.Validate(request).ok());
        ASSERT_TRUE(engine.Submit(std::move(request)).ok());
        if (random.Below(3) == 0) engine.Cancel(t * 1000 + random.Below(i + 1));
        if (random.Below(4) == 0) std::this_thread::sleep_for(2ms);
        EXPECT_GE(engine.stats().kv_pages, engine.stats().kv_pages_used);
        EXPECT_LT(engine.SinceLastTurn(), 60s);
      }
    });
  }
  Transcripts results;
  std::set<RequestId> ended;
  while (ended.size() < kThreads * kEach) {
    for (Output& output : engine.Wait(100ms)) {
      const RequestId id = output.id;
      EXPECT_FALSE(ended.contains(id)) << "an Output behind the last";
      if (output.finish) ended.insert(id);
      results[id].Add(std::move(output));
    }
  }
  threads.clear();
  for (const auto& [id, result] : results) {
    ASSERT_EQ(result.finishes.size(), 1u);
    if (result.finishes[0] == FinishReason::kAborted) continue;
    EXPECT_EQ(result.finishes[0], FinishReason::kLength);
    EXPECT_EQ(result.output_tokens, 1 + id % 12);
  }
  // In the thread as without it.
  OwnCore core(model_, 24);
  for (const auto& [id, result] : results) {
    if (result.finishes[0] != FinishReason::kLength || id % 5 != 0) continue;
    core.Add(Make(id), {});
    EXPECT_EQ(Drain(core).at(id).ids(), result.ids());
  }
}

TEST_P(EngineTest, RefusesWhenTooManyWait) {
  OwnEngine engine(model_, 24, {.max_sequences = 1, .max_waiting = 3}, GetParam());
  engine.model_runner.Hold(0);
  int accepted = 0;
  Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) {
    Request request = Make(i);
    status = engine.Submit(std::move(request));
    accepted += status.ok() ? 1 : 0;
  }
  engine.model_runner.Release();
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(accepted, 3);
  std::set<RequestId> ended;
  while (static_cast<int>(ended.size()) < accepted) {
    for (const Output& output : engine.Wait(100ms)) {
      if (output.finish) ended.insert(output.id);
    }
  }
  EXPECT_TRUE(engine.Submit(Make(1000)).ok());
}

// A busy machine may make any turn late, but not all.
TEST_P(EngineTest, GoesRoundWithNothingToDo) {
  OwnEngine engine(model_, 4, {}, GetParam());
  const auto last_turn = [&] { return std::chrono::steady_clock::now() - engine.SinceLastTurn(); };
  EXPECT_TRUE(tests::Soon([&] {
    const auto before = last_turn();
    // What both clocks say of one turn differs by the time between two lines.
    EXPECT_TRUE(tests::Soon([&] { return last_turn() > before + 100ms; }));
    EXPECT_TRUE(engine.Wait(0ms).empty());
    return last_turn() < before + 1s;
  }));
}

TEST_P(EngineTest, EndsWhileRequestsRun) {
  for (int i = 0; i < 5; ++i) {
    OwnEngine engine(model_, 64, {}, GetParam());
    for (RequestId id = 0; id < 20; ++id) ASSERT_TRUE(engine.Submit(Make(id)).ok());
    if (i % 2 == 0) engine.Wait(1000ms);
  }
}

INSTANTIATE_TEST_SUITE_P(Runners, EngineTest, testing::ValuesIn(kRunnerKinds), RunnerKindName);

}  // namespace
}  // namespace atom::engine
