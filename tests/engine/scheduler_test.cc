// Who is computed when, under a clock that counts steps.
#include "atom/engine/scheduler.h"

#include "atom/core/rng.h"

#include "tests/engine/simulated_engine.h"

namespace atom::engine {
namespace {

using Steps = std::map<RequestId, int64_t>;

TEST(Scheduler, ALongPromptStallsNoDecode) {
  SimulatedEngine engine({.step_tokens = 32, .max_sequences = 8}, 1000);
  for (int i = 0; i < 3; ++i) engine.Add({.prompt = 4, .answer = 60});
  engine.Step();
  const RequestId longest = engine.Add({.prompt = 1000, .answer = 2});
  while (!engine.ended(0)) {
    const Steps steps = engine.Step();
    for (RequestId id = 0; id < 3; ++id) EXPECT_EQ(steps.at(id), 1);
    if (steps.contains(longest) && engine.start_of(longest) == 0) {
      EXPECT_EQ(steps.at(longest), 29);  // all the room that is left
    }
  }
  engine.Run(1000);
  // 3 streams, 59 steps: 58 of 29 tokens would be enough for it.
  EXPECT_EQ(engine.start_of(longest), 1 + (1000 + 28) / 29);
}

TEST(Scheduler, ServesByPriorityAndThenByArrival) {
  SimulatedEngine engine({.step_tokens = 16, .max_sequences = 1}, 100);
  engine.Add({.prompt = 5, .answer = 3});
  engine.Step();
  const RequestId late = engine.Add({.prompt = 5, .priority = 1});
  const RequestId middle = engine.Add({.prompt = 5});
  const RequestId last = engine.Add({.prompt = 5});
  const RequestId first = engine.Add({.prompt = 5, .priority = -1});
  engine.Run(100);
  EXPECT_LT(engine.end_of(0), engine.end_of(first));
  EXPECT_LT(engine.end_of(first), engine.end_of(middle));
  EXPECT_LT(engine.end_of(middle), engine.end_of(last));
  EXPECT_LT(engine.end_of(last), engine.end_of(late));
}

TEST(Scheduler, AnUrgentPromptGoesBeforeOneThatHasBegun) {
  SimulatedEngine engine({.step_tokens = 16, .max_sequences = 4}, 100);
  const RequestId begun = engine.Add({.prompt = 100});
  engine.Step();
  const RequestId urgent = engine.Add({.prompt = 20, .priority = -1, .first_token = 500});
  EXPECT_EQ(engine.Step(), (Steps{{urgent, 16}}));
  EXPECT_EQ(engine.Step(), (Steps{{urgent, 4}, {begun, 12}}));
}

TEST(Scheduler, PromptsShareAStep) {
  SimulatedEngine engine({.step_tokens = 20, .max_sequences = 4}, 100);
  for (int i = 0; i < 3; ++i) engine.Add({.prompt = 8, .answer = 3, .first_token = 100 * i});
  EXPECT_EQ(engine.Step(), (Steps{{0, 8}, {1, 8}, {2, 4}}));
  EXPECT_EQ(engine.Step(), (Steps{{0, 1}, {1, 1}, {2, 4}}));
}

TEST(Scheduler, NoMoreRunThanMayOrThanAStepHasRoomFor) {
  for (const int64_t step_tokens : {3, 100}) {
    SimulatedEngine engine({.step_tokens = step_tokens, .max_sequences = 5}, 1000);
    for (int i = 0; i < 20; ++i) engine.Add({.prompt = 3, .answer = 7});
    int64_t most = 0;
    while (!engine.ended(19)) {
      engine.Step();
      most = std::max(most, engine.scheduler().running());
    }
    EXPECT_EQ(most, std::min<int64_t>(step_tokens, 5));
  }
}

TEST(Scheduler, TheLastInRankGivesItsPages) {
  SimulatedEngine engine({.step_tokens = 64, .max_sequences = 8, .prefix_cache = false}, 6);
  const RequestId a = engine.Add({.prompt = 15, .answer = 40});
  const RequestId b = engine.Add({.prompt = 15, .answer = 40, .priority = -1});
  const RequestId c = engine.Add({.prompt = 15, .answer = 40});
  while (engine.scheduler().preemptions() == 0) engine.Step();
  // Three sequences of two pages are full at 32 tokens.
  EXPECT_EQ(engine.sequence(c).computed, 0);
  EXPECT_TRUE(engine.sequence(c).pages.empty());
  EXPECT_EQ(engine.sequence(a).computed, 33);
  EXPECT_EQ(engine.sequence(b).computed, 33);
  EXPECT_EQ(engine.scheduler().waiting(), 1);
  engine.Run(1000);
  EXPECT_LT(engine.end_of(a), engine.end_of(c));
}

TEST(Scheduler, APromptTakesPagesOfADecodeBehindIt) {
  SimulatedEngine engine({.step_tokens = 4, .max_sequences = 8, .prefix_cache = false}, 9);
  const RequestId a = engine.Add({.prompt = 10, .answer = 50, .priority = 1});
  const RequestId b = engine.Add({.prompt = 10, .answer = 50, .priority = 1});
  while (engine.start_of(b) == 0) engine.Step();
  const RequestId prompt = engine.Add({.prompt = 64});
  Steps steps;
  while (engine.scheduler().preemptions() == 0) steps = engine.Step();
  // The streams have grown to three pages each, the prompt asks for its fourth: though b had been
  // given a token of this step, it is not in it.
  EXPECT_EQ(steps, (Steps{{a, 1}, {prompt, 2}}));
  EXPECT_EQ(engine.sequence(prompt).pages.size(), 4u);
  engine.Run(1000);
}

TEST(Scheduler, NothingBeginsOnlyToBePreempted) {
  SimulatedEngine engine({.step_tokens = 64, .max_sequences = 8, .prefix_cache = false}, 4);
  engine.Add({.prompt = 14, .answer = 10});  // needs a second page soon
  engine.Step();
  const RequestId large = engine.Add({.prompt = 48});
  engine.Run(100);
  EXPECT_EQ(engine.scheduler().preemptions(), 0);
  EXPECT_EQ(engine.start_of(large), engine.end_of(0) + 1);
}

TEST(Scheduler, ExhaustionStopsNobodyForEver) {
  for (const bool cache : {false, true}) {
    // Each needs all of the pages but one before it ends.
    SimulatedEngine engine({.step_tokens = 40, .max_sequences = 16, .prefix_cache = cache}, 10);
    std::vector<RequestId> ids;
    for (int i = 0; i < 16; ++i) {
      ids.push_back(engine.Add({.prompt = 30, .answer = 114, .first_token = 1000 * i}));
    }
    engine.Run(16 * 200);
    EXPECT_GT(engine.scheduler().preemptions(), 0);
    for (size_t i = 1; i < ids.size(); ++i) {
      EXPECT_LT(engine.end_of(ids[i - 1]), engine.end_of(ids[i])) << "nobody is overtaken";
    }
  }
}

TEST(Scheduler, PromptsAloneDoNotBlockEachOther) {
  // All begin while there is room for all beginnings, none could end without what others have.
  SimulatedEngine engine({.step_tokens = 8, .max_sequences = 4, .prefix_cache = false}, 12);
  for (int i = 0; i < 8; ++i) engine.Add({.prompt = 16 * 11, .answer = 10});
  engine.Run(8 * 50);
}

TEST(Scheduler, ACancelledSequenceLeavesAtOnce) {
  SimulatedEngine engine({.step_tokens = 64, .max_sequences = 2}, 20);
  const RequestId runs = engine.Add({.prompt = 100, .answer = 100});
  const RequestId stays = engine.Add({.prompt = 30, .answer = 3, .first_token = 500});
  const RequestId waits = engine.Add({.prompt = 30, .answer = 3, .first_token = 900});
  engine.Step();
  EXPECT_EQ(engine.pool().used(), 4);
  engine.Cancel(runs);
  EXPECT_EQ(engine.pool().used(), 0);
  engine.Cancel(waits);
  EXPECT_EQ(engine.Step(), (Steps{{stays, 30}}));
  engine.Run(10);
}

TEST(Scheduler, ReusesFullPagesButComputesTheLastToken) {
  SimulatedEngine engine({.step_tokens = 512, .max_sequences = 4}, 100);
  engine.Add({.prompt = 64, .answer = 4});
  engine.Run(10);
  const RequestId same = engine.Add({.prompt = 64});
  EXPECT_EQ(engine.Step(), (Steps{{same, 16}}));
  EXPECT_EQ(engine.sequence(same).cached_tokens, 48);
  const RequestId longer = engine.Add({.prompt = 65});
  EXPECT_EQ(engine.Step(), (Steps{{longer, 1}}));
  const RequestId other = engine.Add({.prompt = 64, .first_token = 1});
  EXPECT_EQ(engine.Step(), (Steps{{other, 64}}));
  const RequestId measured = engine.Add({.prompt = 64, .logits_below = 64});
  EXPECT_EQ(engine.Step(), (Steps{{measured, 64}}));
  // What may be left out and was asked for: all but the last token, of the measured one nothing.
  EXPECT_EQ(engine.scheduler().prefix_hits(), 48 + 64);
  EXPECT_EQ(engine.scheduler().prefix_queries(), 63 + 63 + 64 + 63);
}

TEST(Scheduler, EqualPromptsShareTheStepThatComputesThem) {
  SimulatedEngine engine({.step_tokens = 512, .max_sequences = 8}, 100);
  const RequestId first = engine.Add({.prompt = 64, .answer = 3});
  const RequestId same = engine.Add({.prompt = 64, .answer = 3});
  const RequestId longer = engine.Add({.prompt = 70, .answer = 3});
  const RequestId other = engine.Add({.prompt = 64, .answer = 3, .first_token = 1});
  EXPECT_EQ(engine.Step(), (Steps{{first, 64}, {same, 16}, {longer, 6}, {other, 64}}));
  for (int page = 0; page < 4; ++page) {
    const auto page_of = [&](RequestId id) { return engine.sequence(id).pages.at(page); };
    if (page < 3) {
      EXPECT_EQ(page_of(same), page_of(first));
    } else {
      EXPECT_NE(page_of(same), page_of(first)) << "shared pages are not written";
    }
    EXPECT_EQ(page_of(longer), page_of(first));
  }
  EXPECT_EQ(engine.scheduler().prefix_queries(), 63 + 63 + 69 + 63);
  EXPECT_EQ(engine.scheduler().prefix_hits(), 48 + 64);
  engine.Run(10);
}

/// What did not fit into the writer's step is shared in the step that has it.
TEST(Scheduler, EqualPromptsShareEachChunk) {
  SimulatedEngine engine({.step_tokens = 40, .max_sequences = 8}, 100);
  const RequestId first = engine.Add({.prompt = 64, .answer = 3});
  const RequestId same = engine.Add({.prompt = 64, .answer = 3});
  EXPECT_EQ(engine.Step(), (Steps{{first, 40}}));
  EXPECT_EQ(engine.Step(), (Steps{{first, 24}, {same, 16}}));
  engine.Run(10);
}

/// The exact pages in front of a prefix's end are of the same step, too.
TEST(Scheduler, EqualPromptsShareTails) {
  SimulatedEngine engine(
      {.step_tokens = 512, .max_sequences = 8, .exact_window = 32, .exact_pages = 100}, 100);
  const RequestId first = engine.Add({.prompt = 100, .answer = 3});
  const RequestId same = engine.Add({.prompt = 100, .answer = 3});
  EXPECT_EQ(engine.Step(), (Steps{{first, 100}, {same, 4}}));
  engine.Run(10);
}

/// A step that was planned and never submitted has written nothing.
TEST(Scheduler, WhatWasNotComputedIsNotFound) {
  for (const int64_t exact_window : {0, 32}) {
    SimulatedEngine engine({.step_tokens = 512,
                            .max_sequences = 8,
                            .exact_window = exact_window,
                            .exact_pages = exact_window > 0 ? 100 : 0},
                           100);
    const RequestId first = engine.Add({.prompt = 64, .answer = 3});
    const RequestId same = engine.Add({.prompt = 64, .answer = 3});
    EXPECT_EQ(engine.scheduler().Schedule().size(), 2u);
    engine.Cancel(first);
    engine.Cancel(same);
    EXPECT_EQ(engine.pool().used(), 0);
    const RequestId next = engine.Add({.prompt = 64, .answer = 3});
    EXPECT_EQ(engine.Step(), (Steps{{next, 64}}));
    engine.Run(10);
  }
}

/// A decode may yet give its place in the step to a prompt, so what it fills is found a step later.
TEST(Scheduler, APageThatADecodeFillsIsFoundOnceItIsComputed) {
  SimulatedEngine engine({.step_tokens = 512, .max_sequences = 8}, 100);
  const RequestId stream = engine.Add({.prompt = 15, .answer = 3});
  engine.Step();
  const RequestId in_its_step = engine.AddTurn(stream, 5);
  EXPECT_EQ(engine.Step(), (Steps{{stream, 1}, {in_its_step, 21}}));
  const RequestId later = engine.AddTurn(stream, 5);
  EXPECT_EQ(engine.Step(), (Steps{{stream, 1}, {later, 6}}));
  engine.Run(10);
}

TEST(Scheduler, ReusesWhatLiesBeforeTheFirstLogits) {
  for (const auto& [from, found] : Steps{{0, 0}, {15, 0}, {16, 16}, {47, 32}, {48, 48}, {63, 48}}) {
    SimulatedEngine engine({.step_tokens = 512, .max_sequences = 4}, 100);
    engine.Add({.prompt = 64});
    engine.Run(10);
    const RequestId measured = engine.Add({.prompt = 64, .logits_below = 64, .logits_from = from});
    EXPECT_EQ(engine.Step(), (Steps{{measured, 64 - found}}));
    EXPECT_EQ(engine.scheduler().prefix_hits(), found);
    EXPECT_EQ(engine.scheduler().prefix_queries(), 63 + from);
  }
}

/// With an exact window a prefix ends where the exact pages in front of its end are kept.
TEST(Scheduler, APrefixEndsAtATail) {
  SimulatedEngine engine(
      {.step_tokens = 4096, .max_sequences = 4, .exact_window = 16, .exact_pages = 1000}, 1000);
  engine.Add({.prompt = 2000, .answer = 40});  // ends at 2040: 127 pages are full
  engine.Run(100);
  const auto found = [&](int64_t prompt, int64_t fresh) {
    const RequestId id = engine.Add({.prompt = prompt, .fresh = fresh});
    engine.Step();
    return engine.sequence(id).cached_tokens;
  };
  EXPECT_EQ(found(2000, 0), 1984);  // the end of the prompt
  EXPECT_EQ(found(1100, 5), 1024);  // one every 32 pages
  EXPECT_EQ(found(1100, 6), 1088);  // where the one before left what was cached
  EXPECT_EQ(found(1100, 7), 1088);
  EXPECT_EQ(found(500, 1), 0);
}

/// Where a sequence stopped, a next turn goes on.
TEST(Scheduler, ATailStaysWhereASequenceStopped) {
  SimulatedEngine engine(
      {.step_tokens = 4096, .max_sequences = 4, .exact_window = 32, .exact_pages = 100}, 100);
  const RequestId first = engine.Add({.prompt = 100, .answer = 75});
  engine.Run(100);
  const RequestId next = engine.AddTurn(first, 30);
  EXPECT_EQ(engine.Step(), (Steps{{next, 175 + 30 - 160}}));
  EXPECT_EQ(engine.sequence(next).cached_tokens, 160);
}

TEST(Scheduler, FewExactPagesStopNobodyForEver) {
  SimulatedEngine engine(
      {.step_tokens = 200, .max_sequences = 8, .exact_window = 16, .exact_pages = 4}, 200);
  for (int i = 0; i < 8; ++i) engine.Add({.prompt = 100, .answer = 60, .first_token = 1000 * i});
  engine.Run(8 * 200);
}

TEST(SchedulerDeathTest, TooFewExactPagesAreRefused) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      SimulatedEngine({.step_tokens = 8, .max_sequences = 1, .exact_window = 32, .exact_pages = 3},
                      10),
      "3 exact pages, expected at least 4");
}

TEST(Scheduler, PagesBehindTheWindowAreGivenBack) {
  SimulatedEngine engine({.step_tokens = 64, .max_sequences = 1, .window = 40}, 9);
  const RequestId id = engine.Add({.prompt = 1000, .answer = 200});
  int64_t most = 0;
  while (!engine.ended(id)) {
    engine.Step();
    most = std::max(most, engine.pool().used());
  }
  EXPECT_LE(most, 5) << "before the next chunk";
  EXPECT_EQ(engine.clock(), (1000 + 63) / 64 + 199);
  EXPECT_EQ(engine.scheduler().preemptions(), 0);
  EXPECT_EQ(engine.pool().used(), 0);
}

// Of 20 pages, 16 and 3 of the other are cached: what a query behind the prompt sees is among them,
// its beginning is not.
TEST(Scheduler, APrefixIsFoundWhoseBeginningIsGone) {
  SimulatedEngine engine({.step_tokens = 64, .max_sequences = 1, .window = 40}, 20);
  const RequestId first = engine.Add({.prompt = 320, .answer = 1});
  engine.Run(100);
  engine.Add({.prompt = 96, .answer = 1, .first_token = 5000});
  engine.Run(100);
  const RequestId next = engine.AddTurn(first, 30);
  const int64_t before = engine.clock();
  engine.Run(200);
  EXPECT_EQ(engine.sequence(next).cached_tokens, 320);
  EXPECT_EQ(engine.end_of(next), before + 1);
  const RequestId beginning = engine.Add({.prompt = 64, .answer = 1});
  engine.Run(300);
  EXPECT_EQ(engine.sequence(beginning).cached_tokens, 0) << "what was used longest ago went first";
}

// A page in the middle is missing: the prefix ends where a whole window is known in front of it.
TEST(Scheduler, APrefixHasAllThatALaterQuerySees) {
  for (const int64_t window : {16, 17, 33, 48, 64}) {
    SimulatedEngine engine({.step_tokens = 16, .max_sequences = 1, .window = window}, 12);
    const RequestId first = engine.Add({.prompt = 190, .answer = 1});
    engine.Run(100);
    for (const int64_t other : {20, 40, 60, 100}) {
      engine.Add({.prompt = other, .answer = 1, .first_token = static_cast<int32_t>(100 * other)});
      engine.Run(1000);
      const RequestId again = engine.AddTurn(first, 1);  // every step is checked
      engine.Run(1000);
      EXPECT_EQ(engine.sequence(again).cached_tokens % 16, 0);
    }
  }
}

TEST(Scheduler, RandomLoadsEndAndLeaveNothing) {
  Rng random(8);
  for (int trial = 0; trial < 180; ++trial) {
    const int64_t pages = 4 + random.Below(30);
    const int64_t exact_blocks = trial % 2 == 0 ? 0 : 1 + random.Below(3);
    SimulatedEngine engine({.step_tokens = 1 + random.Below(60),
                            .max_sequences = 1 + random.Below(12),
                            .prefix_cache = trial % 3 != 0,
                            .exact_window = 16 * exact_blocks,
                            .exact_pages = exact_blocks + 2 + random.Below(20),
                            .window = trial < 120 ? 0 : 1 + random.Below(16 * pages)},
                           pages);
    const int64_t requests = 1 + random.Below(40);
    for (int64_t i = 0; i < requests; ++i) {
      const int64_t prompt = 1 + random.Below(16 * pages - 1);
      const int64_t answer = 1 + random.Below(16 * pages - prompt + 1);
      const RequestId id = engine.Add({.prompt = prompt,
                                       .answer = answer,
                                       .priority = static_cast<int32_t>(random.Below(3)),
                                       .first_token = static_cast<int32_t>(random.Below(3)),
                                       .logits_below = random.Below(5) == 0 ? prompt : 0,
                                       .logits_from = random.Below(prompt)});
      for (int64_t step = random.Below(5); step > 0; --step) engine.Step();
      const RequestId unlucky = random.Below(id + 1);
      if (random.Below(8) == 0 && !engine.ended(unlucky)) engine.Cancel(unlucky);
    }
    engine.Run(1000000);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace atom::engine
