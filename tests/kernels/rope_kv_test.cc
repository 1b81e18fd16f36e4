// RopeAppendKv on every backend: rotation against a formula in double, and what the pages hold, bit
// for bit, against the scalar quantizers of quant/ applied to the backend's own rotated keys.
#include "atom/quant/kv_quant.h"

#include "conversations.h"

namespace atom::kernels {
namespace {

using quant::KvFormat;
using quant::KvStorage;

const std::vector<int64_t> kLengths = {1, 17, 40, 3};

float Stored(KvStorage storage, float value) {
  if (storage == KvStorage::kF16) return ToFloat(ToHalf(value));
  if (storage == KvStorage::kBF16) return ToFloat(ToBFloat16(value));
  return value;
}

/// What a page must give back of one head of K (after rotation) or V.
std::vector<float> ThroughTheCache(const KvFormat& format, std::vector<float> values) {
  if (format.storage == KvStorage::kInt4 || format.storage == KvStorage::kInt8) {
    std::vector<uint8_t> codes(values.size());
    const int bits = quant::KvStorageBits(format.storage);
    const auto group = quant::QuantizeAsymmetric(values, format.clip, bits, codes);
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = ToFloat(group.scale) * static_cast<float>(int{codes[i]} - group.zero);
    }
    return values;
  }
  for (float& value : values) value = Stored(format.storage, value);
  return values;
}

std::vector<float> Copy(std::span<const float> values) { return {values.begin(), values.end()}; }

class RopeKvTest : public testing::TestWithParam<BackendCase> {};

template <class Check>
void ForEachPosition(const Conversations& talk, Check check) {
  for (int64_t s = 0; s < static_cast<int64_t>(talk.setup().lengths.size()); ++s) {
    for (int64_t p = 0; p < talk.setup().lengths[static_cast<size_t>(s)]; ++p) {
      check(Position{s, p});
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

/// Two products and a sum in fp32.
void ExpectRotated(std::span<const float> raw, std::span<const float> angles,
                   std::span<const float> actual) {
  const size_t half = raw.size() / 2;
  for (size_t i = 0; i < half; ++i) {
    const double a = double{raw[i]}, b = double{raw[half + i]};
    const double c = double{angles[i]}, s = double{angles[half + i]};
    ASSERT_NEAR(double{actual[i]}, a * c - b * s,
                2.5 * kUnitRoundoff * (std::abs(a * c) + std::abs(b * s)));
    ASSERT_NEAR(double{actual[half + i]}, b * c + a * s,
                2.5 * kUnitRoundoff * (std::abs(b * c) + std::abs(a * s)));
  }
}

TEST_P(RopeKvTest, RotatesQueriesAndKeys) {
  Device device(GetParam());
  for (const AttentionShape& shape : AttentionShapes()) {
    Conversations talk(device, {shape, {.storage = KvStorage::kF32}, kLengths});
    talk.FeedAll();
    const Conversations::Cache cache = talk.DownloadCache();
    ForEachPosition(talk, [&](Position at) {
      const auto angles = talk.Angles(at.position);
      for (int64_t head = 0; head < shape.heads; ++head) {
        ExpectRotated(talk.RawHead(at, head), angles, talk.Query(at, head));
      }
      for (int64_t head = 0; head < shape.kv_heads; ++head) {
        ExpectRotated(talk.RawHead(at, shape.heads + head), angles,
                      talk.Cached(cache, 0, head, at));
        const auto value = talk.RawHead(at, shape.heads + shape.kv_heads + head);
        ASSERT_TRUE(SameBits(talk.Cached(cache, 1, head, at), Copy(value)));
      }
    });
  }
}

TEST_P(RopeKvTest, RotatesTheFirstChannelsOfAHeadOrNone) {
  Device device(GetParam());
  const AttentionShape shape{4, 2, 64};
  for (const int64_t rotary_dim : {0, 2, 24, 48}) {
    Conversations talk(device, {.shape = shape,
                                .format = {.storage = KvStorage::kF32},
                                .lengths = kLengths,
                                .rotary_dim = rotary_dim});
    talk.FeedAll();
    const Conversations::Cache cache = talk.DownloadCache();
    const auto rotated = static_cast<size_t>(rotary_dim);
    const auto check = [&](std::span<const float> raw, std::span<const float> angles,
                           std::span<const float> actual) {
      ExpectRotated(raw.first(rotated), angles, actual.first(rotated));
      ASSERT_TRUE(SameBits(Copy(actual.subspan(rotated)), Copy(raw.subspan(rotated))));
    };
    ForEachPosition(talk, [&](Position at) {
      const auto angles = talk.Angles(at.position);
      for (int64_t head = 0; head < shape.heads; ++head) {
        check(talk.RawHead(at, head), angles, talk.Query(at, head));
      }
      for (int64_t head = 0; head < shape.kv_heads; ++head) {
        check(talk.RawHead(at, shape.heads + head), angles, talk.Cached(cache, 0, head, at));
      }
    });
  }
}

/// RMSNorm over a head in double, then no rotation: within the norm's bound.
void ExpectNormalized(std::span<const float> raw, const std::vector<float>& weight,
                      std::span<const float> actual) {
  double sum = 0.0;
  for (const float value : raw) sum += double{value} * double{value};
  const double r =
      1.0 / std::sqrt(sum / static_cast<double>(raw.size()) + double{Conversations::kNormEps});
  const double error = (static_cast<double>(raw.size()) / 16.0 + 8.0) * kUnitRoundoff;
  for (size_t i = 0; i < raw.size(); ++i) {
    const double exact = double{raw[i]} * r * double{weight[i]};
    ASSERT_NEAR(double{actual[i]}, exact, error * std::abs(exact));
  }
}

TEST_P(RopeKvTest, NormalizesTheHeadsOfQueriesAndKeys) {
  Device device(GetParam());
  for (const AttentionShape& shape : AttentionShapes()) {
    const Conversations::Setup setup{.shape = shape,
                                     .format = {.storage = KvStorage::kF32},
                                     .lengths = kLengths,
                                     .rotary_dim = 0,
                                     .head_norms = true};
    Conversations talk(device, setup);
    talk.FeedAll();
    const Conversations::Cache cache = talk.DownloadCache();
    ForEachPosition(talk, [&](Position at) {
      for (int64_t head = 0; head < shape.heads; ++head) {
        ExpectNormalized(talk.RawHead(at, head), talk.q_norm(), talk.Query(at, head));
      }
      for (int64_t head = 0; head < shape.kv_heads; ++head) {
        ExpectNormalized(talk.RawHead(at, shape.heads + head), talk.k_norm(),
                         talk.Cached(cache, 0, head, at));
        const auto value = talk.RawHead(at, shape.heads + shape.kv_heads + head);
        ASSERT_TRUE(SameBits(talk.Cached(cache, 1, head, at), Copy(value)));
      }
    });

    // And then they are rotated: as heads that came normalized.
    Conversations::Setup rotating = setup;
    rotating.rotary_dim = -1;
    Conversations both(device, rotating);
    both.FeedAll();
    ForEachPosition(both, [&](Position at) {
      for (int64_t head = 0; head < shape.heads; ++head) {
        ExpectRotated(talk.Query(at, head), both.Angles(at.position), both.Query(at, head));
      }
    });
  }
}

/// The backend's own rotation of keys that were replaced by `replace(key)` beforehand.
template <class Replace>
std::vector<std::vector<float>> RotatedKeys(Device& device, const AttentionShape& shape,
                                            Replace replace) {
  Conversations talk(device, {shape, {.storage = KvStorage::kF32}, kLengths});
  ForEachPosition(talk, [&](Position at) {
    for (int64_t head = shape.heads; head < shape.heads + shape.kv_heads; ++head) {
      std::vector<float> key = Copy(talk.RawHead(at, head));
      replace(key);
      for (int64_t i = 0; i < shape.head_dim; ++i) {
        talk.Raw(at, head * shape.head_dim + i) = key[static_cast<size_t>(i)];
      }
    }
  });
  talk.FeedAll();
  const Conversations::Cache cache = talk.DownloadCache();
  std::vector<std::vector<float>> keys;
  ForEachPosition(talk, [&](Position at) {
    for (int64_t head = 0; head < shape.kv_heads; ++head) {
      keys.push_back(talk.Cached(cache, 0, head, at));
    }
  });
  return keys;
}

TEST_P(RopeKvTest, PagesHoldWhatTheScalarQuantizerGives) {
  Device device(GetParam());
  for (const AttentionShape& shape : AttentionShapes()) {
    for (const KvCase& kv : KvCases()) {
      SCOPED_TRACE(kv.name + ", head_dim " + std::to_string(shape.head_dim));
      const KvFormat& format = kv.format;
      const auto rotated = RotatedKeys(device, shape, [&](std::vector<float>& key) {
        if (format.fake_before_rope) quant::FakeQuantizeKv(format, format.clip, key);
      });
      Conversations talk(device, {shape, format, kLengths});
      talk.FeedAll();
      const Conversations::Cache cache = talk.DownloadCache();
      size_t next = 0;
      ForEachPosition(talk, [&](Position at) {
        for (int64_t head = 0; head < shape.kv_heads; ++head) {
          std::vector<float> key = rotated[next++];
          if (!format.fake_before_rope) quant::FakeQuantizeKv(format, format.clip, key);
          ASSERT_TRUE(
              SameBits(talk.Cached(cache, 0, head, at), ThroughTheCache(format, std::move(key))))
              << "K of sequence " << at.sequence << " at " << at.position;
          std::vector<float> value = Copy(talk.RawHead(at, shape.heads + shape.kv_heads + head));
          quant::FakeQuantizeKv(format, format.clip, value);
          ASSERT_TRUE(
              SameBits(talk.Cached(cache, 1, head, at), ThroughTheCache(format, std::move(value))))
              << "V of sequence " << at.sequence << " at " << at.position;
        }
      });
    }
  }
}

TEST_P(RopeKvTest, AgreesWithTheReferenceBitForBit) {
  if (!SharesEveryRounding(GetParam())) return;
  Device device(GetParam());
  Device reference(BackendCase{"reference", ""});
  for (const AttentionShape& shape : AttentionShapes()) {
    for (const KvCase& kv : KvCases()) {
      Conversations::Setup setup{shape, kv.format, kLengths};
      if (shape.heads == 4) {
        setup.head_norms = true;
        setup.rotary_dim = shape.head_dim / 2;
      }
      Conversations ours(device, setup);
      Conversations theirs(reference, setup);
      ours.FeedAll();
      theirs.FeedAll();
      EXPECT_TRUE(SameCache(ours.DownloadCache(), theirs.DownloadCache())) << kv.name;
      ForEachPosition(ours, [&](Position at) {
        for (int64_t head = 0; head < shape.heads; ++head) {
          ASSERT_TRUE(SameBits(Copy(ours.Query(at, head)), Copy(theirs.Query(at, head))));
        }
      });
    }
  }
}

TEST_P(RopeKvTest, WritesOnlyItsOwnSlots) {
  Device device(GetParam());
  const AttentionShape shape{2, 1, 8};
  Conversations talk(device, {shape, {.storage = KvStorage::kInt8}, {20, 5}});
  talk.Feed({7, 5});
  const Conversations::Cache before = talk.DownloadCache();
  talk.Feed({9, 0});
  const Conversations::Cache after = talk.DownloadCache();
  ASSERT_FALSE(SameCache(before, after));
  for (int64_t p = 0; p < 7; ++p) {
    EXPECT_TRUE(SameBits(talk.Cached(before, 0, 0, {0, p}), talk.Cached(after, 0, 0, {0, p})));
    EXPECT_TRUE(SameBits(talk.Cached(before, 1, 0, {0, p}), talk.Cached(after, 1, 0, {0, p})));
  }
  for (int64_t page = 0; page < talk.kv().pages(); ++page) {
    const auto& own = talk.UsedPages(0);
    if (std::find(own.begin(), own.end(), static_cast<int32_t>(page)) != own.end()) continue;
    const auto i = static_cast<size_t>(page);
    EXPECT_TRUE(SameCache({before[i]}, {after[i]}))
        << "page " << page << " belongs to another sequence";
  }
}

TEST_P(RopeKvTest, DoesNotDependOnThreadsOrChunks) {
  for (const KvCase& kv : KvCases()) {
    SCOPED_TRACE(kv.name);
    Conversations::Cache expected;
    for (const int threads : {1, 2, 3, 5}) {
      Device device(GetParam(), threads);
      Conversations talk(device, {{4, 2, 64}, kv.format, {33, 5}});
      if (threads == 3) talk.Feed({10, 1});
      if (threads == 3) talk.Feed({23, 4});
      if (threads != 3) talk.FeedAll();
      if (expected.empty()) expected = talk.DownloadCache();
      EXPECT_TRUE(SameCache(talk.DownloadCache(), expected)) << threads << " threads";
    }
  }
}

TEST_P(RopeKvTest, HeadsWithoutNumbersHaveDefinedCodes) {
  Device device(GetParam());
  const AttentionShape shape{1, 1, 8};
  for (const KvStorage storage : {KvStorage::kInt4, KvStorage::kInt8}) {
    const KvFormat format{.storage = storage};
    Conversations talk(device, {shape, format, {4}});
    const int64_t v = 2 * shape.head_dim;
    talk.Raw({0, 0}, v) = NAN;
    talk.Raw({0, 1}, v + 3) = INFINITY;
    talk.Raw({0, 1}, v + 4) = -INFINITY;
    for (int64_t i = 0; i < 8; ++i) talk.Raw({0, 2}, v + i) = 0.0f;
    talk.Raw({0, 3}, 8) = NAN;  // a key
    talk.FeedAll();
    const Conversations::Cache cache = talk.DownloadCache();
    for (int64_t p = 0; p < 4; ++p) {
      const std::vector<float> value = talk.Cached(cache, 1, 0, {0, p});
      EXPECT_TRUE(SameBits(value, ThroughTheCache(format, Copy(talk.RawHead({0, p}, 2))))) << p;
      for (const float x : value) EXPECT_TRUE(std::isfinite(x)) << p;
    }
    EXPECT_EQ(talk.Cached(cache, 1, 0, {0, 0})[0], 0.0f);
    EXPECT_EQ(talk.Cached(cache, 1, 0, {0, 2}), std::vector<float>(8, 0.0f));
    for (const float x : talk.Cached(cache, 0, 0, {0, 3})) EXPECT_TRUE(std::isfinite(x));
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, RopeKvTest, testing::ValuesIn(BackendsUnderTest()),
                         BackendCaseName);

}  // namespace
}  // namespace atom::kernels
