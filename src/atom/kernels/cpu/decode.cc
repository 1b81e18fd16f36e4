#include "atom/kernels/cpu/decode.h"

#include <algorithm>
#include <limits>

#include "atom/kernels/cpu/kv_tile.h"

namespace atom::kernels::cpu {
namespace {

constexpr int64_t kChannelChunk = 64;  // the kernel takes channels by as many
constexpr int64_t kVectorRows = 16;
/// A share of the positions: as few tiles as still hide what it costs to start on them.
constexpr int64_t kShareTiles = 4;
constexpr int kTasksPerThread = 4;
/// What the parts of one round take at the most: they stay in the nearer caches. But enough shares
/// that threads end together.
constexpr int64_t kRoundBytes = int64_t{1} << 20;
constexpr int kRoundSharesPerThread = 8;

int64_t TilesOf(int64_t length) { return (length + kTilePositions - 1) / kTilePositions; }

/// Tiles that sequence `s` of a step reads: those before its window begins are not.
int64_t TilesRead(const DecodeStep& step, int64_t s) {
  const int64_t length = step.step.kv_lengths[static_cast<size_t>(s)];
  return TilesOf(length) - step.shape.FirstVisible(length - 1) / kTilePositions;
}

int64_t Padded(int64_t rows) { return (rows + kVectorRows - 1) / kVectorRows * kVectorRows; }

/// A softmax over some positions, of all query heads of a KV head.
struct Partial {
  float* out;  ///< [rows][head_dim]
  float* max;  ///< [rows, padded to 16]
  float* sum;

  static int64_t Floats(int64_t rows, int64_t head_dim) {
    return rows * head_dim + 2 * Padded(rows);
  }
  static Partial At(float* base, int64_t rows, int64_t head_dim) {
    float* max = base + rows * head_dim;
    return {base, max, max + Padded(rows)};
  }
};

/// Channel i of 64 stands at InInt4Order(i) in what a tile of INT4 pages gives (decode_inl.h).
constexpr int64_t InInt4Order(int64_t i) { return i % 4 * 16 + i / 4; }

/// A worker's scratch for one tile.
struct TileScratch {
  float* scores;  ///< [rows, padded to 16][kScoreStride]
  // For tiles with exact pages, as `attend` takes them:
  TileBuffers buffers;
  float* transposed;
  int32_t* visible;  ///< [rows]
  int32_t* hidden;   ///< [rows]
};

/// One KV head of one sequence.
class HeadRun {
 public:
  HeadRun(const DecodeStep& step, int64_t sequence, int64_t kv_head)
      : step_(step),
        sequence_(sequence),
        kv_head_(kv_head),
        pages_(step.kv, PageList::Of(step.step, sequence), kv_head),
        row_(step.step.query_starts[static_cast<size_t>(sequence)]),
        first_head_(kv_head * rows()),
        length_(step.step.positions[static_cast<size_t>(row_)] + 1),
        begin_(step.shape.FirstVisible(length_ - 1)),
        exact_from_(step.kv.layout.format.FirstExact(length_ - 1)) {}

  int64_t rows() const { return step_.shape.heads / step_.shape.kv_heads; }
  int64_t head_dim() const { return step_.shape.head_dim; }
  /// Tiles that the token sees some of.
  int64_t tiles() const { return TilesOf(length_) - FirstTile(); }

  /// Tile `number` of them by itself.
  void AttendTile(int64_t number, const TileScratch& scratch, const Partial& part) const {
    const int64_t index = FirstTile() + number;
    if (exact_from_ < (index + 1) * kTilePositions) return AttendExactTile(index, scratch, part);
    DecodeTile tile;
    tile.rows = rows();
    tile.head_dim = head_dim();
    tile.visible = std::min(kTilePositions, length_ - index * kTilePositions);
    tile.hidden = std::max<int64_t>(0, begin_ - index * kTilePositions);
    tile.q = RowOf(step_.qkv, row_) + first_head_ * head_dim();
    tile.row_stride = head_dim();
    tile.mean = step_.kv.MeanOf(kv_head_, step_.shape);
    tile.divisor = step_.shape.ScoreDivisor();
    tile.softcap = step_.shape.softcap;
    tile.scores = scratch.scores;
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
      step_.context.kernels.divide(from, all.sum[r], head_dim(), in_order() ? to : from);
      if (in_order()) continue;
      for (int64_t first = 0; first < head_dim(); first += kChannelChunk) {
        for (int64_t i = 0; i < kChannelChunk; ++i) to[first + i] = from[first + InInt4Order(i)];
      }
    }
  }

 private:
  /// A tile with exact pages: dequantized, as attention of several tokens does it.
  void AttendExactTile(int64_t index, const TileScratch& scratch, const Partial& part) const {
    const int64_t first = index * kTilePositions;
    TileLoader loader(step_.context, step_.step, step_.kv, sequence_, kv_head_, scratch.buffers);
    loader.Begin(first, begin_, std::min(length_, first + kTilePositions));
    loader.Load(exact_from_);
    std::fill_n(scratch.visible, rows(),
                static_cast<int32_t>(std::min(kTilePositions, length_ - first)));
    std::fill_n(scratch.hidden, rows(), static_cast<int32_t>(std::max<int64_t>(0, begin_ - first)));
    AttentionTile tile;
    tile.rows = rows();
    tile.head_dim = head_dim();
    tile.padded_dim = head_dim();
    tile.q = RowOf(step_.qkv, row_) + first_head_ * head_dim();
    tile.row_stride = head_dim();
    tile.keys = scratch.buffers.keys;
    tile.values = scratch.buffers.values;
    tile.visible = scratch.visible;
    tile.hidden = begin_ > first ? scratch.hidden : nullptr;
    tile.mean = step_.kv.MeanOf(kv_head_, step_.shape);
    tile.divisor = step_.shape.ScoreDivisor();
    tile.softcap = step_.shape.softcap;
    tile.scores = scratch.scores;
    tile.transposed = scratch.transposed;
    tile.tile_out = part.out;
    tile.tile_max = part.max;
    tile.tile_sum = part.sum;
    step_.context.kernels.attend(tile);
    if (!in_order()) PutInInt4Order(part.out);
  }

  /// As the other tiles, which it is merged with.
  void PutInInt4Order(float* out) const {
    for (int64_t first = 0; first < rows() * head_dim(); first += kChannelChunk) {
      float chunk[kChannelChunk];
      std::copy_n(out + first, kChannelChunk, chunk);
      for (int64_t i = 0; i < kChannelChunk; ++i) out[first + InInt4Order(i)] = chunk[i];
    }
  }

  bool in_order() const { return step_.kv.layout.format.storage != quant::KvStorage::kInt4; }
  int64_t FirstTile() const { return begin_ / kTilePositions; }
  size_t Storage() const { return static_cast<size_t>(step_.kv.layout.format.storage); }

  const DecodeStep& step_;
  int64_t sequence_;
  int64_t kv_head_;
  HeadPages pages_;
  int64_t row_;         // of the step
  int64_t first_head_;  // query head
  int64_t length_;      // the token sees positions [begin_, length_)
  int64_t begin_;
  int64_t exact_from_;  // those from here on as fp16
};

/// Where the arrays of one head lie in its worker's scratch.
struct HeadPlaces {
  explicit HeadPlaces(const AttentionShape& shape)
      : rows(shape.heads / shape.kv_heads),
        head_dim(shape.head_dim),
        scores_at(plan.Add<float>(Padded(rows) * kScoreStride)),
        keys_at(plan.Add<float>(kTilePositions * head_dim)),
        values_at(plan.Add<float>(kTilePositions * head_dim)),
        transposed_at(plan.Add<float>(kVectorRows * kVectorRows)),
        visible_at(plan.Add<int32_t>(rows)),
        hidden_at(plan.Add<int32_t>(rows)),
        part_at(plan.Add<float>(Partial::Floats(rows, head_dim))),
        all_at(plan.Add<float>(Partial::Floats(rows, head_dim))) {}
  TileScratch Tile(std::byte* base) const {
    return {.scores = ScratchAt<float>(base, scores_at),
            .buffers = {.keys = ScratchAt<float>(base, keys_at),
                        .values = ScratchAt<float>(base, values_at),
                        .padded_dim = head_dim},
            .transposed = ScratchAt<float>(base, transposed_at),
            .visible = ScratchAt<int32_t>(base, visible_at),
            .hidden = ScratchAt<int32_t>(base, hidden_at)};
  }
  Partial At(std::byte* base, size_t place) const {
    return Partial::At(ScratchAt<float>(base, place), rows, head_dim);
  }

  ScratchPlan plan;
  int64_t rows, head_dim;
  size_t scores_at, keys_at, values_at, transposed_at, visible_at, hidden_at, part_at, all_at;
};

int64_t SharesOf(int64_t tiles) { return (tiles + kShareTiles - 1) / kShareTiles; }

/// What a split step puts aside: parts of the tiles of a round, the sums of all heads, and how many
/// shares of a KV head lie in front of each sequence.
struct SplitPlaces {
  /// `shares` are there in all, of which as many as there is room for make a round.
  SplitPlaces(const AttentionShape& shape, int threads, int64_t shares)
      : rows(shape.heads / shape.kv_heads),
        head_dim(shape.head_dim),
        most_heads(kTasksPerThread * int64_t{threads}),
        round_shares(
            std::min(shares, std::max<int64_t>(kRoundSharesPerThread * threads,
                                               kRoundBytes / (kShareTiles * PartBytes())))),
        starts_at(plan.Add<int64_t>(most_heads + 1)),
        sums_at(plan.Add<float>(most_heads * Partial::Floats(rows, head_dim))),
        parts_at(plan.Add<float>(round_shares * kShareTiles * Partial::Floats(rows, head_dim))) {}
  int64_t PartBytes() const {
    return Partial::Floats(rows, head_dim) * static_cast<int64_t>(sizeof(float));
  }
  Partial At(std::byte* base, size_t place, int64_t index) const {
    float* first = ScratchAt<float>(base, place);
    return Partial::At(first + index * Partial::Floats(rows, head_dim), rows, head_dim);
  }

  ScratchPlan plan;
  int64_t rows, head_dim;
  int64_t most_heads;    ///< KV heads of all sequences: with more, nothing is split
  int64_t round_shares;  ///< whose parts there is room for
  size_t starts_at, sums_at, parts_at;
};

/// Shares of positions, head after head, sequence after sequence.
class ShareList {
 public:
  /// `starts` is scratch, [S+1].
  ShareList(const DecodeStep& step, std::span<int64_t> starts)
      : kv_heads_(step.shape.kv_heads), starts_(starts) {
    starts_[0] = 0;
    for (size_t s = 0; s + 1 < starts_.size(); ++s) {
      const int64_t tiles = TilesRead(step, static_cast<int64_t>(s));
      starts_[s + 1] = starts_[s] + SharesOf(tiles) * kv_heads_;
    }
  }
  int64_t count() const { return starts_.back(); }

  struct Share {
    int64_t sequence;
    int64_t kv_head;
    int64_t index;  ///< of the head's shares
  };
  Share operator[](int64_t index) const {
    const auto above = std::ranges::upper_bound(starts_, index);
    const auto s = static_cast<size_t>(above - starts_.begin()) - 1;
    const int64_t shares = (starts_[s + 1] - starts_[s]) / kv_heads_;
    const int64_t within = index - starts_[s];
    return {static_cast<int64_t>(s), within / shares, within % shares};
  }
  /// Of all heads.
  int64_t HeadOf(int64_t share) const {
    const Share found = (*this)[share];
    return found.sequence * kv_heads_ + found.kv_head;
  }
  /// A head's first share.
  int64_t FirstOf(int64_t head) const {
    const auto s = static_cast<size_t>(head / kv_heads_);
    return starts_[s] + head % kv_heads_ * ((starts_[s + 1] - starts_[s]) / kv_heads_);
  }

 private:
  int64_t kv_heads_;
  std::span<int64_t> starts_;  // shares in front of each sequence, and all of them
};

}  // namespace

ScratchSize DecodeScratch(const AttentionShape& shape, const BatchLimits& limits, int threads) {
  if (shape.head_dim % kChannelChunk != 0) return {};
  ScratchSize size{.worker = HeadPlaces(shape).plan.bytes()};
  if (threads == 1) return size;
  const int64_t shares = SharesOf(TilesOf(limits.pages * kKvPagePositions)) + limits.sequences;
  size.shared = SplitPlaces(shape, threads, shares * shape.kv_heads).plan.bytes();
  return size;
}

bool DecodeStep::Takes(int64_t sequence) const {
  const auto s = static_cast<size_t>(sequence);
  return step.query_starts[s + 1] - step.query_starts[s] == 1 &&
         shape.head_dim % kChannelChunk == 0;
}

void DecodeStep::Run(int64_t sequence, int64_t kv_head, int worker) const {
  const HeadRun head(*this, sequence, kv_head);
  const HeadPlaces places(shape);
  std::byte* base = context.workspace.Of(worker, places.plan.bytes());
  const Partial part = places.At(base, places.part_at);
  const Partial all = places.At(base, places.all_at);
  head.Begin(all);
  for (int64_t tile = 0; tile < head.tiles(); ++tile) {
    head.AttendTile(tile, places.Tile(base), part);
    head.Merge(part, all);
  }
  head.Finish(all);
}

bool DecodeStep::Splits() const {
  const int threads = context.pool.threads();
  if (threads == 1 || step.sequences() * shape.kv_heads >= kTasksPerThread * threads) return false;
  int64_t most_tiles = 0;
  for (int64_t s = 0; s < step.sequences(); ++s) {
    if (!Takes(s)) return false;
    most_tiles = std::max(most_tiles, TilesRead(*this, s));
  }
  return most_tiles > kShareTiles;
}

void DecodeStep::RunSplit() const {
  int64_t count = 0;
  for (int64_t s = 0; s < step.sequences(); ++s) {
    count += SharesOf(TilesRead(*this, s)) * shape.kv_heads;
  }
  const SplitPlaces places(shape, context.pool.threads(), count);
  const HeadPlaces head_places(shape);
  std::byte* base = context.workspace.Shared(places.plan.bytes());
  const ShareList shares(*this, {ScratchAt<int64_t>(base, places.starts_at),
                                 static_cast<size_t>(step.sequences()) + 1});
  for (int64_t begin = 0; begin < shares.count(); begin += places.round_shares) {
    const int64_t end = std::min(shares.count(), begin + places.round_shares);
    const auto part = [&](int64_t share, int64_t tile) {
      return places.At(base, places.parts_at, (share - begin) * kShareTiles + tile % kShareTiles);
    };
    const auto attend = [&](int64_t index, int worker) {
      const ShareList::Share share = shares[begin + index];
      const HeadRun run(*this, share.sequence, share.kv_head);
      const TileScratch scratch =
          head_places.Tile(context.workspace.Of(worker, head_places.plan.bytes()));
      const int64_t first = share.index * kShareTiles;
      for (int64_t tile = first; tile < std::min(run.tiles(), first + kShareTiles); ++tile) {
        run.AttendTile(tile, scratch, part(begin + index, tile));
      }
    };
    context.ParallelFor(end - begin, attend);
    const int64_t first_head = shares.HeadOf(begin);
    const auto merge = [&](int64_t index, int) {
      const int64_t head = first_head + index;
      const HeadRun run(*this, head / shape.kv_heads, head % shape.kv_heads);
      const Partial all = places.At(base, places.sums_at, head);
      const int64_t first_share = shares.FirstOf(head);
      const int64_t last = std::min(run.tiles(), (end - first_share) * kShareTiles);
      int64_t tile = std::max<int64_t>(0, begin - first_share) * kShareTiles;
      if (tile == 0) run.Begin(all);
      for (; tile < last; ++tile) run.Merge(part(first_share + tile / kShareTiles, tile), all);
      if (last == run.tiles()) run.Finish(all);
    };
    context.ParallelFor(shares.HeadOf(end - 1) - first_head + 1, merge);
  }
}

}  // namespace atom::kernels::cpu
