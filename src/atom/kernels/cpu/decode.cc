#include "atom/kernels/cpu/decode.h"

#include <algorithm>
#include <limits>

#include "atom/kernels/cpu/kv_rows.h"

namespace atom::kernels::cpu {
namespace {

constexpr int64_t kChannelChunk = 64;  // the kernel takes channels by as many
constexpr int64_t kVectorRows = 16;
/// A share of the positions: as few tiles as still hide what it costs to start on them.
constexpr int64_t kShareTiles = 4;
constexpr int kTasksPerThread = 4;

int64_t TilesOf(int64_t length) { return (length + kTilePositions - 1) / kTilePositions; }

/// Tiles that sequence `s` of a step reads: those before its window begins are not.
int64_t TilesRead(const DecodeStep& step, int64_t s) {
  const int64_t length = step.batch.kv_lengths[static_cast<size_t>(s)];
  return TilesOf(length) - step.shape.FirstVisible(length - 1) / kTilePositions;
}

int64_t Padded(int64_t rows) { return (rows + kVectorRows - 1) / kVectorRows * kVectorRows; }

/// A softmax over some positions, of all query heads of a KV head.
struct Partial {
  float* out;  ///< [rows][head_dim]
  float* max;  ///< [rows, padded to 16]
  float* sum;

  static int64_t Floats(int64_t rows, int64_t head_dim) { return Padded(rows) * (head_dim + 2); }
  static Partial At(float* base, int64_t rows, int64_t head_dim) {
    float* max = base + Padded(rows) * head_dim;
    return {base, max, max + Padded(rows)};
  }
};

/// One KV head of one sequence.
class HeadRun {
 public:
  HeadRun(const DecodeStep& step, int64_t sequence, int64_t kv_head)
      : step_(step),
        pages_(step.kv, step.batch, sequence, kv_head),
        row_(step.batch.query_starts[static_cast<size_t>(sequence)]),
        first_head_(kv_head * rows()),
        length_(step.batch.positions[static_cast<size_t>(row_)] + 1),
        begin_(step.shape.FirstVisible(length_ - 1)) {}

  int64_t rows() const { return step_.shape.heads / step_.shape.kv_heads; }
  int64_t head_dim() const { return step_.shape.head_dim; }
  /// Tiles that the token sees some of.
  int64_t tiles() const { return TilesOf(length_) - FirstTile(); }

  /// Tile `number` of them by itself; scores is scratch, [rows][kScoreStride].
  void AttendTile(int64_t number, float* scores, const Partial& part) const {
    const int64_t index = FirstTile() + number;
    DecodeTile tile;
    tile.rows = rows();
    tile.head_dim = head_dim();
    tile.visible = std::min(kTilePositions, length_ - index * kTilePositions);
    tile.hidden = std::max<int64_t>(0, begin_ - index * kTilePositions);
    tile.q = RowOf(step_.qkv, row_) + first_head_ * head_dim();
    tile.row_stride = head_dim();
    tile.divisor = step_.shape.ScoreDivisor();
    tile.softcap = step_.shape.softcap;
    tile.scores = scores;
    tile.tile_out = part.out;
    tile.tile_max = part.max;
    tile.tile_sum = part.sum;
    const int64_t first_page = begin_ / kKvPagePositions;
    const int64_t last_page = (length_ - 1) / kKvPagePositions;
    for (int64_t i = 0; i < kTilePages; ++i) {
      const int64_t page = index * kTilePages + i;
      const int64_t seen = std::clamp(page, first_page, last_page);
      tile.keys[i] = pages_.Rows(0, seen, kKvPagePositions);
      tile.values[i] = pages_.Rows(1, seen, kKvPagePositions);
      if (page + kTilePages > last_page) continue;
      tile.next_keys[i] = pages_.Rows(0, page + kTilePages, 0).values;
      tile.next_values[i] = pages_.Rows(1, page + kTilePages, 0).values;
    }
    step_.context.kernels.decode[Storage()](tile);
  }

  void Begin(const Partial& all) const {
    std::fill_n(all.out, rows() * head_dim(), 0.0f);
    std::fill_n(all.max, Padded(rows()), -std::numeric_limits<float>::infinity());
    std::fill_n(all.sum, Padded(rows()), 0.0f);
  }

  void Merge(const Partial& part, const Partial& all) const {
    AttentionTile tile;
    tile.rows = rows();
    tile.head_dim = head_dim();
    tile.padded_dim = head_dim();
    tile.row_stride = head_dim();
    tile.tile_out = part.out;
    tile.tile_max = part.max;
    tile.tile_sum = part.sum;
    tile.out = all.out;
    tile.max = all.max;
    tile.sum = all.sum;
    step_.context.kernels.merge(tile);
  }

  /// Divides, and puts channels where they belong.
  void Finish(const Partial& all) const {
    for (int64_t r = 0; r < rows(); ++r) {
      float* from = all.out + r * head_dim();
      float* to = RowOf(step_.out, row_) + (first_head_ + r) * head_dim();
      const bool in_order = step_.kv.layout.format.storage != quant::KvStorage::kInt4;
      step_.context.kernels.divide(from, all.sum[r], head_dim(), in_order ? to : from);
      if (in_order) continue;
      for (int64_t first = 0; first < head_dim(); first += kChannelChunk) {
        for (int64_t i = 0; i < kChannelChunk; ++i) {
          to[first + i % 16 * 4 + i / 16] = from[first + i];
        }
      }
    }
  }

 private:
  int64_t FirstTile() const { return begin_ / kTilePositions; }
  size_t Storage() const { return static_cast<size_t>(step_.kv.layout.format.storage); }

  const DecodeStep& step_;
  HeadPages pages_;
  int64_t row_;         // of the batch
  int64_t first_head_;  // query head
  int64_t length_;      // the token sees positions [begin_, length_)
  int64_t begin_;
};

}  // namespace

bool DecodeStep::Takes(int64_t sequence) const {
  const auto s = static_cast<size_t>(sequence);
  return batch.query_starts[s + 1] - batch.query_starts[s] == 1 &&
         shape.head_dim % kChannelChunk == 0;
}

void DecodeStep::Run(int64_t sequence, int64_t kv_head, int worker) const {
  const HeadRun head(*this, sequence, kv_head);
  const int64_t floats = Partial::Floats(head.rows(), shape.head_dim);
  ScratchPlan plan;
  const size_t scores_at = plan.Add<float>(head.rows() * kScoreStride);
  const size_t part_at = plan.Add<float>(floats);
  const size_t all_at = plan.Add<float>(floats);
  std::byte* base = context.workspace.Of(worker, plan.bytes());
  const auto part = Partial::At(ScratchAt<float>(base, part_at), head.rows(), shape.head_dim);
  const auto all = Partial::At(ScratchAt<float>(base, all_at), head.rows(), shape.head_dim);
  head.Begin(all);
  for (int64_t tile = 0; tile < head.tiles(); ++tile) {
    head.AttendTile(tile, ScratchAt<float>(base, scores_at), part);
    head.Merge(part, all);
  }
  head.Finish(all);
}

bool DecodeStep::Splits() const {
  const int threads = context.pool.threads();
  if (threads == 1 || batch.sequences() * shape.kv_heads >= kTasksPerThread * threads) return false;
  int64_t most_tiles = 0;
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    if (!Takes(s)) return false;
    most_tiles = std::max(most_tiles, TilesRead(*this, s));
  }
  return most_tiles > kShareTiles;
}

void DecodeStep::RunSplit() const {
  const int64_t heads = batch.sequences() * shape.kv_heads;
  int64_t most_tiles = 0;
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    most_tiles = std::max(most_tiles, TilesRead(*this, s));
  }
  const int64_t shares = (most_tiles + kShareTiles - 1) / kShareTiles;
  const int64_t rows = shape.heads / shape.kv_heads;
  const int64_t floats = Partial::Floats(rows, shape.head_dim);
  ScratchPlan plan;
  plan.Add<float>(heads * (most_tiles + 1) * floats);  // a part a tile, and their sum
  auto* base = ScratchAt<float>(context.workspace.Shared(plan.bytes()), 0);
  const auto part = [&](int64_t head, int64_t tile) {
    return Partial::At(base + (head * (most_tiles + 1) + tile) * floats, rows, shape.head_dim);
  };
  const auto attend = [&](int64_t index, int worker) {
    const int64_t head = index / shares;
    const HeadRun run(*this, head / shape.kv_heads, head % shape.kv_heads);
    ScratchPlan score_plan;
    score_plan.Add<float>(rows * kScoreStride);
    auto* scores = ScratchAt<float>(context.workspace.Of(worker, score_plan.bytes()), 0);
    const int64_t first = index % shares * kShareTiles;
    for (int64_t tile = first; tile < std::min(run.tiles(), first + kShareTiles); ++tile) {
      run.AttendTile(tile, scores, part(head, tile));
    }
  };
  context.ParallelFor(heads * shares, attend);
  const auto merge = [&](int64_t head, int) {
    const HeadRun run(*this, head / shape.kv_heads, head % shape.kv_heads);
    const Partial all = part(head, most_tiles);
    run.Begin(all);
    for (int64_t tile = 0; tile < run.tiles(); ++tile) run.Merge(part(head, tile), all);
    run.Finish(all);
  };
  context.ParallelFor(heads, merge);
}

}  // namespace atom::kernels::cpu
