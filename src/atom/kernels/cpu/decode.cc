#include "atom/kernels/cpu/decode.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "atom/kernels/cpu/kv_rows.h"

namespace atom::kernels::cpu {
namespace {

constexpr int64_t kChannelChunk = 64;  // the kernels of floats take channels by as many
constexpr int64_t kVectorRows = 16;
/// A share of the positions: as few tiles as still hide what it costs to start on them.
constexpr int64_t kShareTiles = 4;
constexpr int kTasksPerThread = 4;
/// What the parts of one round take at the most: they stay in the nearer caches. But enough shares
/// that threads end together.
constexpr int64_t kRoundBytes = int64_t{1} << 20;
constexpr int kRoundSharesPerThread = 8;

int64_t TilesOf(int64_t length) { return (length + kTilePositions - 1) / kTilePositions; }

/// The tiles of a token: those that it reads as the pages hold them, then those that it reads
/// exactly, both ascending. One tile may be of both kinds.
struct TokenTiles {
  ReadPositions read;
  int64_t quantized = 0;
  int64_t exact = 0;

  explicit TokenTiles(const ReadPositions& of)
      : read(of), quantized(Count(of.begin, of.exact_from)), exact(Count(of.exact_from, of.end)) {}
  int64_t count() const { return quantized + exact; }
  bool IsExact(int64_t number) const { return number >= quantized; }
  /// The first position of a tile.
  int64_t FirstOf(int64_t number) const {
    const int64_t first = IsExact(number) ? read.exact_from : read.begin;
    const int64_t index = IsExact(number) ? number - quantized : number;
    return (first / kTilePositions + index) * kTilePositions;
  }

 private:
  static int64_t Count(int64_t begin, int64_t end) {
    return begin >= end ? 0 : TilesOf(end) - begin / kTilePositions;
  }
};

TokenTiles TilesRead(const DecodeStep& step, int64_t s) {
  const int64_t length = step.step.kv_lengths[static_cast<size_t>(s)];
  return TokenTiles(ReadPositions::Of(step.shape, step.kv.layout.format, length - 1));
}

int64_t RoundUp(int64_t x, int64_t multiple) { return (x + multiple - 1) / multiple * multiple; }
int64_t Padded(int64_t rows) { return RoundUp(rows, kVectorRows); }
int64_t PaddedDim(int64_t head_dim) { return RoundUp(head_dim, kPanelOutputs); }

/// A softmax over some positions, of all query heads of a KV head.
struct Partial {
  float* out;  ///< [rows][PaddedDim]
  float* max;  ///< [rows, padded to 16]
  float* sum;

  static int64_t Floats(int64_t rows, int64_t head_dim) {
    return rows * PaddedDim(head_dim) + 2 * Padded(rows);
  }
  static Partial At(float* base, int64_t rows, int64_t head_dim) {
    float* max = base + rows * PaddedDim(head_dim);
    return {base, max, max + Padded(rows)};
  }
};

/// A worker's scratch for one head.
struct TileScratch {
  float* scores;  ///< [rows, padded to 16][kScoreStride], of floats
  // Of codes:
  uint8_t* quads;  ///< [rows][QuadBytes]
  CodedQuery* queries;
  uint8_t* unpacked;
  int32_t* visible;  ///< [rows]
  int32_t* hidden;   ///< [rows]
};

/// One KV head of one sequence.
class HeadRun {
 public:
  HeadRun(const DecodeStep& step, int64_t sequence, int64_t kv_head)
      : step_(step),
        kv_head_(kv_head),
        pages_(step.kv, PageList::Of(step.step, sequence), kv_head),
        row_(step.step.query_starts[static_cast<size_t>(sequence)]),
        first_head_(kv_head * rows()),
        tiles_(TilesRead(step, sequence)) {
    if (const CpuKvLayer* exact = step.kv.Exact()) {
      exact_.emplace(*exact, PageList::ExactOf(step.step, sequence), kv_head);
    }
  }

  int64_t rows() const { return step_.shape.heads / step_.shape.kv_heads; }
  int64_t head_dim() const { return step_.shape.head_dim; }
  /// Tiles that the token sees some of.
  int64_t tiles() const { return tiles_.count(); }

  /// What AttendTile needs of the queries.
  void Prepare(const TileScratch& scratch) const {
    if (!pages_.quantized()) return;
    for (int64_t r = 0; r < rows(); ++r) {
      step_.context.kernels.code_query[SharesCodes() ? 1 : 0](
          Query() + r * head_dim(), head_dim(), Mean(), step_.shape.ScoreDivisor(),
          scratch.quads + r * QuadBytes(head_dim()), scratch.queries + r);
    }
  }

  /// Tile `number` of them by itself.
  void AttendTile(int64_t number, const TileScratch& scratch, const Partial& part) const {
    const bool exact = tiles_.IsExact(number);
    const HeadPages& pages = exact ? *exact_ : pages_;
    if (pages.quantized()) return AttendCodes(number, scratch, part);
    const int64_t first = tiles_.FirstOf(number);
    const TilePart seen = tiles_.read.In(first, exact);
    DecodeTile tile;
    tile.rows = rows();
    tile.head_dim = head_dim();
    tile.visible = seen.end;
    tile.hidden = seen.begin;
    tile.q = Query();
    tile.row_stride = head_dim();
    tile.mean = Mean();
    tile.divisor = step_.shape.ScoreDivisor();
    tile.softcap = step_.shape.softcap;
    tile.scores = scratch.scores;
    tile.tile_out = part.out;
    tile.tile_max = part.max;
    tile.tile_sum = part.sum;
    Point(pages, exact, first, tile);
    step_.context.kernels.decode[static_cast<size_t>(pages.storage())](tile);
  }

  void Begin(const Partial& all) const {
    std::fill_n(all.out, rows() * PaddedDim(head_dim()), 0.0f);
    std::fill_n(all.max, Padded(rows()), -std::numeric_limits<float>::infinity());
    std::fill_n(all.sum, Padded(rows()), 0.0f);
  }

  void Merge(const Partial& part, const Partial& all) const {
    AttentionTile tile;
    tile.rows = rows();
    tile.head_dim = head_dim();
    tile.padded_dim = PaddedDim(head_dim());
    tile.row_stride = PaddedDim(head_dim());
    tile.tile_out = part.out;
    tile.tile_max = part.max;
    tile.tile_sum = part.sum;
    tile.out = all.out;
    tile.max = all.max;
    tile.sum = all.sum;
    step_.context.kernels.merge(tile);
  }

  void Finish(const Partial& all) const {
    for (int64_t r = 0; r < rows(); ++r) {
      step_.context.kernels.divide(all.out + r * PaddedDim(head_dim()), all.sum[r], head_dim(),
                                   RowOf(step_.out, row_) + (first_head_ + r) * head_dim());
    }
  }

 private:
  void AttendCodes(int64_t number, const TileScratch& scratch, const Partial& part) const {
    const int64_t first = tiles_.FirstOf(number);
    const TilePart seen = tiles_.read.In(first, false);
    std::fill_n(scratch.visible, rows(), static_cast<int32_t>(seen.end));
    std::fill_n(scratch.hidden, rows(), static_cast<int32_t>(seen.begin));
    CodesTile tile;
    tile.rows = rows();
    tile.head_dim = head_dim();
    tile.unpacked = SharesCodes() ? scratch.unpacked : nullptr;
    tile.quads = scratch.quads;
    tile.queries = scratch.queries;
    tile.hidden = scratch.hidden;
    tile.visible = scratch.visible;
    tile.softcap = step_.shape.softcap;
    tile.tile_out = part.out;
    tile.row_stride = PaddedDim(head_dim());
    tile.tile_max = part.max;
    tile.tile_sum = part.sum;
    Point(pages_, false, first, tile);
    step_.context.kernels.attend_codes[static_cast<size_t>(pages_.storage())](tile);
  }

  template <class Tile>
  void Point(const HeadPages& pages, bool exact, int64_t first, Tile& tile) const {
    const ReadPositions& read = tiles_.read;
    PointAtPages(pages, first, exact ? read.exact_from : read.begin,
                 exact ? read.end : read.exact_from, tile);
  }

  bool SharesCodes() const { return rows() >= step_.context.kernels.shared_codes_from_rows; }
  const float* Query() const { return RowOf(step_.qkv, row_) + first_head_ * head_dim(); }
  const float* Mean() const { return step_.kv.MeanOf(kv_head_, step_.shape); }

  const DecodeStep& step_;
  int64_t kv_head_;
  HeadPages pages_;
  std::optional<HeadPages> exact_;
  int64_t row_;         // of the step
  int64_t first_head_;  // query head
  TokenTiles tiles_;
};

/// Where the arrays of one head lie in its worker's scratch.
struct HeadPlaces {
  explicit HeadPlaces(const AttentionShape& shape)
      : rows(shape.heads / shape.kv_heads),
        head_dim(shape.head_dim),
        scores_at(plan.Add<float>(Padded(rows) * kScoreStride)),
        quads_at(plan.Add<uint8_t>(rows * QuadBytes(head_dim))),
        queries_at(plan.Add<CodedQuery>(rows)),
        unpacked_at(plan.Add<uint8_t>(UnpackedBytes(head_dim))),
        visible_at(plan.Add<int32_t>(rows)),
        hidden_at(plan.Add<int32_t>(rows)),
        part_at(plan.Add<float>(Partial::Floats(rows, head_dim))),
        all_at(plan.Add<float>(Partial::Floats(rows, head_dim))) {}

  TileScratch Tile(std::byte* base) const {
    return {ScratchAt<float>(base, scores_at),       ScratchAt<uint8_t>(base, quads_at),
            ScratchAt<CodedQuery>(base, queries_at), ScratchAt<uint8_t>(base, unpacked_at),
            ScratchAt<int32_t>(base, visible_at),    ScratchAt<int32_t>(base, hidden_at)};
  }
  Partial At(std::byte* base, size_t place) const {
    return Partial::At(ScratchAt<float>(base, place), rows, head_dim);
  }

  ScratchPlan plan;
  int64_t rows, head_dim;
  size_t scores_at, quads_at, queries_at, unpacked_at, visible_at, hidden_at, part_at, all_at;
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
      const int64_t tiles = TilesRead(step, static_cast<int64_t>(s)).count();
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
  ScratchSize size{.worker = HeadPlaces(shape).plan.bytes()};
  if (threads == 1) return size;
  // A tile that is of both kinds, and tiles that an exact window begins in, count once more.
  const int64_t shares = SharesOf(TilesOf(limits.pages * kKvPagePositions)) + 2 * limits.sequences;
  size.shared = SplitPlaces(shape, threads, shares * shape.kv_heads).plan.bytes();
  return size;
}

bool DecodeStep::Takes(int64_t sequence) const {
  const auto s = static_cast<size_t>(sequence);
  const bool only_codes = kv.layout.quantized() && kv.Exact() == nullptr;
  return step.query_starts[s + 1] - step.query_starts[s] == 1 &&
         (only_codes || shape.head_dim % kChannelChunk == 0);
}

void DecodeStep::Run(int64_t sequence, int64_t kv_head, int worker) const {
  const HeadRun head(*this, sequence, kv_head);
  const HeadPlaces places(shape);
  std::byte* base = context.workspace.Of(worker, places.plan.bytes());
  const Partial part = places.At(base, places.part_at);
  const Partial all = places.At(base, places.all_at);
  const TileScratch scratch = places.Tile(base);
  head.Begin(all);
  head.Prepare(scratch);
  for (int64_t tile = 0; tile < head.tiles(); ++tile) {
    head.AttendTile(tile, scratch, part);
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
    most_tiles = std::max(most_tiles, TilesRead(*this, s).count());
  }
  return most_tiles > kShareTiles;
}

void DecodeStep::RunSplit() const {
  int64_t count = 0;
  for (int64_t s = 0; s < step.sequences(); ++s) {
    count += SharesOf(TilesRead(*this, s).count()) * shape.kv_heads;
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
      run.Prepare(scratch);
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
