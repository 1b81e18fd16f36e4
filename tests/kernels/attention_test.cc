// Attention on every backend, against a plain softmax in double over the values that the pages hold
// and the queries as they were rotated.
#include "plain_softmax.h"
#include "tests/sanitizers.h"

namespace atom::kernels {
namespace {

using quant::KvFormat;
using quant::KvStorage;

void CheckAgainstPlainSoftmax(Conversations& talk) {
  const AttentionShape& shape = talk.shape();
  const Conversations::Cache cache = talk.DownloadCache();
  for (int64_t s = 0; s < static_cast<int64_t>(talk.setup().lengths.size()); ++s) {
    const int64_t length = talk.setup().lengths[static_cast<size_t>(s)];
    for (int64_t kv_head = 0; kv_head < shape.kv_heads; ++kv_head) {
      std::vector<std::vector<float>> keys, values;
      for (int64_t p = 0; p < length; ++p) {
        keys.push_back(talk.Cached(cache, 0, kv_head, {s, p}));
        values.push_back(talk.Cached(cache, 1, kv_head, {s, p}));
      }
      const int64_t group = shape.heads / shape.kv_heads;
      for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        for (int64_t p = 0; p < length; ++p) {
          const Expected expected = PlainSoftmax(shape, talk.Query({s, p}, head), keys, values, p,
                                                 talk.setup().format.CodeBits() != 0);
          const auto actual = talk.Output({s, p}, head);
          for (size_t i = 0; i < actual.size(); ++i) {
            ASSERT_NEAR(double{actual[i]}, expected.value[i], expected.bound[i])
                << "sequence " << s << ", position " << p << ", head " << head << ", " << i;
          }
        }
      }
    }
  }
}

class AttentionTest : public testing::TestWithParam<BackendCase> {};

TEST_P(AttentionTest, MatchesAPlainSoftmaxForEveryStorage) {
  Device device(GetParam());
  for (const KvCase& kv : KvCases()) {
    SCOPED_TRACE(kv.name);
    Conversations talk(device, {{4, 2, 64}, kv.format, {1, 17, 65, 130}});
    talk.FeedAll();
    CheckAgainstPlainSoftmax(talk);
    if (HasFatalFailure()) return;
  }
}

TEST_P(AttentionTest, MatchesAPlainSoftmaxForEveryShape) {
  Device device(GetParam());
  for (const AttentionShape& shape : AttentionShapes()) {
    for (const KvStorage storage : {KvStorage::kInt4, KvStorage::kInt8, KvStorage::kF32}) {
      SCOPED_TRACE(testing::Message() << shape.heads << " heads, " << shape.kv_heads
                                      << " KV heads of " << shape.head_dim);
      Conversations talk(device, {shape, {.storage = storage}, {64, 3, 81}});
      talk.FeedAll();
      CheckAgainstPlainSoftmax(talk);
      if (HasFatalFailure()) return;
    }
  }
}

/// What families ask for beyond sqrt(head_dim): divisors, caps, windows, and all of them.
std::vector<AttentionShape> SpecialShapes() {
  std::vector<AttentionShape> shapes;
  for (const int64_t head_dim : {8, 64, 128}) {
    const AttentionShape plain{4, 2, head_dim};
    for (const int64_t window : {1, 5, 16, 40, 64, 100}) {
      shapes.push_back(plain);
      shapes.back().window = window;
    }
    shapes.push_back(plain);
    shapes.back().score_divisor = 1.0f;
    shapes.push_back(plain);
    shapes.back().softcap = 2.5f;
    shapes.push_back({4, 2, head_dim, 5.0f, 20.0f, 70});
  }
  return tests::FewerIfSanitized(std::move(shapes), 4);  // of nine for each head_dim
}

TEST_P(AttentionTest, MatchesAPlainSoftmaxWithDivisorsCapsAndWindows) {
  Device device(GetParam());
  for (const AttentionShape& shape : SpecialShapes()) {
    for (const KvStorage storage : {KvStorage::kInt4, KvStorage::kF32}) {
      SCOPED_TRACE(testing::Message() << "window " << shape.window << ", cap " << shape.softcap
                                      << ", head_dim " << shape.head_dim);
      Conversations talk(device, {shape, {.storage = storage}, {1, 17, 150}});
      talk.FeedAll();
      CheckAgainstPlainSoftmax(talk);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(AttentionTest, MatchesAPlainSoftmaxWhereScoresAreLarge) {
  Device device(GetParam());  // one position takes nearly all, and exp underflows for others
  Conversations talk(device,
                     {{2, 1, 64}, {.storage = KvStorage::kF32}, {200}, true, /*sigma=*/6.0});
  talk.FeedAll();
  CheckAgainstPlainSoftmax(talk);
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

TEST_P(AttentionTest, AgreesWithTheReferenceBitForBit) {
  if (!SharesEveryRounding(GetParam())) return;
  Device device(GetParam());
  Device reference(BackendCase{"reference", ""});
  std::vector<Conversations::Setup> setups;
  for (const KvCase& kv : KvCases()) setups.push_back({{4, 2, 64}, kv.format, {150, 9}});
  for (const AttentionShape& shape : AttentionShapes()) {
    setups.push_back({shape, {.storage = KvStorage::kInt4}, {70, 64}});
  }
  for (const AttentionShape& shape : SpecialShapes()) {
    setups.push_back({shape, {.storage = KvStorage::kInt8}, {150, 64}});
  }
  setups.push_back({{2, 1, 64}, {.storage = KvStorage::kF32}, {200}, true, /*sigma=*/6.0});
  for (const Conversations::Setup& setup : setups) {
    const auto ours = FeedInChunks(device, setup, {setup.lengths});
    const auto theirs = FeedInChunks(reference, setup, {setup.lengths});
    for (size_t s = 0; s < ours.size(); ++s) {
      EXPECT_TRUE(SameBits(ours[s], theirs[s]))
          << quant::Name(setup.format.storage) << ", " << setup.shape.heads << " / "
          << setup.shape.kv_heads << " heads of " << setup.shape.head_dim;
    }
  }
}

TEST_P(AttentionTest, DoesNotDependOnChunksPagesOrCompany) {
  Device device(GetParam());
  for (const KvCase& kv : KvCases()) {
    const Conversations::Setup setup{{2, 1, 64}, kv.format, {200, 70, 5}};
    const auto whole = FeedInChunks(device, setup, {{200, 70, 5}});
    const std::vector<std::vector<Conversations::Chunks>> plans = {
        {{200, 0, 0}, {0, 70, 0}, {0, 0, 5}},                         // alone
        {{64, 1, 5}, {64, 64, 0}, {72, 5, 0}},                        // at tiles
        {{1, 63, 0}, {30, 0, 3}, {100, 6, 1}, {68, 1, 1}, {1, 0, 0}}  // anywhere
    };
    for (size_t plan = 0; plan < plans.size(); ++plan) {
      const auto pieces = FeedInChunks(device, setup, plans[plan]);
      for (size_t s = 0; s < whole.size(); ++s) {
        EXPECT_TRUE(SameBits(pieces[s], whole[s])) << kv.name << ", plan " << plan;
      }
    }
    Conversations::Setup in_order = setup;
    in_order.scrambled = false;
    const auto ordered = FeedInChunks(device, in_order, {{200, 70, 5}});
    for (size_t s = 0; s < whole.size(); ++s) EXPECT_TRUE(SameBits(ordered[s], whole[s]));
  }
}

TEST_P(AttentionTest, DecodingTokenByTokenIsPrefill) {
  Device device(GetParam());
  for (const AttentionShape& shape : AttentionShapes()) {
    for (const KvStorage storage : {KvStorage::kInt4, KvStorage::kInt8, KvStorage::kF16}) {
      const Conversations::Setup setup{shape, {.storage = storage}, {75, 20}};
      const auto whole = FeedInChunks(device, setup, {{75, 20}});
      std::vector<Conversations::Chunks> steps = {{56, 1}};
      for (int i = 0; i < 19; ++i) steps.push_back({1, 1});
      const auto decoded = FeedInChunks(device, setup, steps);
      EXPECT_TRUE(SameBits(decoded[0], whole[0]) && SameBits(decoded[1], whole[1]))
          << shape.heads << " / " << shape.kv_heads << " heads of " << shape.head_dim;
    }
  }
}

TEST_P(AttentionTest, DecodingThroughAWindowIsPrefill) {
  for (const int threads : {1, 3}) {
    Device device(GetParam(), threads);
    for (const AttentionShape& shape : SpecialShapes()) {
      const Conversations::Setup setup{shape, {.storage = KvStorage::kInt4}, {150, 20}};
      const auto whole = FeedInChunks(device, setup, {{150, 20}});
      std::vector<Conversations::Chunks> steps = {{70, 1}, {31, 0}, {30, 0}};
      for (int i = 0; i < 19; ++i) steps.push_back({1, 1});
      const auto decoded = FeedInChunks(device, setup, steps);
      EXPECT_TRUE(SameBits(decoded[0], whole[0]) && SameBits(decoded[1], whole[1]))
          << "window " << shape.window << ", head_dim " << shape.head_dim;
    }
  }
}

TEST_P(AttentionTest, NothingBeforeTheWindowCounts) {
  Device device(GetParam());
  for (const int64_t head_dim : {8, 64}) {
    const AttentionShape shape{.heads = 2, .kv_heads = 2, .head_dim = head_dim, .window = 20};
    const Conversations::Setup setup{shape, {.storage = KvStorage::kF32}, {110}};
    Conversations clean(device, setup), dirty(device, setup);
    for (int64_t column = 2 * head_dim; column < 6 * head_dim; ++column) {
      dirty.Raw({0, 40}, column) = column % 2 == 0 ? NAN : INFINITY;  // keys and values
    }
    for (Conversations* talk : {&clean, &dirty}) {
      talk->Feed({100});
      for (int i = 0; i < 10; ++i) talk->Feed({1});
    }
    for (int64_t p = 0; p < 110; ++p) {
      for (int64_t head = 0; head < 2; ++head) {
        const auto actual = dirty.Output({0, p}, head), expected = clean.Output({0, p}, head);
        const bool sees = p >= 40 && p < 60;
        ASSERT_NE(sees, std::equal(actual.begin(), actual.end(), expected.begin())) << p;
      }
    }
  }
}

TEST_P(AttentionTest, DoesNotDependOnThreads) {
  for (const KvCase& kv : KvCases()) {
    std::vector<std::vector<float>> expected;
    for (const int threads : {1, 2, 3, 5}) {
      Device device(GetParam(), threads);
      const auto out =
          FeedInChunks(device, {{4, 2, 64}, kv.format, {140, 3}}, {{100, 2}, {39, 0}, {1, 1}});
      if (expected.empty()) expected = out;
      for (size_t s = 0; s < out.size(); ++s) {
        EXPECT_TRUE(SameBits(out[s], expected[s])) << kv.name << ", " << threads << " threads";
      }
    }
  }
}

TEST_P(AttentionTest, ASequenceWithoutNumbersStaysAlone) {
  Device device(GetParam());
  const Conversations::Setup setup{{2, 2, 8}, {.storage = KvStorage::kF32}, {20, 20}};
  Conversations clean(device, setup);
  clean.FeedAll();
  Conversations dirty(device, setup);
  dirty.Raw({0, 7}, 0) = NAN;         // a query
  dirty.Raw({0, 9}, 16) = INFINITY;   // a key
  dirty.Raw({0, 12}, 33) = INFINITY;  // a value
  dirty.FeedAll();
  EXPECT_TRUE(SameBits(dirty.Outputs(1), clean.Outputs(1)));
  for (int64_t p = 0; p < 7; ++p) {  // what came before is not touched
    for (size_t i = 0; i < 8; ++i) {
      EXPECT_EQ(dirty.Output({0, p}, 0)[i], clean.Output({0, p}, 0)[i]);
    }
  }
}

/// A long context is shared by the threads, in rounds (cpu/decode.cc).
TEST_P(AttentionTest, ALongContextDoesNotDependOnThreads) {
  if (GetParam().backend == "reference") return;
  constexpr int64_t kLength = tests::kSanitized ? 18000 : 40000;  // two rounds at the least
  const AttentionShape shape{8, 1, 128};
  const int64_t columns = (shape.heads + 2 * shape.kv_heads) * shape.head_dim;
  std::vector<float> expected;
  for (const int threads : {1, 2, 3}) {
    Device device(GetParam(), threads);
    const int64_t page_positions = device->kv_page_positions();
    Rng rng(31);
    const DeviceBuffer rope =
        device.Put(std::vector<float>(static_cast<size_t>(kLength * shape.head_dim), 0.6f));
    const RopeTable table{&rope, kLength, shape.head_dim};
    const std::unique_ptr<KvLayer> kv =
        device->MakeKvLayer({{.storage = KvStorage::kInt4}, shape.kv_heads, shape.head_dim},
                            PagesFor(kLength, page_positions));
    constexpr int64_t kRows = 2000;
    for (int64_t start = 0; start < kLength; start += kRows) {
      Canvas qkv(device, kRows, columns, RandomNormal(rng, kRows * columns));
      device->BeginStep(SingleSequence(std::vector<int32_t>(kRows, 0), start, page_positions));
      device->RopeAppendKv(qkv.Tensor(), shape, {}, table, *kv);
      device->Sync();
    }
    Canvas qkv(device, 1, columns, RandomNormal(rng, columns));
    Canvas out(device, 1, shape.heads * shape.head_dim);
    device->BeginStep(SingleSequence({0}, kLength - 1, page_positions));
    device->RopeAppendKv(qkv.Tensor(), shape, {}, table, *kv);
    device->Attention(qkv.Tensor(), shape, *kv, out.Tensor());
    if (expected.empty()) expected = out.Values();
    EXPECT_TRUE(SameBits(out.Values(), expected)) << threads << " threads";
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, AttentionTest, testing::ValuesIn(BackendsUnderTest()),
                         BackendCaseName);

}  // namespace
}  // namespace atom::kernels
