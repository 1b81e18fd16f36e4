// A step allocates nothing: what a graph of a GPU demands, and what keeps a server's latency even.
// Everything that comes from operator new or aligned_alloc (the cpu backend's own memory) is
// counted while 200 steps of decode and chunked prefill run.
#include <atomic>
#include <cstdlib>
#include <fmt/format.h>
#include <new>

#include "tests/engine/loaded_model.h"
#include "tests/engine/quantized_model.h"

namespace {

std::atomic<bool> counting{false};
std::atomic<int64_t> allocations{0};

void* Count(void* data) {
  if (counting) ++allocations;
  return data;
}

void* CountOrThrow(void* data) {
  if (data == nullptr) throw std::bad_alloc();
  return Count(data);
}

void* Aligned(size_t alignment, size_t size) {
  void* data = nullptr;
  const size_t least = std::max(alignment, sizeof(void*));
  return posix_memalign(&data, least, size) == 0 ? data : nullptr;
}

}  // namespace

// All forms, those that do not throw too: a sanitizer's runtime has its own of whatever is left
// out, and what comes from there must not end in the free below.
[[gnu::noinline]] void* operator new(size_t size) {
  return CountOrThrow(std::malloc(std::max<size_t>(size, 1)));
}
[[gnu::noinline]] void* operator new(size_t size, std::align_val_t alignment) {
  return CountOrThrow(Aligned(static_cast<size_t>(alignment), size));
}
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return Count(std::malloc(std::max<size_t>(size, 1)));
}
[[gnu::noinline]] void* operator new(size_t size, std::align_val_t alignment,
                                     const std::nothrow_t&) noexcept {
  return Count(Aligned(static_cast<size_t>(alignment), size));
}
[[gnu::noinline]] void operator delete(void* data) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, size_t) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, std::align_val_t) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, size_t, std::align_val_t) noexcept {
  std::free(data);
}
extern "C" void* aligned_alloc(size_t alignment, size_t size) {
  return Count(Aligned(alignment, size));
}

namespace atom::engine {
namespace {

constexpr int64_t kSteps = 200;
constexpr int64_t kPositions = 512;
constexpr int64_t kSequencePages = kPositions / 16;

template <class Work>
int64_t AllocationsOf(const Work& work) {
  allocations = 0;
  counting = true;
  work();
  counting = false;
  return allocations;
}

/// Exact pages of a sequence, used in turn.
constexpr int64_t kExactPages = 4;

void AddExactPages(int32_t sequence, int64_t start, int64_t count, kernels::Batch& batch) {
  const auto number = [sequence](int64_t page) {
    return static_cast<int32_t>(sequence * kExactPages + page % kExactPages);
  };
  const kernels::PagePool pool = {.page_positions = 16, .exact_window = 16};
  for (int64_t position = start; position < start + count; ++position) {
    batch.exact_slots.push_back(static_cast<int32_t>(number(position / 16) * 16 + position % 16));
  }
  for (int64_t page = pool.FirstExactPage(start); page * 16 < start + count; ++page) {
    batch.exact_pages.push_back(number(page));
  }
  batch.exact_starts.push_back(static_cast<int32_t>(batch.exact_pages.size()));
}

/// `count` tokens of a sequence from `start` on, the last of them with logits.
void AddChunk(int32_t sequence, int64_t start, int64_t count, bool known, bool exact,
              model::StepInput& step) {
  kernels::Batch& batch = step.batch;
  if (exact) AddExactPages(sequence, start, count, batch);
  const auto first_page = static_cast<int32_t>(sequence * kSequencePages);
  for (int64_t position = start; position < start + count; ++position) {
    batch.tokens.push_back(known ? static_cast<int32_t>(3 + position % 250)
                                 : kernels::TokenInSlot(sequence));
    batch.positions.push_back(static_cast<int32_t>(position));
    batch.kv_slots.push_back(static_cast<int32_t>(first_page * 16 + position));
  }
  batch.query_starts.push_back(static_cast<int32_t>(batch.rows()));
  batch.kv_lengths.push_back(static_cast<int32_t>(start + count));
  for (int32_t page = 0; page < kernels::PagesFor(start + count, 16); ++page) {
    batch.pages.push_back(first_page + page);
  }
  batch.page_starts.push_back(static_cast<int32_t>(batch.pages.size()));
  batch.logit_rows.push_back(static_cast<int32_t>(batch.rows()) - 1);
}

/// What is asked of a row: greedy, drawn with edits and a mask, measured.
model::LogitRow RowOf(int32_t sequence, std::span<const kernels::LogitEdit> edits,
                      std::span<const uint64_t> mask) {
  model::LogitRow row{.chooses = sequence != 3, .token_slot = sequence, .logprobs = 5};
  if (sequence == 3) return {.logprobs = 2, .target = 9};
  if (sequence == 0) return row;
  row.params = {.temperature = 0.9f, .top_k = 20, .top_p = 0.9f, .edits = edits};
  row.uniform = 0.4;
  if (sequence == 2) row.params.allowed = mask;
  return row;
}

/// Three sequences decode; in the first half a fourth feeds chunks of its prompt, in the second the
/// contexts are long enough for the threads to share one.
std::vector<model::StepInput> MakeSteps(bool exact, std::span<const kernels::LogitEdit> edits,
                                        std::span<const uint64_t> mask) {
  std::vector<model::StepInput> steps(kSteps);
  for (int64_t t = 0; t < kSteps; ++t) {
    model::StepInput& step = steps[static_cast<size_t>(t)];
    step.batch.Clear();
    const bool prefill = t < kSteps / 2;
    for (int32_t sequence = 0; sequence < 3; ++sequence) {
      AddChunk(sequence, prefill ? t : 200 + t, 1, t == 0, exact, step);
    }
    if (prefill) AddChunk(3, 5 * t, 5, true, exact, step);
    for (int32_t row = 0; row < (prefill ? 4 : 3); ++row) {
      step.rows.push_back(RowOf(row, edits, mask));
    }
  }
  return steps;
}

struct Case {
  bool quantized;
  int threads;
  int64_t exact_window = 0;
  bool mixture = false;
};

class StepAllocationTest : public testing::TestWithParam<Case> {};

TEST_P(StepAllocationTest, TwoHundredStepsAllocateNothing) {
  const tests::TemporaryFolder folder;
  tests::WriteQuantizedTinyModel(folder / "model", folder / "artifact", GetParam().exact_window,
                                 {.experts = GetParam().mixture ? 5 : 0});
  const model::ModelFiles files =
      model::ModelFiles::Open(folder / (GetParam().quantized ? "artifact" : "model")).value();
  const auto backend = kernels::MakeBackend("cpu", {.threads = GetParam().threads}).value();
  const auto transformer =
      model::LoadTransformer(files, *backend,
                             {.limits = {.rows = 16, .positions = kPositions, .sequences = 4}})
          .value();
  const std::vector<kernels::LogitEdit> edits = {{.id = 5, .penalty = 1.3f}, {.id = 80, .bias = 2}};
  const std::vector<uint64_t> mask(5, 0x5555555555555555);
  const std::vector<model::StepInput> steps = MakeSteps(GetParam().exact_window > 0, edits, mask);
  for (const int in_flight : {0, 1}) {
    model::LocalRunner runner(*transformer,
                              {.kv_pages = 4 * kSequencePages,
                               .exact_pages = GetParam().exact_window > 0 ? 4 * kExactPages : 0,
                               .steps_in_flight = in_flight});
    int64_t collected = 0;
    const int64_t count = AllocationsOf([&] {
      for (const model::StepInput& step : steps) {
        runner.Submit(step);
        if (&step == steps.data() && in_flight == 1) continue;
        collected += std::ssize(runner.Collect().rows);
      }
      for (int i = 0; i < in_flight; ++i) collected += std::ssize(runner.Collect().rows);
    });
    EXPECT_EQ(count, 0) << in_flight << " steps in flight";
    EXPECT_EQ(collected, kSteps / 2 * (4 + 3));
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, StepAllocationTest,
                         testing::Values(Case{false, 1}, Case{false, 3}, Case{true, 1},
                                         Case{true, 3}, Case{true, 1, 16}, Case{true, 3, 16},
                                         Case{false, 3, 0, true}, Case{true, 3, 0, true}),
                         [](const auto& which) {
                           return fmt::format("{}{}{}{}Threads",
                                              which.param.quantized ? "Quantized" : "Plain",
                                              which.param.mixture ? "Mixture" : "",
                                              which.param.exact_window > 0 ? "ExactWindow" : "",
                                              which.param.threads);
                         });

TEST(StepAllocation, TheCounterSeesWhatIsAllocated) {
  const auto backend = kernels::MakeBackend("cpu", {.threads = 1}).value();
  EXPECT_EQ(AllocationsOf([] {}), 0);
  EXPECT_GT(AllocationsOf([&] { (void)backend->Allocate(100); }), 0);
  EXPECT_EQ(AllocationsOf([] { std::vector<int>(100).back() = 1; }), 1);
  // An op that nobody planned grows the workspace.
  const kernels::DeviceBuffer memory = backend->Allocate(4 * 5000);
  const kernels::DeviceTensor logits{memory.data(), 1, 5000, 5000};
  kernels::StepResults results(*backend, 1);
  const std::vector<kernels::SampleRow> rows(1);
  EXPECT_GT(AllocationsOf([&] { backend->Sample(logits, rows, results.tokens()); }), 0);
  EXPECT_EQ(AllocationsOf([&] { backend->Sample(logits, rows, results.tokens()); }), 0);
}

}  // namespace
}  // namespace atom::engine
