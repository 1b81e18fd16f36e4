// What is done to keys and queries between RoPE and the pages, and how the pages are quantized
// (docs/numerics.md, section 2): float offsets, rotated heads, means of keys, ratios of single
// heads.
#include "atom/quant/head_hadamard.h"
#include "atom/quant/kv_quant.h"

#include "conversations.h"

namespace atom::kernels {
namespace {

using quant::KvFormat;
using quant::KvOffset;
using quant::KvStorage;

const std::vector<int64_t> kLengths = {1, 33, 70};

std::vector<AttentionShape> Shapes() {
  std::vector<AttentionShape> shapes;
  for (const int64_t head_dim : {64, 80, 96, 128}) shapes.push_back({4, 2, head_dim});
  shapes.push_back({3, 1, 256});
  shapes.push_back(shapes.front());
  shapes.back().softcap = 3.0f;
  return tests::FewerIfSanitized(std::move(shapes), 2);
}

std::string Describe(const AttentionShape& shape, const KvFormat& format) {
  return fmt::format("head_dim {}, cap {}, {}, offset {}, hadamard {}, {} means, {} clips",
                     shape.head_dim, shape.softcap, Name(format.storage), Name(format.offset),
                     format.hadamard, format.key_mean.size(), format.head_clips.size());
}

/// Each part alone and all together.
std::vector<KvFormat> Transformed(const AttentionShape& shape, const KvFormat& format) {
  Rng rng(3);
  const std::vector<float> mean = RandomNormal(rng, shape.kv_heads * shape.head_dim, 2.0);
  std::vector<float> clips;
  for (int64_t i = 0; i < 2 * shape.kv_heads; ++i) {
    clips.push_back(1.0f - 0.1f * static_cast<float>(i));
  }
  KvFormat offset = format, hadamard = format, means = format, by_head = format, all = format;
  offset.offset = all.offset = KvOffset::kFloat;
  hadamard.hadamard = all.hadamard = true;
  means.key_mean = all.key_mean = mean;
  by_head.head_clips = all.head_clips = clips;
  return {offset, hadamard, means, by_head, all};
}

/// And all together beside an exact window.
std::vector<KvFormat> TransformedOrExact(const AttentionShape& shape, const KvFormat& format) {
  std::vector<KvFormat> formats = Transformed(shape, format);
  formats.push_back(formats.back());
  formats.back().exact_window = 16;
  return formats;
}

class KvTransformTest : public testing::TestWithParam<BackendCase> {};

TEST_P(KvTransformTest, KeysInThePagesAreTransformedInOrder) {
  Device device(GetParam());
  for (const AttentionShape& shape : Shapes()) {
    if (shape.softcap != 0.0f) continue;
    Conversations plain(device, {shape, {.storage = KvStorage::kF32}, kLengths});
    plain.FeedAll();
    const Conversations::Cache rotated = plain.DownloadCache();
    for (const KvFormat& format : Transformed(shape, {.storage = KvStorage::kF32})) {
      SCOPED_TRACE(Describe(shape, format));
      Conversations talk(device, {shape, format, kLengths});
      talk.FeedAll();
      const Conversations::Cache cache = talk.DownloadCache();
      for (int64_t p = 0; p < kLengths[1]; ++p) {
        const Position at{1, p};
        for (int64_t head = 0; head < shape.kv_heads; ++head) {
          std::vector<float> key = plain.Cached(rotated, 0, head, at);
          quant::TransformKey(format, head, key);
          ASSERT_TRUE(SameBits(talk.Cached(cache, 0, head, at), key));
          ASSERT_TRUE(
              SameBits(talk.Cached(cache, 1, head, at), plain.Cached(rotated, 1, head, at)));
        }
        for (int64_t head = 0; head < shape.heads; ++head) {
          const std::span<const float> before = plain.Query(at, head);
          std::vector<float> query(before.begin(), before.end());
          if (format.hadamard) quant::RotateHead(query);
          const std::span<const float> after = talk.Query(at, head);
          ASSERT_TRUE(SameBits({after.begin(), after.end()}, query));
        }
      }
    }
  }
}

/// The pages of a packed format and of its simulation give back the same bits.
TEST_P(KvTransformTest, PackedPagesHoldWhatTheSimulationGives) {
  Device device(GetParam());
  for (const AttentionShape& shape : Shapes()) {
    for (const KvStorage storage : {KvStorage::kInt4, KvStorage::kInt8}) {
      for (const KvFormat& format :
           TransformedOrExact(shape, {.storage = storage, .clip = 0.95f})) {
        ASSERT_TRUE(device->HasKvKernels(format));
        SCOPED_TRACE(Describe(shape, format));
        Conversations packed(device, {shape, format, kLengths});
        Conversations simulated(device, {shape, format.Simulated(), kLengths});
        packed.FeedAll();
        simulated.FeedAll();
        EXPECT_TRUE(SameCache(packed.DownloadCache(), simulated.DownloadCache()));
        for (int64_t s = 0; s < std::ssize(kLengths); ++s) {
          EXPECT_TRUE(SameBits(packed.Outputs(s), simulated.Outputs(s)));
        }
      }
    }
  }
}

/// Shapes, and what families ask for beside: windows, caps, many query heads of a KV head.
std::vector<AttentionShape> ShapesOfFamilies() {
  std::vector<AttentionShape> shapes = Shapes();
  for (const int64_t head_dim : {64, 96}) {
    shapes.push_back({.heads = 2, .kv_heads = 2, .head_dim = head_dim, .window = 20});
    shapes.push_back({.heads = 6, .kv_heads = 2, .head_dim = head_dim, .softcap = 20.0f});
    shapes.back().window = 70;
  }
  shapes.push_back({.heads = 9, .kv_heads = 1, .head_dim = 128});
  return tests::FewerIfSanitized(std::move(shapes), 3);
}

TEST_P(KvTransformTest, AgreesWithTheReferenceBitForBit) {
  if (!SharesEveryRounding(GetParam())) return;
  Device device(GetParam());
  Device reference(BackendCase{"reference", ""});
  const std::vector<KvFormat> bases = {{.storage = KvStorage::kF32, .clip = 0.9f, .fake_bits = 4},
                                       {.storage = KvStorage::kInt4, .clip = 0.95f},
                                       {.storage = KvStorage::kInt8}};
  for (const AttentionShape& shape : ShapesOfFamilies()) {
    for (const KvFormat& base : bases) {
      // Each part alone is held to its simulation above, and that to the reference here.
      const std::vector<KvFormat> formats = TransformedOrExact(shape, base);
      const size_t first = base.packed() ? formats.size() - 2 : 0;
      for (const KvFormat& format : std::span(formats).subspan(first)) {
        SCOPED_TRACE(Describe(shape, format));
        Conversations ours(device, {shape, format, kLengths});
        Conversations theirs(reference, {shape, format, kLengths});
        ours.Feed({1, 20, 64});
        for (int i = 0; i < 6; ++i) ours.Feed({0, 1, 1});  // decode
        ours.Feed({0, 7, 0});
        theirs.FeedAll();
        EXPECT_TRUE(SameCache(ours.DownloadCache(), theirs.DownloadCache()));
        for (int64_t s = 0; s < std::ssize(kLengths); ++s) {
          EXPECT_TRUE(SameBits(ours.Outputs(s), theirs.Outputs(s)));
        }
      }
    }
  }
}

double Norm(std::span<const float> x) {
  double sum = 0.0;
  for (const float value : x) sum += double{value} * double{value};
  return std::sqrt(sum);
}

/// Exact keys: the softmax does not see the rotation, nor a mean that all of them lost; with a
/// softcap it comes back.
TEST_P(KvTransformTest, AttentionOfExactKeysStays) {
  Device device(GetParam());
  for (const AttentionShape& shape : Shapes()) {
    Conversations plain(device, {shape, {.storage = KvStorage::kF32}, kLengths});
    plain.FeedAll();
    const Conversations::Cache exact = plain.DownloadCache();
    for (const KvFormat& format : Transformed(shape, {.storage = KvStorage::kF32})) {
      SCOPED_TRACE(Describe(shape, format));
      Conversations talk(device, {shape, format, kLengths});
      talk.FeedAll();
      const auto d = static_cast<double>(shape.head_dim);
      double mean_norm = 0.0;
      for (size_t at = 0; at < format.key_mean.size(); at += static_cast<size_t>(shape.head_dim)) {
        mean_norm = std::max(
            mean_norm,
            Norm(std::span(format.key_mean).subspan(at, static_cast<size_t>(shape.head_dim))));
      }
      for (int64_t p = 0; p < kLengths[2]; ++p) {
        for (int64_t head = 0; head < shape.heads; ++head) {
          const Position at{2, p};
          const int64_t kv_head = head / (shape.heads / shape.kv_heads);
          double key_norm = 0.0, largest = 0.0;
          for (int64_t j = 0; j <= p; ++j) {
            key_norm = std::max(key_norm, Norm(plain.Cached(exact, 0, kv_head, {2, j})));
            for (const float v : plain.Cached(exact, 1, kv_head, {2, j})) {
              largest = std::max(largest, std::abs(double{v}));
            }
          }
          // Both dot products and both rotations; then two softmaxes and weighted sums.
          const double score = 2.0 * (d + 2.0 * (std::log2(d) + 24.0) + 4.0) * kUnitRoundoff *
                               Norm(plain.Query(at, head)) * (key_norm + 2.0 * mean_norm) /
                               std::sqrt(d);
          const double bound =
              (2.0 * score + 2.0 * (static_cast<double>(p) + 80.0) * kUnitRoundoff) * largest;
          for (int64_t i = 0; i < shape.head_dim; ++i) {
            ASSERT_NEAR(double{talk.Output(at, head)[static_cast<size_t>(i)]},
                        double{plain.Output(at, head)[static_cast<size_t>(i)]}, bound);
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, KvTransformTest, testing::ValuesIn(BackendsUnderTest()),
                         BackendCaseName);

}  // namespace
}  // namespace atom::kernels
