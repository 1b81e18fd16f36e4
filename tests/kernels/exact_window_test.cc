// The exact window on every backend that has it: a plain softmax in double over what each query is
// to read, the reference bit for bit, and no dependence on chunks, pages, company or threads.
#include "plain_softmax.h"
#include "tests/sanitizers.h"

namespace atom::kernels {
namespace {

using quant::KvFormat;
using quant::KvStorage;

/// Packed and fake-quantized, windows of one block and of several.
std::vector<KvFormat> Formats() {
  return {{.storage = KvStorage::kInt4, .clip = 0.95f, .exact_window = 16},
          {.storage = KvStorage::kInt4, .exact_window = 80},
          {.storage = KvStorage::kInt8, .exact_window = 16},
          {.storage = KvStorage::kF32, .fake_bits = 4, .exact_window = 16},
          {.storage = KvStorage::kBF16, .fake_bits = 3, .exact_window = 32}};
}

/// Ratios of heads, head dimensions with and without a decode kernel, divisors, caps, windows.
std::vector<AttentionShape> Shapes() {
  std::vector<AttentionShape> shapes = {{2, 2, 8}, {4, 2, 64}, {3, 1, 64}, {4, 1, 128}, {2, 1, 80}};
  for (const int64_t window : {1, 20, 64, 100}) {
    shapes.push_back({4, 2, 64});
    shapes.back().window = window;
  }
  shapes.push_back({4, 2, 64, 5.0f, 20.0f, 70});
  return tests::FewerIfSanitized(std::move(shapes), 3);
}

class ExactWindowTest : public testing::TestWithParam<BackendCase> {
 protected:
  void SetUp() override {
    if (!Device(GetParam())->HasKernels(quant::Feature::kExactWindow))
      GTEST_SKIP() << "no exact window here";
  }
};

/// One head of K or V of a sequence, by position.
using Rows = std::vector<std::vector<float>>;
Rows RowsOf(Conversations& talk, const Conversations::Cache& cache, int which, int64_t kv_head,
            int64_t sequence, int64_t length) {
  Rows rows;
  for (int64_t p = 0; p < length; ++p) {
    rows.push_back(talk.Cached(cache, which, kv_head, {sequence, p}));
  }
  return rows;
}

/// What a query at `position` reads: the rule of docs/numerics.md, 4.
Rows ReadBy(int64_t position, int64_t window, const Rows& quantized, const Rows& exact) {
  Rows rows = quantized;
  for (int64_t j = 0; j <= position; ++j) {
    const auto at = static_cast<size_t>(j);
    if (j / 16 >= position / 16 - window / 16) rows[at] = exact[at];
  }
  return rows;
}

TEST_P(ExactWindowTest, QueriesReadTheNewestBlocksAsFp16) {
  Device device(GetParam());
  for (const KvFormat& format : Formats()) {
    SCOPED_TRACE(testing::Message() << Name(format.storage) << ", " << format.exact_window);
    const AttentionShape shape{4, 2, 64};
    Conversations talk(device, {shape, format, {1, 17, 130}});
    // The same rows in a cache of fp16.
    Conversations exact(device, {shape, {.storage = KvStorage::kF16}, {1, 17, 130}});
    talk.FeedAll();
    exact.FeedAll();
    const Conversations::Cache codes = talk.DownloadCache(), halves = exact.DownloadCache();
    for (const auto& [sequence, of_kv] : {std::pair{0, 0}, {1, 1}, {2, 0}, {2, 1}}) {
      const int s = sequence, kv_head = of_kv;  // a lambda captures no parts of a pair
      const int64_t length = talk.setup().lengths[static_cast<size_t>(s)];
      const auto rows = [&](int which, Conversations& of, const Conversations::Cache& cache) {
        return RowsOf(of, cache, which, kv_head, s, length);
      };
      const Rows keys = rows(0, talk, codes), values = rows(1, talk, codes);
      const Rows exact_keys = rows(0, exact, halves), exact_values = rows(1, exact, halves);
      for (int64_t p = 0; p < length; ++p) {
        const int64_t head = 2 * kv_head + p % 2;
        const Expected expected = PlainSoftmax(
            shape, talk.Query({s, p}, head), ReadBy(p, format.exact_window, keys, exact_keys),
            ReadBy(p, format.exact_window, values, exact_values), p, format.CodeBits() != 0);
        const auto actual = talk.Output({s, p}, head);
        for (size_t i = 0; i < actual.size(); ++i) {
          ASSERT_NEAR(double{actual[i]}, expected.value[i], expected.bound[i])
              << "sequence " << s << ", position " << p << ", head " << head << ", " << i;
        }
      }
    }
  }
}

std::vector<std::vector<float>> FeedInChunks(Device& device, Conversations::Setup setup,
                                             const std::vector<Conversations::Chunks>& steps) {
  Conversations talk(device, std::move(setup));
  for (const Conversations::Chunks& chunks : steps) talk.Feed(chunks);
  std::vector<std::vector<float>> outputs;
  for (size_t s = 0; s < talk.setup().lengths.size(); ++s) {
    outputs.push_back(talk.Outputs(static_cast<int64_t>(s)));
  }
  return outputs;
}

void ExpectSameBits(const std::vector<std::vector<float>>& actual,
                    const std::vector<std::vector<float>>& expected, const std::string& what) {
  for (size_t s = 0; s < expected.size(); ++s) {
    EXPECT_TRUE(SameBits(actual[s], expected[s])) << what << ", sequence " << s;
  }
}

TEST_P(ExactWindowTest, AgreesWithTheReferenceBitForBit) {
  if (!SharesEveryRounding(GetParam())) return;
  Device device(GetParam());
  Device reference(BackendCase{"reference", ""});
  std::vector<Conversations::Setup> setups;
  for (const KvFormat& format : Formats()) setups.push_back({{4, 2, 64}, format, {150, 9}});
  for (const AttentionShape& shape : Shapes()) {
    setups.push_back({shape, Formats()[0], {150, 64}});
    setups.push_back({shape, Formats()[3], {150, 64}});
  }
  for (const Conversations::Setup& setup : setups) {
    ExpectSameBits(FeedInChunks(device, setup, {setup.lengths}),
                   FeedInChunks(reference, setup, {setup.lengths}),
                   fmt::format("{}, window {}, head_dim {}", Name(setup.format.storage),
                               setup.format.exact_window, setup.shape.head_dim));
  }
}

TEST_P(ExactWindowTest, DoesNotDependOnChunksPagesOrCompany) {
  Device device(GetParam());
  for (const KvFormat& format : Formats()) {
    const Conversations::Setup setup{{3, 1, 64}, format, {200, 70, 5}};
    const auto whole = FeedInChunks(device, setup, {{200, 70, 5}});
    const std::vector<std::vector<Conversations::Chunks>> plans = {
        {{200, 0, 0}, {0, 70, 0}, {0, 0, 5}},
        {{64, 1, 5}, {64, 64, 0}, {72, 5, 0}},
        {{16, 15, 1}, {16, 1, 1}, {16, 16, 3}, {152, 38, 0}},
        {{1, 63, 0}, {30, 0, 3}, {100, 6, 1}, {68, 1, 1}, {1, 0, 0}}};
    for (size_t plan = 0; plan < plans.size(); ++plan) {
      ExpectSameBits(FeedInChunks(device, setup, plans[plan]), whole,
                     fmt::format("{}, plan {}", Name(format.storage), plan));
    }
  }
}

TEST_P(ExactWindowTest, DecodingTokenByTokenIsPrefill) {
  std::vector<Conversations::Setup> setups;
  for (const AttentionShape& shape : Shapes()) setups.push_back({shape, Formats()[0], {290, 20}});
  for (const KvFormat& format : Formats()) setups.push_back({{4, 2, 64}, format, {290, 20}});
  std::vector<Conversations::Chunks> steps = {{265, 1}};
  for (int i = 0; i < 19; ++i) steps.push_back({1, 1});
  for (int i = 0; i < 6; ++i) steps.push_back({1, 0});  // alone: threads share its tiles
  for (const int threads : {1, 3}) {
    Device device(GetParam(), threads);
    for (const Conversations::Setup& setup : setups) {
      ExpectSameBits(
          FeedInChunks(device, setup, steps), FeedInChunks(device, setup, {setup.lengths}),
          fmt::format("{}, {} heads of {}, window {}, {} threads", Name(setup.format.storage),
                      setup.shape.heads, setup.shape.head_dim, setup.shape.window, threads));
    }
  }
}

TEST_P(ExactWindowTest, TheCacheHoldsTheSameCodes) {
  Device device(GetParam());
  for (KvFormat format : Formats()) {
    Conversations with(device, {{4, 2, 64}, format, {40}});
    format.exact_window = 0;
    Conversations without(device, {{4, 2, 64}, format, {40}});
    with.FeedAll();
    without.FeedAll();
    const Conversations::Cache a = with.DownloadCache(), b = without.DownloadCache();
    for (int64_t p = 0; p < 40; ++p) {
      EXPECT_EQ(with.Cached(a, 0, 1, {0, p}), without.Cached(b, 0, 1, {0, p}));
      EXPECT_EQ(with.Cached(a, 1, 0, {0, p}), without.Cached(b, 1, 0, {0, p}));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, ExactWindowTest, testing::ValuesIn(BackendsUnderTest()),
                         BackendCaseName);

}  // namespace
}  // namespace atom::kernels
