// softmax(q·Kᵀ / sqrt(d))·V over the paged cache, tile by tile: docs/numerics.md, section 4.
#include <algorithm>
#include <cmath>
#include <limits>

#include "atom/kernels/reference/dot.h"
#include "atom/kernels/reference/exp.h"
#include "atom/kernels/reference/reference_backend.h"
#include "atom/kernels/reference/reference_kv_layer.h"
#include "atom/quant/head_hadamard.h"

namespace atom::kernels::reference {
namespace {

constexpr int64_t kTilePositions = 64;

/// One KV head of one sequence: [length][head_dim] each; 0 where nothing reads.
struct Rows {
  std::vector<float> keys;
  std::vector<float> values;
};

/// The positions [begin, length), from pages of which the first is the sequence's `first_page`-th.
Rows ReadRows(const ReferenceKvLayer& kv, int64_t kv_head, std::span<const int32_t> pages,
              int64_t first_page, int64_t begin, int64_t length) {
  const auto size = static_cast<size_t>(length * kv.shape().head_dim);
  Rows history{std::vector<float>(size), std::vector<float>(size)};
  for (int64_t position = begin; position < length; ++position) {
    const auto page = static_cast<size_t>(position / kPagePositions - first_page);
    const int64_t slot = pages[page] * kPagePositions + position % kPagePositions;
    const int64_t first = position * kv.shape().head_dim;
    std::ranges::copy(kv.Key(slot, kv_head), history.keys.begin() + first);
    std::ranges::copy(kv.Value(slot, kv_head), history.values.begin() + first);
  }
  return history;
}

/// What the queries of a chunk read: quantized positions, and the newest ones as fp16.
struct History {
  quant::KvFormat format;
  std::vector<float> mean;  ///< what all keys lack, where it does not cancel; or empty
  Rows quantized;
  Rows exact;  ///< empty without an exact window

  /// What a query at `position` reads of position j.
  const Rows& Of(int64_t position, int64_t j) const {
    return j >= format.FirstExact(position) ? exact : quantized;
  }
};

/// Part s of a list in CSR.
std::span<const int32_t> PartOf(std::span<const int32_t> values, std::span<const int32_t> starts,
                                size_t s) {
  return values.subspan(static_cast<size_t>(starts[s]),
                        static_cast<size_t>(starts[s + 1] - starts[s]));
}

/// The mean that was taken from a head's keys, rotated as they are. Without a softcap it adds the
/// same to each score of a query, which cancels in the softmax.
std::vector<float> MeanToRestore(const KvShape& kv, int64_t kv_head, const AttentionShape& shape) {
  if (shape.softcap == 0.0f || kv.format.key_mean.empty()) return {};
  const auto first = kv.format.key_mean.begin() + kv_head * kv.head_dim;
  std::vector<float> mean(first, first + kv.head_dim);
  if (kv.format.hadamard) quant::RotateHead(mean);
  return mean;
}

/// Of a sequence of the step, from the first position on that one of its queries sees.
History ReadHistory(const KvLayer& kv, int64_t kv_head, const StepView& step, size_t s,
                    const AttentionShape& shape) {
  const int64_t first = step.positions[static_cast<size_t>(step.query_starts[s])];
  const int64_t seen = shape.FirstVisible(first);
  const int64_t length = step.kv_lengths[s];
  const std::span<const int32_t> pages = PartOf(step.pages, step.page_starts, s);
  History history{.format = kv.shape().format,
                  .mean = MeanToRestore(kv.shape(), kv_head, shape),
                  .quantized = ReadRows(ReferenceKvLayer::Of(kv), kv_head, pages, 0, seen, length),
                  .exact = {}};
  if (history.format.exact_window == 0) return history;
  // Exact pages lie beside the last ones, some of which may not be used yet.
  const std::span<const int32_t> exact = PartOf(step.exact_pages, step.exact_starts, s);
  history.exact =
      ReadRows(ReferenceKvLayer::ExactOf(kv), kv_head, exact, std::ssize(pages) - std::ssize(exact),
               std::max(seen, history.format.FirstExact(first)), length);
  return history;
}

/// A softmax in progress: Σ exp(s − max) and Σ exp(s − max) · v over the positions seen so far.
struct Partial {
  explicit Partial(size_t d) : out(d) {}
  float max = -std::numeric_limits<float>::infinity();
  float sum = 0.0f;
  std::vector<float> out;
};

/// The `count` positions from `first` on, by themselves, for a query at `position`.
Partial AttendTile(const AttentionShape& shape, std::span<const float> q, const History& history,
                   int64_t position, int64_t first, int64_t count) {
  const auto d = static_cast<int64_t>(q.size());
  const float divisor = shape.ScoreDivisor();
  const float of_mean = history.mean.empty() ? 0.0f : FmaChain(q.data(), history.mean.data(), d);
  float scores[kTilePositions];
  Partial tile(q.size());
  for (int64_t j = 0; j < count; ++j) {
    const float* key = history.Of(position, first + j).keys.data() + (first + j) * d;
    scores[j] = (FmaChain(q.data(), key, d) + of_mean) / divisor;
    if (shape.softcap != 0.0f) scores[j] = shape.softcap * Tanh(scores[j] / shape.softcap);
    tile.max = std::max(tile.max, scores[j]);
  }
  for (int64_t j = 0; j < count; ++j) {
    const float p = Exp(scores[j] - tile.max);
    const float* value = history.Of(position, first + j).values.data() + (first + j) * d;
    tile.sum += p;
    FmaEach(p, value, d, tile.out.data());
  }
  return tile;
}

void Merge(const Partial& tile, Partial& all) {
  const float max = std::max(all.max, tile.max);
  const float old_factor = Exp(all.max - max);
  const float new_factor = Exp(tile.max - max);
  all.max = max;
  all.sum = all.sum * old_factor + tile.sum * new_factor;
  for (size_t i = 0; i < all.out.size(); ++i) {
    all.out[i] = all.out[i] * old_factor + tile.out[i] * new_factor;
  }
}

/// One query over all positions that it sees; tiles lie at absolute positions.
void Attend(const AttentionShape& shape, std::span<const float> q, const History& history,
            int64_t position, std::span<float> out) {
  const int64_t end = position + 1;
  Partial all(q.size());
  for (int64_t first = shape.FirstVisible(position); first < end;) {
    const int64_t next = std::min(first / kTilePositions * kTilePositions + kTilePositions, end);
    Merge(AttendTile(shape, q, history, position, first, next - first), all);
    first = next;
  }
  for (size_t i = 0; i < out.size(); ++i) out[i] = all.out[i] / all.sum;
}

}  // namespace

void ReferenceBackend::Attention(const DeviceTensor& qkv, const AttentionShape& shape,
                                 const KvLayer& kv, const DeviceTensor& out) {
  ATOM_CHECK(out.rows == qkv.rows && out.cols == shape.heads * shape.head_dim,
             "output {} x {}, expected {} x {}", out.rows, out.cols, qkv.rows,
             shape.heads * shape.head_dim);
  ATOM_CHECK(shape.heads % shape.kv_heads == 0, "{} heads, {} KV heads", shape.heads,
             shape.kv_heads);
  const auto d = static_cast<size_t>(shape.head_dim);
  const int64_t group = shape.heads / shape.kv_heads;  // query heads that share a KV head

  pool_.ParallelFor(step().sequences() * shape.kv_heads, [&](int64_t task, int) {
    const int64_t sequence = task / shape.kv_heads;
    const int64_t kv_head = task % shape.kv_heads;
    const auto s = static_cast<size_t>(sequence);
    const History history = ReadHistory(kv, kv_head, step(), s, shape);
    for (int64_t row = step().query_starts[s]; row < step().query_starts[s + 1]; ++row) {
      const int64_t position = step().positions[static_cast<size_t>(row)];
      for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        const size_t column = static_cast<size_t>(head) * d;
        Attend(shape, Row(qkv, row).subspan(column, d), history, position,
               Row(out, row).subspan(column, d));
      }
    }
  });
}

}  // namespace atom::kernels::reference
