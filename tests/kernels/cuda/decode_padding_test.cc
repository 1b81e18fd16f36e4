// Decode steps in buckets: plans without a GPU, and on one the bits of rows in different buckets.
#include "atom/kernels/cuda/backend/decode_padding.h"

#include <algorithm>
#include <cmath>

#include "atom/core/rng.h"
#include "atom/kernels/cuda_backend.h"
#include "atom/kernels/decode_step.h"

#include "tests/kernels/cuda/cuda_test.h"

namespace atom::kernels::cuda {
namespace {

TEST(CudaRowBuckets, AreFewAndHoldTheirRows) {
  int64_t buckets = 0;
  for (int64_t rows = 1; rows <= 512; ++rows) {
    const int64_t bucket = RowBucketOf(rows);
    EXPECT_GE(bucket, rows);
    EXPECT_LE(bucket, rows + std::max<int64_t>(rows / 4, 7));
    EXPECT_EQ(RowBucketOf(bucket), bucket);
    EXPECT_GE(bucket, RowBucketOf(rows - 1));
    // A step's logits are computed 256 rows at a time, the last ones with padding of their own.
    const int64_t rest = std::max<int64_t>(rows - 256, 0);
    EXPECT_GE(bucket, rest > 0 ? 256 + RowBucketOf(rest) : rows);
    buckets += bucket == rows ? 1 : 0;
  }
  EXPECT_LE(buckets, 32);
}

/// Sequences that decode at such positions, of 64 pages each, with exact pages beside all.
Batch DecodeBatch(const std::vector<int32_t>& positions, int32_t exact_window) {
  Batch batch;
  batch.Clear();
  for (size_t s = 0; s < positions.size(); ++s) {
    const auto first = static_cast<int32_t>(64 * s);
    const int32_t pages = positions[s] / 16 + 1;
    batch.tokens.push_back(static_cast<int32_t>(3 + s));
    batch.positions.push_back(positions[s]);
    batch.query_starts.push_back(static_cast<int32_t>(s + 1));
    batch.kv_lengths.push_back(positions[s] + 1);
    batch.kv_slots.push_back(16 * first + positions[s]);
    for (int32_t page = 0; page < pages; ++page) batch.pages.push_back(first + page);
    batch.page_starts.push_back(static_cast<int32_t>(batch.pages.size()));
    batch.logit_rows.push_back(static_cast<int32_t>(s));
    if (exact_window == 0) continue;
    const PagePool pool = {.page_positions = 16, .exact_window = exact_window};
    for (auto page = static_cast<int32_t>(pool.FirstExactPage(positions[s])); page < pages;
         ++page) {
      batch.exact_pages.push_back(first + page);
    }
    batch.exact_starts.push_back(static_cast<int32_t>(batch.exact_pages.size()));
    batch.exact_slots.push_back(16 * first + positions[s]);
  }
  return batch;
}

TEST(CudaRowBuckets, PaddingFitsTheLimitsAndLeavesTheStepAsItIs) {
  for (const int32_t exact_window : {0, 32}) {
    const Batch step = DecodeBatch({70, 3, 100, 41, 0}, exact_window);
    ASSERT_TRUE(Decodes(step));
    Batch padded = step;
    PadDecodeStep(padded);
    EXPECT_EQ(padded.sequences(), 8);
    EXPECT_EQ(padded.logit_rows.size(), 8u);
    EXPECT_EQ(padded.rows(), 5);  // StepArena pads rows
    for (int64_t s = 0; s < 5; ++s) {
      EXPECT_TRUE(std::ranges::equal(padded.PagesOf(s), step.PagesOf(s)));
    }
    for (int64_t s = 5; s < 8; ++s) {
      EXPECT_EQ(padded.kv_lengths[static_cast<size_t>(s)], 1);
      EXPECT_EQ(padded.PagesOf(s).size(), 1u);
      EXPECT_EQ(std::ssize(padded.exact_pages) - std::ssize(step.exact_pages),
                exact_window > 0 ? 3 : 0);
    }
    const BatchLimits limits = {.rows = 5,
                                .sequences = 5,
                                .pages = std::ssize(step.pages),
                                .exact_pages = std::ssize(step.exact_pages)};
    const StepArena arena(WithPadding(limits));
    std::vector<int32_t> packed(static_cast<size_t>(arena.size()));
    arena.Pack(padded, RowBucketOf(5), packed);  // dies where it does not fit
    const StepView view = arena.View(padded, RowBucketOf(5), packed.data());
    EXPECT_EQ(view.rows(), 8);
    EXPECT_EQ(view.kv_slots.back(), -1);
  }
  EXPECT_FALSE(Decodes(SingleSequence({1, 2}, 0, 16)));
}

/// What attention gives sequences that decode together, from nothing on, in steps of so many ops
/// that they become graphs. The rows behind the sequences' own are poisoned.
class CudaRowBucketTest : public CudaTest, public ::testing::WithParamInterface<int> {
 protected:
  static constexpr int64_t kHeads = 4, kKvHeads = 2, kDim = 64, kPositions = 60;
  static constexpr int64_t kColumns = (kHeads + 2 * kKvHeads) * kDim, kOut = kHeads * kDim;
  static constexpr int kLayers = 6;

  std::vector<std::vector<float>> Decode(Backend& backend, int sequences) {
    const int64_t exact_pages = GetParam() > 0 ? 64 * sequences : 0;
    const PagePool pool = {.pages = 64 * sequences,
                           .page_positions = 16,
                           .exact_pages = exact_pages,
                           .exact_window = GetParam()};
    const quant::KvFormat format = {.storage = quant::KvStorage::kInt4, .exact_window = GetParam()};
    std::vector<std::unique_ptr<KvLayer>> layers;
    for (int i = 0; i < kLayers; ++i) {
      layers.push_back(backend.MakeKvLayer({format, kKvHeads, kDim}, pool));
    }
    const int64_t rows = backend.RowBucket(sequences);
    const DeviceBuffer in = backend.Allocate(static_cast<size_t>(rows * kColumns) * sizeof(float));
    const DeviceBuffer out = backend.Allocate(static_cast<size_t>(rows * kOut) * sizeof(float));
    const DeviceTensor qkv = {
        .data = in.data(), .rows = rows, .cols = kColumns, .stride = kColumns};
    const DeviceTensor attended = {.data = out.data(), .rows = rows, .cols = kOut, .stride = kOut};
    const AttentionShape shape = {.heads = kHeads, .kv_heads = kKvHeads, .head_dim = kDim};
    std::vector<std::vector<float>> results(static_cast<size_t>(sequences));
    for (int32_t position = 0; position < kPositions; ++position) {
      // A sequence's values follow from its number and position alone.
      std::vector<float> values(static_cast<size_t>(rows * kColumns), NAN);
      for (int s = 0; s < sequences; ++s) {
        Rng rng(static_cast<uint64_t>(1000 * s + position));
        for (int64_t i = 0; i < kColumns; ++i) {
          values[static_cast<size_t>(s * kColumns + i)] = static_cast<float>(rng.Uniform() - 0.5);
        }
      }
      backend.BeginStep(
          DecodeBatch(std::vector<int32_t>(static_cast<size_t>(sequences), position), GetParam()));
      backend.Upload(std::as_bytes(std::span(values)), in.data());
      for (const auto& layer : layers) {
        backend.RopeAppendKv(qkv, shape, {}, {}, *layer);
        backend.Attention(qkv, shape, *layer, attended);
      }
      std::vector<float> found(static_cast<size_t>(rows * kOut));
      backend.Download(out.data(), std::as_writable_bytes(std::span(found)));
      for (int s = 0; s < sequences; ++s) {
        std::vector<float>& all = results[static_cast<size_t>(s)];
        all.insert(all.end(), found.begin() + s * kOut, found.begin() + (s + 1) * kOut);
      }
    }
    return results;
  }
};

TEST_P(CudaRowBucketTest, GivesEveryRowTheBitsItHasAmongOthers) {
  Result<std::unique_ptr<Backend>> backend = MakeCudaBackend({});
  ASSERT_TRUE(backend.ok()) << backend.error().message;
  // Counters and workspace of attention are planned.
  (*backend)->Prepare({.batch = {.rows = 17,
                                 .sequences = 17,
                                 .pages = 17 * 64,
                                 .exact_pages = GetParam() > 0 ? 17 * 64 : 0},
                       .attention = {{.heads = kHeads, .kv_heads = kKvHeads, .head_dim = kDim}},
                       .linears = {},
                       .vocabulary = 0});
  const std::vector<std::vector<float>> all = Decode(**backend, 17);
  for (const int sequences : {1, 3, 5, 8, 9}) {
    const std::vector<std::vector<float>> some = Decode(**backend, sequences);
    for (size_t s = 0; s < some.size(); ++s) {
      ASSERT_EQ(some[s], all[s]) << s << " of " << sequences;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(ExactWindows, CudaRowBucketTest, ::testing::Values(0, 32));

}  // namespace
}  // namespace atom::kernels::cuda
