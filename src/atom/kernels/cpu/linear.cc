// Linear: the product is cut into blocks of rows × panels, one task each. A block keeps its sums in
// scratch, so that y is touched once, whatever its OutputMode. docs/numerics.md, section 3.
#include <algorithm>

#include "atom/kernels/cpu/ops.h"

namespace atom::kernels::cpu {
namespace {

constexpr int64_t kBlockRows = 192;  // 16 tiles of 12 rows; their codes at K = 4096 fit in L2
constexpr int64_t kBlockPanels = 12;
constexpr int64_t kBlockInputs = 256;  // dense: a panel's slice is 32 KiB of fp32
constexpr int64_t kSumRows = 16;

/// How [rows][panels] is cut. Few rows mean small blocks, so that all threads read weights.
struct BlockGrid {
  int64_t rows;
  int64_t panels;
  int64_t block_panels;

  BlockGrid(int64_t row_count, int64_t panel_count, int threads)
      : rows(row_count), panels(panel_count) {
    constexpr int64_t kBlocksPerThread = 8;
    const int64_t share = panels * row_blocks() / (kBlocksPerThread * threads);
    block_panels = std::clamp<int64_t>(share / 2 * 2, 2, kBlockPanels);
  }
  int64_t row_blocks() const { return (rows + kBlockRows - 1) / kBlockRows; }
  int64_t blocks() const { return row_blocks() * ((panels + block_panels - 1) / block_panels); }

  // Neighbouring blocks share their weights.
  int64_t FirstRow(int64_t block) const { return block % row_blocks() * kBlockRows; }
  int64_t RowCount(int64_t block) const { return std::min(kBlockRows, rows - FirstRow(block)); }
  int64_t FirstPanel(int64_t block) const { return block / row_blocks() * block_panels; }
  int64_t PanelCount(int64_t block) const {
    return std::min(block_panels, panels - FirstPanel(block));
  }
};

/// The sums of one block, [rows][stride].
struct BlockSums {
  float* acc;
  int64_t stride;
};

template <class W>
void MultiplyDense(void (*kernel)(const DenseBlock<W>&), const CpuActivation& x,
                   const CpuWeight& weight, const BlockGrid& grid, int64_t index, BlockSums sums) {
  DenseBlock<W> block;
  block.x_stride = x.stride;
  block.rows = grid.RowCount(index);
  block.panel_stride = weight.k() * kPanelOutputs;
  block.panels = grid.PanelCount(index);
  block.acc = sums.acc;
  block.acc_stride = sums.stride;
  const float* rows = x.DenseRow(grid.FirstRow(index));
  const W* panels = weight.data.As<W>().data() + grid.FirstPanel(index) * block.panel_stride;
  for (int64_t k = 0; k < weight.k(); k += kBlockInputs) {
    block.x = rows + k;
    block.w = panels + k * kPanelOutputs;
    block.k = std::min(kBlockInputs, weight.k() - k);
    block.resume = k > 0;
    kernel(block);
  }
}

void MultiplyDense(const KernelTable& kernels, const CpuActivation& x, const CpuWeight& weight,
                   const BlockGrid& grid, int64_t index, BlockSums sums) {
  switch (weight.dtype) {
    case DType::kF32:
      return MultiplyDense(kernels.dense_f32, x, weight, grid, index, sums);
    case DType::kF16:
      return MultiplyDense(kernels.dense_f16, x, weight, grid, index, sums);
    case DType::kBF16:
      return MultiplyDense(kernels.dense_bf16, x, weight, grid, index, sums);
    default:
      ATOM_CHECK(false, "a weight of {}", DTypeName(weight.dtype));
  }
}

PackedBlock MakePackedBlock(const CpuWeight& weight, const BlockGrid& grid, int64_t index,
                            BlockSums sums) {
  PackedBlock block;
  block.layout = &*weight.layout;
  block.w = weight.data.As<uint8_t>().data() + grid.FirstPanel(index) * block.layout->panel_bytes;
  block.panels = grid.PanelCount(index);
  block.rows = grid.RowCount(index);
  block.acc = sums.acc;
  block.acc_stride = sums.stride;
  return block;
}

/// Where the codes that meet the weight's outliers lie: in their own section with their own scale,
/// or, where the activation has one scale a token and no outliers, behind the others.
struct OutlierPlace {
  int64_t offset;
  int64_t scale;
};
OutlierPlace FindOutliers(const CpuActivation& x, const PackedLayout& layout) {
  const bool one_scale = x.format().group == 0;
  ATOM_CHECK(one_scale || x.format().group == layout.group, "groups of {} times groups of {}",
             x.format().group, layout.group);
  if (x.k4() == layout.k4) return {x.outlier_offset, x.groups};
  ATOM_CHECK(one_scale && x.format().outlier_columns == 0, "{} outlier columns times {}",
             x.format().outlier_columns, layout.k8);
  return {layout.k4, 0};
}

/// What the integer sums of every row start with, [M][2 groups + 1].
const int32_t* StartSums(const CpuContext& context, const CpuActivation& x,
                         const PackedLayout& layout, int64_t outlier_offset) {
  const int64_t stride = 2 * layout.groups + 1;
  ScratchPlan plan;
  plan.Add<int32_t>(x.rows() * stride);
  auto* sums = ScratchAt<int32_t>(context.workspace.Shared(plan.bytes()), 0);
  const auto start = [&](int64_t chunk, int) {
    const int64_t end = std::min(x.rows(), (chunk + 1) * kSumRows);
    for (int64_t row = chunk * kSumRows; row < end; ++row) {
      context.kernels.start_sums(layout, x.CodesRow(row), outlier_offset, sums + row * stride);
    }
  };
  context.ParallelFor((x.rows() + kSumRows - 1) / kSumRows, start);
  return sums;
}

void WriteBlock(const KernelTable& kernels, const CpuWeight& weight, const BlockGrid& grid,
                int64_t index, BlockSums sums, const DeviceTensor& y, OutputMode mode) {
  const int64_t column = grid.FirstPanel(index) * kPanelOutputs;
  OutputBlock out;
  out.acc = sums.acc;
  out.acc_stride = sums.stride;
  out.rows = grid.RowCount(index);
  out.columns = std::min(grid.PanelCount(index) * kPanelOutputs, weight.n() - column);
  out.bias = weight.bias.empty() ? nullptr : weight.bias.data() + column;
  out.y = RowOf(y, grid.FirstRow(index)) + column;
  out.y_stride = y.stride;
  out.add = mode == OutputMode::kAdd;
  kernels.write_output(out);
}

/// Runs multiply(grid, block, sums) for every block and writes what it summed up.
template <class Multiply>
void RunBlocks(const CpuContext& context, int64_t rows, const CpuWeight& weight,
               const DeviceTensor& y, OutputMode mode, const Multiply& multiply) {
  const BlockGrid grid(rows, weight.panels(), context.pool.threads());
  const auto run = [&](int64_t index, int worker) {
    const int64_t stride = grid.block_panels * kPanelOutputs;
    ScratchPlan plan;
    plan.Add<float>(kBlockRows * kBlockPanels * kPanelOutputs);
    const BlockSums sums{ScratchAt<float>(context.workspace.Of(worker, plan.bytes()), 0), stride};
    multiply(grid, index, sums);
    WriteBlock(context.kernels, weight, grid, index, sums, y, mode);
  };
  context.ParallelFor(grid.blocks(), run);
}

void MultiplyIntegers(const CpuContext& context, const CpuActivation& x, const CpuWeight& weight,
                      const DeviceTensor& y, OutputMode mode) {
  const OutlierPlace outliers = FindOutliers(x, *weight.layout);
  const int32_t* start = StartSums(context, x, *weight.layout, outliers.offset);
  const int64_t start_stride = 2 * weight.layout->groups + 1;
  const auto multiply = [&](const BlockGrid& grid, int64_t index, BlockSums sums) {
    PackedBlock block = MakePackedBlock(weight, grid, index, sums);
    const int64_t row = grid.FirstRow(index);
    block.codes = x.CodesRow(row);
    block.codes_stride = x.codes_stride;
    block.outlier_offset = outliers.offset;
    block.scales = x.ScalesRow(row);
    block.scales_stride = x.scales_stride;
    block.scale_step = x.format().group == 0 ? 0 : 1;
    block.outlier_scale = outliers.scale;
    block.sums = start + row * start_stride;
    block.sums_stride = start_stride;
    context.kernels.packed_integer(block);
  };
  RunBlocks(context, x.rows(), weight, y, mode, multiply);
}

}  // namespace

void Linear(const CpuContext& context, const CpuActivation& x, const CpuWeight& weight,
            const DeviceTensor& y, OutputMode mode) {
  ATOM_CHECK(x.k() == weight.k(), "{} columns times {}", x.k(), weight.k());
  ATOM_CHECK(y.rows == x.rows() && y.cols == weight.n(), "output {} x {}, expected {} x {}", y.rows,
             y.cols, x.rows(), weight.n());
  if (weight.layout.has_value() && !x.format().dense()) {
    return MultiplyIntegers(context, x, weight, y, mode);
  }
  ATOM_CHECK(x.format().dense(), "a dense weight, a {}-bit activation", x.format().bits);
  const auto multiply = [&](const BlockGrid& grid, int64_t index, BlockSums sums) {
    if (!weight.layout.has_value()) {
      return MultiplyDense(context.kernels, x, weight, grid, index, sums);
    }
    PackedBlock block = MakePackedBlock(weight, grid, index, sums);
    block.x = x.DenseRow(grid.FirstRow(index));
    block.x_stride = x.stride;
    context.kernels.packed_float(block);
  };
  RunBlocks(context, x.rows(), weight, y, mode, multiply);
}

}  // namespace atom::kernels::cpu
