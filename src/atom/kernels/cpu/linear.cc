// Linear: the product is cut into blocks of rows × panels, one task each. Sums stay in scratch
// until they are whole, so that y is touched once, whatever its OutputMode. docs/numerics.md,
// section 3.
#include <algorithm>

#include "atom/kernels/cpu/ops.h"

namespace atom::kernels::cpu {
namespace {

/// The largest block, in rows and panels; and in panels if one block has all rows.
struct BlockLimits {
  int64_t rows;
  int64_t panels;
  int64_t few_rows_panels;
};
// Packed: as many panels as fill 0.8 MB of L2 (12 at 4 bits and K = 4096), and few enough rows for
// their codes to fit beside; the blocks of the next rows find the panels there.
constexpr int64_t kPackedRows = 36;
constexpr int64_t kPackedBytes = 800 << 10;
// Dense: a slab of weights, 0.5 MB of fp32, stays in L2 while the rows stream past it.
constexpr int64_t kSlabInputs = 1024;
constexpr int64_t kSlabElements = int64_t{1} << 17;
constexpr int64_t kSlabRows = 512;
constexpr int64_t kStreamRows = 24;  // rows at a time, two register tiles: few enough for L1 and L2
constexpr int64_t kSumRows = 16;

BlockLimits DenseLimits(int64_t k) {
  constexpr int64_t kMostPanels = 16;  // the sums of a block: 1 MB
  const int64_t inputs = std::clamp<int64_t>(k, 1, kSlabInputs);
  const int64_t panels = std::min(kMostPanels, kSlabElements / (inputs * kPanelOutputs));
  return {kSlabRows, panels, panels};
}

BlockLimits PackedLimits(const PackedLayout& layout) {
  const int64_t panels = std::clamp<int64_t>(kPackedBytes / layout.panel_bytes / 2 * 2, 2, 12);
  return {kPackedRows, panels, layout.panels};
}

/// Part of the product.
struct Block {
  int64_t first_row;
  int64_t rows;
  int64_t first_panel;
  int64_t panels;
};

/// How [rows][panels] is cut. Many rows: blocks of one size; neighbours share their weights. A
/// single block of rows waits for its weights: then the first blocks are long, which memory likes,
/// and the last ones short, so that all threads end together.
class BlockGrid {
 public:
  BlockGrid(int64_t rows, int64_t panels, int threads, BlockLimits limits)
      : rows_(rows), panels_(panels), threads_(threads), block_rows_(limits.rows) {
    if (row_blocks() > 1) {
      constexpr int64_t kBlocksPerThread = 8;
      most_panels_ = Even(panels * row_blocks() / (kBlocksPerThread * threads), limits.panels);
      count_ = row_blocks() * ((panels + most_panels_ - 1) / most_panels_);
    } else {
      most_panels_ = limits.few_rows_panels;
      for (int64_t at = 0; at < panels; at += Share(at)) ++count_;
    }
  }

  int64_t count() const { return count_; }
  Block operator[](int64_t index) const {
    if (row_blocks() == 1) {
      int64_t at = 0;
      for (; index > 0; --index) at += Share(at);
      return {0, rows_, at, Share(at)};
    }
    Block block;
    block.first_row = index % row_blocks() * block_rows_;
    block.rows = std::min(block_rows_, rows_ - block.first_row);
    block.first_panel = index / row_blocks() * most_panels_;
    block.panels = std::min(most_panels_, panels_ - block.first_panel);
    return block;
  }

 private:
  static int64_t Even(int64_t panels, int64_t most) {
    return std::clamp<int64_t>(panels / 2 * 2, 2, most);
  }
  int64_t row_blocks() const { return (rows_ + block_rows_ - 1) / block_rows_; }
  /// Panels of the block that begins at `panel`: half of what would be the thread's part.
  int64_t Share(int64_t panel) const {
    const int64_t left = panels_ - panel;
    return std::min(left, Even(left / (2 * threads_), most_panels_));
  }

  int64_t rows_;
  int64_t panels_;
  int threads_;
  int64_t block_rows_;
  int64_t most_panels_ = 0;
  int64_t count_ = 0;
};

/// Everything that the blocks of one product share.
struct Product {
  const CpuContext& context;
  const CpuActivation& x;
  const CpuWeight& weight;
  const DeviceTensor& y;
  OutputMode mode;

  /// Runs multiply(block, acc) for every block, with `floats` floats of scratch at acc.
  template <class Multiply>
  void RunBlocks(BlockLimits limits, int64_t floats, const Multiply& multiply) const {
    const BlockGrid grid(x.rows(), weight.panels(), context.pool.threads(), limits);
    const auto run = [&](int64_t index, int worker) {
      ScratchPlan plan;
      plan.Add<float>(floats);
      multiply(grid[index], ScratchAt<float>(context.workspace.Of(worker, plan.bytes()), 0));
    };
    context.ParallelFor(grid.count(), run);
  }

  /// Where the sums of a block go; `acc` is left to whoever has them.
  OutputBlock OutputOf(const Block& block) const {
    const int64_t column = block.first_panel * kPanelOutputs;
    OutputBlock out;
    out.rows = block.rows;
    out.columns = std::min(block.panels * kPanelOutputs, weight.n() - column);
    out.bias = weight.bias.empty() ? nullptr : weight.bias.data() + column;
    out.y = RowOf(y, block.first_row) + column;
    out.y_stride = y.stride;
    out.add = mode == OutputMode::kAdd;
    return out;
  }
};

template <class W>
void MultiplyDense(const Product& product, void (*kernel)(const DenseBlock<W>&)) {
  const int64_t k = product.weight.k();
  const int64_t panel_stride = k * kPanelOutputs;
  const auto multiply = [&](const Block& block, float* acc) {
    const W* panels = product.weight.data.As<W>() + block.first_panel * panel_stride;
    DenseBlock<W> part;
    part.x_stride = product.x.stride;
    part.panel_stride = panel_stride;
    part.panels = block.panels;
    part.acc_stride = block.panels * kPanelOutputs;
    for (int64_t slab = 0; slab < k; slab += kSlabInputs) {
      part.w = panels + slab * kPanelOutputs;
      part.k = std::min(kSlabInputs, k - slab);
      part.resume = slab > 0;
      for (int64_t row = 0; row < block.rows; row += kStreamRows) {
        part.rows = std::min(kStreamRows, block.rows - row);
        part.x = product.x.DenseRow(block.first_row + row) + slab;
        part.acc = acc + row * part.acc_stride;
        kernel(part);
        if (slab + part.k < k) continue;
        OutputBlock out =
            product.OutputOf({block.first_row + row, part.rows, block.first_panel, block.panels});
        out.acc = part.acc;
        out.acc_stride = part.acc_stride;
        product.context.kernels.write_output(out);
      }
    }
  };
  const BlockLimits limits = DenseLimits(k);
  product.RunBlocks(limits, limits.rows * limits.panels * kPanelOutputs, multiply);
}

void MultiplyDense(const Product& product) {
  const KernelTable& kernels = product.context.kernels;
  switch (product.weight.dtype) {
    case DType::kF32:
      return MultiplyDense(product, kernels.dense_f32);
    case DType::kF16:
      return MultiplyDense(product, kernels.dense_f16);
    case DType::kBF16:
      return MultiplyDense(product, kernels.dense_bf16);
    default:
      ATOM_CHECK(false, "a weight of {}", DTypeName(product.weight.dtype));
  }
}

PackedBlock MakePackedBlock(const Product& product, const Block& block, float* acc) {
  const CpuWeight& weight = product.weight;
  PackedBlock packed;
  packed.layout = &*weight.layout;
  packed.w = weight.data.As<uint8_t>() + block.first_panel * weight.layout->panel_bytes;
  packed.panels = block.panels;
  packed.rows = block.rows;
  packed.out = product.OutputOf(block);
  packed.acc = acc;
  return packed;
}

/// W4A16, and fake-quantized activations of a packed artifact.
void MultiplyWeightOnly(const Product& product) {
  const auto multiply = [&](const Block& block, float* acc) {
    PackedBlock packed = MakePackedBlock(product, block, acc);
    packed.x = product.x.DenseRow(block.first_row);
    packed.x_stride = product.x.stride;
    const KernelTable& kernels = product.context.kernels;
    const bool simulated = product.x.format().simulated;
    (simulated ? kernels.packed_simulated : kernels.packed_float)(packed);
  };
  product.RunBlocks(PackedLimits(*product.weight.layout), kPackedRows * kColumnOutputs, multiply);
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
const int32_t* StartSums(const Product& product, int64_t outlier_offset) {
  const PackedLayout& layout = *product.weight.layout;
  const CpuActivation& x = product.x;
  const CpuContext& context = product.context;
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

void MultiplyIntegers(const Product& product) {
  const CpuActivation& x = product.x;
  const OutlierPlace outliers = FindOutliers(x, *product.weight.layout);
  const int32_t* sums = StartSums(product, outliers.offset);
  const int64_t sums_stride = 2 * product.weight.layout->groups + 1;
  const auto multiply = [&](const Block& block, float* acc) {
    PackedBlock packed = MakePackedBlock(product, block, acc);
    packed.codes = x.CodesRow(block.first_row);
    packed.codes_stride = x.codes_stride;
    packed.outlier_offset = outliers.offset;
    packed.scales = x.ScalesRow(block.first_row);
    packed.scales_stride = x.scales_stride;
    packed.scale_step = x.format().group == 0 ? 0 : 1;
    packed.outlier_scale = outliers.scale;
    packed.sums = sums + block.first_row * sums_stride;
    packed.sums_stride = sums_stride;
    product.context.kernels.packed_integer(packed);
  };
  product.RunBlocks(PackedLimits(*product.weight.layout), kPackedRows * kColumnOutputs, multiply);
}

}  // namespace

void Linear(const CpuContext& context, const CpuActivation& x, const CpuWeight& weight,
            const DeviceTensor& y, OutputMode mode) {
  ATOM_CHECK(x.k() == weight.k(), "{} columns times {}", x.k(), weight.k());
  ATOM_CHECK(y.rows == x.rows() && y.cols == weight.n(), "output {} x {}, expected {} x {}", y.rows,
             y.cols, x.rows(), weight.n());
  const Product product{context, x, weight, y, mode};
  const bool dense = x.format().dense();
  if (weight.layout.has_value()) {
    return dense ? MultiplyWeightOnly(product) : MultiplyIntegers(product);
  }
  ATOM_CHECK(dense, "a dense weight, a {}-bit activation", x.format().bits);
  MultiplyDense(product);
}

}  // namespace atom::kernels::cpu
