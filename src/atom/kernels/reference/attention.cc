// softmax(q·Kᵀ / sqrt(d))·V over the paged cache, tile by tile: docs/numerics.md, section 4.
#include <algorithm>
#include <cmath>
#include <limits>

#include "atom/kernels/reference/dot.h"
#include "atom/kernels/reference/exp.h"
#include "atom/kernels/reference/kv_rows.h"
#include "atom/kernels/reference/reference_backend.h"

namespace atom::kernels::reference {
namespace {

constexpr int64_t kTilePositions = 64;

/// One KV head of one sequence, dequantized: [length][head_dim] each; 0 where nothing reads.
struct History {
  std::vector<float> keys;
  std::vector<float> values;
};

History ReadHistory(const KvLayer& kv, int64_t kv_head, const int32_t* blocks, int64_t begin,
                    int64_t length) {
  const auto d = static_cast<size_t>(kv.layout.head_dim);
  History history{std::vector<float>(static_cast<size_t>(length) * d),
                  std::vector<float>(static_cast<size_t>(length) * d)};
  for (int64_t position = begin; position < length; ++position) {
    const std::byte* page = static_cast<const std::byte*>(kv.data.data()) +
                            blocks[position / kKvPagePositions] * kv.layout.PageBytes();
    const int64_t in_page = position % kKvPagePositions;
    const size_t first = static_cast<size_t>(position) * d;
    LoadKvRow(kv.layout, {0, kv_head, in_page}, page, std::span(history.keys).subspan(first, d));
    LoadKvRow(kv.layout, {1, kv_head, in_page}, page, std::span(history.values).subspan(first, d));
  }
  return history;
}

/// A softmax in progress: Σ exp(s − max) and Σ exp(s − max) · v over the positions seen so far.
struct Partial {
  explicit Partial(size_t d) : out(d) {}
  float max = -std::numeric_limits<float>::infinity();
  float sum = 0.0f;
  std::vector<float> out;
};

/// The `count` positions from `first` on, by themselves.
Partial AttendTile(const AttentionShape& shape, std::span<const float> q, const History& history,
                   int64_t first, int64_t count) {
  const auto d = static_cast<int64_t>(q.size());
  const float divisor = shape.ScoreDivisor();
  float scores[kTilePositions];
  Partial tile(q.size());
  for (int64_t j = 0; j < count; ++j) {
    scores[j] = FmaChain(q.data(), history.keys.data() + (first + j) * d, d) / divisor;
    if (shape.softcap != 0.0f) scores[j] = shape.softcap * Tanh(scores[j] / shape.softcap);
    tile.max = std::max(tile.max, scores[j]);
  }
  for (int64_t j = 0; j < count; ++j) {
    const float p = Exp(scores[j] - tile.max);
    const float* value = history.values.data() + (first + j) * d;
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

/// One query over positions [begin, end); tiles lie at absolute positions.
void Attend(const AttentionShape& shape, std::span<const float> q, const History& history,
            int64_t begin, int64_t end, std::span<float> out) {
  Partial all(q.size());
  for (int64_t first = begin; first < end;) {
    const int64_t next = std::min(first / kTilePositions * kTilePositions + kTilePositions, end);
    Merge(AttendTile(shape, q, history, first, next - first), all);
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

  pool_.ParallelFor(batch().sequences() * shape.kv_heads, [&](int64_t task, int) {
    const int64_t sequence = task / shape.kv_heads;
    const int64_t kv_head = task % shape.kv_heads;
    const auto s = static_cast<size_t>(sequence);
    const auto first_row = static_cast<size_t>(batch().query_starts[s]);
    const History history =
        ReadHistory(kv, kv_head, batch().block_tables.data() + sequence * batch().max_blocks,
                    shape.FirstVisible(batch().positions[first_row]), batch().kv_lengths[s]);
    for (int64_t row = batch().query_starts[s]; row < batch().query_starts[s + 1]; ++row) {
      const int64_t position = batch().positions[static_cast<size_t>(row)];
      for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        const size_t column = static_cast<size_t>(head) * d;
        Attend(shape, Row(qkv, row).subspan(column, d), history, shape.FirstVisible(position),
               position + 1, Row(out, row).subspan(column, d));
      }
    }
  });
}

}  // namespace atom::kernels::reference
