// Attention over the paged cache. Single tokens go to decode.cc. Otherwise one task is a block of a
// sequence's queries with all query heads of one KV head, so that each tile of K and V is read once
// for all of them. Tiles are 64 positions at absolute places, merged in ascending order; one of
// which a query reads some positions exactly is two: docs/numerics.md, section 4.
#include <algorithm>
#include <limits>
#include <optional>

#include "atom/kernels/cpu/decode.h"
#include "atom/kernels/cpu/kv_tile.h"
#include "atom/kernels/cpu/ops.h"

namespace atom::kernels::cpu {
namespace {

constexpr int64_t kTaskRows = 192;  // query rows times heads: 16 register tiles
constexpr int64_t kVectorRows = 16;

int64_t RoundUp(int64_t x, int64_t multiple) { return (x + multiple - 1) / multiple * multiple; }

/// A block of queries of one sequence, for one KV head.
struct AttentionTask {
  int64_t sequence = 0;
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t kv_head = 0;
};

/// The tasks of a step. Number `index` is counted from the last queries to the first: those see the
/// most positions, and long tasks had better start first.
class TaskList {
 public:
  /// `block_starts` is scratch, [S+1].
  TaskList(const StepView& step, const AttentionShape& shape, std::span<int64_t> block_starts)
      : step_(step),
        kv_heads_(shape.kv_heads),
        block_rows_(BlockRows(shape)),
        block_starts_(block_starts) {
    block_starts_[0] = 0;
    for (size_t s = 0; s + 1 < block_starts_.size(); ++s) {
      block_starts_[s + 1] = block_starts_[s] + (Rows(s) + block_rows_ - 1) / block_rows_;
    }
  }
  /// Rows of a full block: with all query heads of a KV head they fill the register tiles.
  static int64_t BlockRows(const AttentionShape& shape) {
    return std::max<int64_t>(1, kTaskRows / (shape.heads / shape.kv_heads));
  }

  int64_t count() const { return block_starts_.back() * kv_heads_; }

  AttentionTask operator[](int64_t index) const {
    const int64_t block = block_starts_.back() - 1 - index / kv_heads_;
    const auto above = std::ranges::upper_bound(block_starts_, block);
    const auto s = static_cast<size_t>(above - block_starts_.begin()) - 1;
    const int64_t first = (block - block_starts_[s]) * block_rows_;
    return {static_cast<int64_t>(s), step_.query_starts[s] + first,
            std::min(block_rows_, Rows(s) - first), index % kv_heads_};
  }

 private:
  int64_t Rows(size_t sequence) const {
    return step_.query_starts[sequence + 1] - step_.query_starts[sequence];
  }

  const StepView& step_;
  int64_t kv_heads_;
  int64_t block_rows_;
  std::span<int64_t> block_starts_;  // blocks in front of each sequence, and all of them
};

/// Where a task's arrays lie in its worker's scratch.
struct TaskPlaces {
  TaskPlaces(const AttentionShape& shape)
      : head_dim(shape.head_dim),
        rows(RoundUp(TaskList::BlockRows(shape) * (shape.heads / shape.kv_heads), kVectorRows)),
        padded(RoundUp(head_dim, kPanelOutputs)),
        stride(padded + 16),  // rows of a register tile in different lines of L1
        q_at(plan.Add<float>(rows * stride)),
        quads_at(plan.Add<uint8_t>(rows * QuadBytes(head_dim))),
        queries_at(plan.Add<CodedQuery>(rows)),
        unpacked_at(plan.Add<uint8_t>(UnpackedBytes(head_dim))),
        keys_at(plan.Add<float>(kTilePositions * padded)),
        values_at(plan.Add<float>(kTilePositions * padded)),
        visible_at(plan.Add<int32_t>(rows)),
        hidden_at(plan.Add<int32_t>(rows)),
        scores_at(plan.Add<float>(rows * kScoreStride)),
        transposed_at(plan.Add<float>(kVectorRows * kVectorRows)),
        tile_out_at(plan.Add<float>(rows * stride)),
        out_at(plan.Add<float>(rows * stride)),
        maxima_at(plan.Add<float>(2 * rows)),
        sums_at(plan.Add<float>(2 * rows)) {}

  ScratchPlan plan;
  int64_t head_dim, rows, padded, stride;
  size_t q_at, quads_at, queries_at, unpacked_at, keys_at, values_at, visible_at, hidden_at,
      scores_at, transposed_at, tile_out_at, out_at, maxima_at, sums_at;
};

/// One task's scratch, as the kernels see it.
struct TaskScratch {
  AttentionTile tile;
  float* q;
  uint8_t* quads;
  CodedQuery* queries;
  uint8_t* unpacked;
  TileBuffers buffers;
  int32_t* visible;
  int32_t* hidden;

  TaskScratch(const TaskPlaces& places, const AttentionShape& shape, std::byte* base)
      : q(ScratchAt<float>(base, places.q_at)),
        quads(ScratchAt<uint8_t>(base, places.quads_at)),
        queries(ScratchAt<CodedQuery>(base, places.queries_at)),
        unpacked(ScratchAt<uint8_t>(base, places.unpacked_at)),
        buffers{ScratchAt<float>(base, places.keys_at), ScratchAt<float>(base, places.values_at),
                places.padded},
        visible(ScratchAt<int32_t>(base, places.visible_at)),
        hidden(ScratchAt<int32_t>(base, places.hidden_at)) {
    tile.head_dim = places.head_dim;
    tile.padded_dim = places.padded;
    tile.row_stride = places.stride;
    tile.keys = buffers.keys;
    tile.values = buffers.values;
    tile.divisor = shape.ScoreDivisor();
    tile.softcap = shape.softcap;
    tile.scores = ScratchAt<float>(base, places.scores_at);
    tile.transposed = ScratchAt<float>(base, places.transposed_at);
    tile.tile_out = ScratchAt<float>(base, places.tile_out_at);
    tile.out = ScratchAt<float>(base, places.out_at);
    tile.max = ScratchAt<float>(base, places.maxima_at);
    tile.tile_max = tile.max + places.rows;
    tile.sum = ScratchAt<float>(base, places.sums_at);
    tile.tile_sum = tile.sum + places.rows;
  }
};

/// Everything that one task reads and writes.
struct TaskRun {
  const CpuContext& context;
  const StepView& step;
  const AttentionShape& shape;
  const CpuKvLayer& kv;
  const AttentionTask& task;
  TaskScratch& scratch;

  int64_t heads() const { return shape.heads / shape.kv_heads; }
  int64_t rows() const { return task.rows * heads(); }
  bool SharesCodes() const { return rows() >= context.kernels.shared_codes_from_rows; }
  int64_t Position(int64_t row) const {  // scratch row = query row, then head
    return step.positions[static_cast<size_t>(task.first_row + row / heads())];
  }
  ReadPositions Read(int64_t row) const {
    return ReadPositions::Of(shape, kv.layout.format, Position(row));
  }
  float* HeadOf(const DeviceTensor& x, int64_t row) const {
    const int64_t head = task.kv_head * heads() + row % heads();
    return RowOf(x, task.first_row + row / heads()) + head * shape.head_dim;
  }

  void Begin(const DeviceTensor& qkv) const {
    const int64_t stride = scratch.tile.row_stride;
    const float* mean = kv.MeanOf(task.kv_head, shape);
    for (int64_t row = 0; row < rows(); ++row) {
      std::copy_n(HeadOf(qkv, row), shape.head_dim, scratch.q + row * stride);
      if (!kv.layout.quantized()) continue;
      context.kernels.code_query[SharesCodes() ? 1 : 0](
          scratch.q + row * stride, shape.head_dim, mean, shape.ScoreDivisor(),
          scratch.quads + row * QuadBytes(shape.head_dim), scratch.queries + row);
    }
    std::fill_n(scratch.tile.out, rows() * stride, 0.0f);
    std::fill_n(scratch.tile.max, rows(), -std::numeric_limits<float>::infinity());
    std::fill_n(scratch.tile.sum, rows(), 0.0f);
  }

  /// What the rows read of the tile from `first` on, exactly or as the pages hold it: runs of rows
  /// that see some of it.
  void AttendTile(int64_t first, bool exact, const HeadPages& pages) const {
    const ReadPositions earliest = Read(0), latest = Read(rows() - 1);
    const int64_t begin = exact ? earliest.exact_from : earliest.begin;
    const int64_t end = exact ? latest.end : latest.exact_from;
    // Exact tiles are faster where all rows begin at one place: blocks of queries.
    const auto place = [&](int64_t row) { return exact ? Read(row).exact_from : 0; };
    bool loaded = pages.quantized();
    int64_t row = 0;
    while (row < rows()) {
      int64_t next = row;
      while (next < rows() && !Read(next).In(first, exact).empty() && place(next) == place(row)) {
        ++next;
      }
      if (next == row) {
        ++row;
        continue;
      }
      if (!loaded) LoadTile(context, pages, first, begin, end, scratch.buffers);
      loaded = true;
      AttendRows(first, exact, row, next, pages);
      row = next;
    }
  }

  void AttendRows(int64_t first, bool exact, int64_t row, int64_t end,
                  const HeadPages& pages) const {
    for (int64_t r = row; r < end; ++r) {
      const TilePart part = Read(r).In(first, exact);
      scratch.visible[r - row] = static_cast<int32_t>(part.end);
      scratch.hidden[r - row] = static_cast<int32_t>(part.begin);
    }
    AttentionTile tile = scratch.tile;
    tile.rows = end - row;
    tile.out += row * tile.row_stride;
    tile.max += row;
    tile.sum += row;
    if (pages.quantized()) {
      AttendCodes(first, row, end, pages);
    } else {
      tile.q = scratch.q + row * tile.row_stride;
      tile.visible = scratch.visible;
      tile.mean = kv.MeanOf(task.kv_head, shape);
      tile.begin = scratch.hidden[0];
      const bool differ = scratch.hidden[end - row - 1] != scratch.hidden[0];
      tile.hidden = differ ? scratch.hidden : nullptr;
      context.kernels.attend(tile);
    }
    context.kernels.merge(tile);
  }

  void AttendCodes(int64_t first, int64_t row, int64_t end, const HeadPages& pages) const {
    CodesTile tile;
    tile.rows = end - row;
    tile.head_dim = shape.head_dim;
    tile.unpacked = SharesCodes() ? scratch.unpacked : nullptr;
    tile.quads = scratch.quads + row * QuadBytes(shape.head_dim);
    tile.queries = scratch.queries + row;
    tile.hidden = scratch.hidden;
    tile.visible = scratch.visible;
    tile.softcap = shape.softcap;
    tile.tile_out = scratch.tile.tile_out;
    tile.row_stride = scratch.tile.row_stride;
    tile.tile_max = scratch.tile.tile_max;
    tile.tile_sum = scratch.tile.tile_sum;
    PointAtPages(pages, first, first + scratch.hidden[0], first + scratch.visible[end - row - 1],
                 tile);
    context.kernels.attend_codes[static_cast<size_t>(pages.storage())](tile);
  }

  void Finish(const DeviceTensor& out) const {
    for (int64_t row = 0; row < rows(); ++row) {
      context.kernels.divide(scratch.tile.out + row * scratch.tile.row_stride,
                             scratch.tile.sum[row], shape.head_dim, HeadOf(out, row));
    }
  }

  void Run(const DeviceTensor& qkv, const DeviceTensor& out) const {
    Begin(qkv);
    const int64_t begin = shape.FirstVisible(Position(0));
    const int64_t length = Position(rows() - 1) + 1;
    const HeadPages pages(kv, PageList::Of(step, task.sequence), task.kv_head);
    std::optional<HeadPages> exact;
    if (const CpuKvLayer* layer = kv.Exact()) {
      exact.emplace(*layer, PageList::ExactOf(step, task.sequence), task.kv_head);
    }
    for (int64_t first = begin / kTilePositions * kTilePositions; first < length;
         first += kTilePositions) {
      AttendTile(first, false, pages);
      if (exact) AttendTile(first, true, *exact);
    }
    Finish(out);
  }
};

size_t TaskListBytes(int64_t sequences) {
  ScratchPlan plan;
  plan.Add<int64_t>(sequences + 1);
  return plan.bytes();
}

}  // namespace

ScratchSize AttentionScratch(const AttentionShape& shape, const BatchLimits& limits, int threads) {
  ScratchSize size{.worker = TaskPlaces(shape).plan.bytes(),
                   .shared = TaskListBytes(limits.sequences)};
  size.Include(DecodeScratch(shape, limits, threads));
  return size;
}

void Attention(const CpuContext& context, const StepView& step, const DeviceTensor& qkv,
               const AttentionShape& shape, const CpuKvLayer& kv, const DeviceTensor& out) {
  ATOM_CHECK(out.rows == qkv.rows && out.cols == shape.heads * shape.head_dim,
             "output {} x {}, expected {} x {}", out.rows, out.cols, qkv.rows,
             shape.heads * shape.head_dim);
  ATOM_CHECK(shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0, "{} heads, {} KV heads",
             shape.heads, shape.kv_heads);
  ATOM_CHECK(kv.layout.kv_heads == shape.kv_heads && kv.layout.head_dim == shape.head_dim,
             "pages of {} heads of {}, {} heads of {}", kv.layout.kv_heads, kv.layout.head_dim,
             shape.kv_heads, shape.head_dim);
  ATOM_CHECK(
      kv.layout.format.exact_window == 0 || (kv.Exact() != nullptr && !step.exact_pages.empty()),
      "an exact window, and exact pages of the {} are missing",
      kv.Exact() == nullptr ? "layer" : "step");
  const DecodeStep decode{context, step, qkv, shape, kv, out};
  if (decode.Splits()) return decode.RunSplit();
  std::byte* starts = context.workspace.Shared(TaskListBytes(step.sequences()));
  const TaskList tasks(step, shape,
                       {ScratchAt<int64_t>(starts, 0), static_cast<size_t>(step.sequences()) + 1});
  const TaskPlaces places(shape);
  const auto run = [&](int64_t index, int worker) {
    const AttentionTask task = tasks[index];
    if (decode.Takes(task.sequence)) return decode.Run(task.sequence, task.kv_head, worker);
    TaskScratch scratch(places, shape, context.workspace.Of(worker, places.plan.bytes()));
    TaskRun{context, step, shape, kv, task, scratch}.Run(qkv, out);
  };
  context.ParallelFor(tasks.count(), run);
}

}  // namespace atom::kernels::cpu
