// Linear: the product is cut into blocks of rows × panels, one task each, those of several weights
// one after another. Sums stay in scratch until they are whole, so that y is touched once, whatever
// its OutputMode. docs/numerics.md, section 3.
#include <algorithm>
#include <array>
#include <optional>

#include "atom/kernels/cpu/block_grid.h"
#include "atom/kernels/cpu/ops.h"

namespace atom::kernels::cpu {
namespace {

// Packed: as many panels as fill 0.8 MB of L2 (12 at 4 bits and K = 4096), and few enough rows for
// their codes to fit beside; the blocks of the next rows find the panels there.
constexpr int64_t kPackedRows = 36;
// The most rows that share folded or unpacked weights (KernelTable), their sums in L2.
constexpr int64_t kSharedRows = 256;
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

/// Blocks of about the same height.
BlockLimits SharedLimits(const PackedLayout& layout, BlockRows shared, int64_t rows) {
  const int64_t blocks = (rows + shared.most - 1) / shared.most;
  const int64_t height = (rows + blocks - 1) / blocks;
  BlockLimits limits = PackedLimits(layout);
  limits.rows = (height + shared.multiple - 1) / shared.multiple * shared.multiple;
  return limits;
}

/// Floats of scratch that the sums of a block need.
int64_t BlockFloats(bool dense, int64_t k) {
  if (!dense) return kSharedRows * kColumnOutputs;
  const BlockLimits limits = DenseLimits(k);
  return limits.rows * limits.panels * kPanelOutputs;
}

/// What a thread has for a block.
struct BlockScratch {
  explicit BlockScratch(int64_t floats)
      : folded_at(plan.Add<uint8_t>(kFoldedBytes)),
        tile_sums_at(plan.Add<int32_t>(kSharedRows * kColumnOutputs)),
        acc_at(plan.Add<float>(floats)) {}
  ScratchPlan plan;
  size_t folded_at;
  size_t tile_sums_at;
  size_t acc_at;
};

/// Sums that a row of codes starts with: two a group, one of the outliers. Folded: two.
int64_t StartsOf(int64_t groups) { return 2 * groups + 1; }
constexpr int64_t kFoldedStarts = 2;

constexpr int64_t kMostWeights = 3;  // side by side

/// Where the codes that meet the weight's outliers lie: in their own section with their own scale,
/// or, where the activation has one scale a token and no outliers, behind the others.
struct OutlierPlace {
  int64_t offset = 0;
  int64_t scale = 0;
};

/// One weight's part of the work.
struct Product {
  const CpuContext* context = nullptr;
  const CpuActivation* x = nullptr;
  const CpuWeight* weight = nullptr;
  DeviceTensor y;
  OutputMode mode = OutputMode::kOverwrite;
  BlockGrid grid;
  // Of integers:
  OutlierPlace outliers;
  const int32_t* sums = nullptr;  ///< what the sums of every row start with, [M][starts()]

  bool two_level() const { return weight->layout.has_value() && weight->layout->two_level; }
  bool folded() const {
    return two_level() && integer() && weight->layout->group % 4 == 0 &&
           x->rows() >= context->kernels.folded_from_rows;
  }
  /// Do all rows of a block share weights in scratch?
  bool shared() const {
    return folded() ||
           (integer() && !two_level() && x->rows() >= context->kernels.unpacked_from_rows);
  }
  int64_t starts() const { return folded() ? kFoldedStarts : StartsOf(weight->layout->groups); }
  bool dense() const { return !weight->layout.has_value(); }
  bool integer() const { return !dense() && !x->format().dense(); }
  int64_t scratch() const { return BlockFloats(dense(), weight->k()); }
};

/// Where the sums of a block go; `acc` is left to whoever has them.
OutputBlock OutputOf(const Product& product, const Block& block) {
  const int64_t column = block.first_panel * kPanelOutputs;
  const std::vector<float>& bias = product.weight->bias;
  OutputBlock out;
  out.rows = block.rows;
  out.columns = std::min(block.panels * kPanelOutputs, product.weight->n() - column);
  out.bias = bias.empty() ? nullptr : bias.data() + column;
  out.y = RowOf(product.y, block.first_row) + column;
  out.y_stride = product.y.stride;
  out.add = product.mode == OutputMode::kAdd;
  return out;
}

template <class W>
void MultiplyDense(const Product& product, void (*kernel)(const DenseBlock<W>&), const Block& block,
                   float* acc) {
  const int64_t k = product.weight->k();
  const int64_t panel_stride = k * kPanelOutputs;
  const W* panels = product.weight->data.As<W>() + block.first_panel * panel_stride;
  DenseBlock<W> part;
  part.x_stride = product.x->stride;
  part.panel_stride = panel_stride;
  part.panels = block.panels;
  part.acc_stride = block.panels * kPanelOutputs;
  for (int64_t slab = 0; slab < k; slab += kSlabInputs) {
    part.w = panels + slab * kPanelOutputs;
    part.k = std::min(kSlabInputs, k - slab);
    part.resume = slab > 0;
    for (int64_t row = 0; row < block.rows; row += kStreamRows) {
      part.rows = std::min(kStreamRows, block.rows - row);
      part.x = product.x->DenseRow(block.first_row + row) + slab;
      part.acc = acc + row * part.acc_stride;
      kernel(part);
      if (slab + part.k < k) continue;
      OutputBlock out =
          OutputOf(product, {block.first_row + row, part.rows, block.first_panel, block.panels});
      out.acc = part.acc;
      out.acc_stride = part.acc_stride;
      product.context->kernels.write_output(out);
    }
  }
}

void MultiplyDense(const Product& product, const Block& block, float* acc) {
  const KernelTable& kernels = product.context->kernels;
  switch (product.weight->dtype) {
    case DType::kF32:
      return MultiplyDense(product, kernels.dense_f32, block, acc);
    case DType::kF16:
      return MultiplyDense(product, kernels.dense_f16, block, acc);
    case DType::kBF16:
      return MultiplyDense(product, kernels.dense_bf16, block, acc);
    default:
      ATOM_CHECK(false, "a weight of {}", DTypeName(product.weight->dtype));
  }
}

/// A thread's scratch.
struct Scratch {
  float* acc;
  uint8_t* folded;
  int32_t* tile_sums;
};

PackedBlock MakePackedBlock(const Product& product, const Block& block, float* acc) {
  const CpuWeight& weight = *product.weight;
  PackedBlock packed;
  packed.layout = &*weight.layout;
  packed.w = weight.data.As<uint8_t>() + block.first_panel * weight.layout->panel_bytes;
  packed.panels = block.panels;
  packed.rows = block.rows;
  packed.out = OutputOf(product, block);
  packed.acc = acc;
  return packed;
}

void SetScales(const CpuActivation& x, int64_t first_row, PackedBlock& packed) {
  packed.scales = x.ScalesRow(first_row);
  packed.scales_stride = x.scales_stride;
}

/// W4A16, and fake-quantized activations of a packed artifact.
void MultiplyWeightOnly(const Product& product, const Block& block, float* acc) {
  PackedBlock packed = MakePackedBlock(product, block, acc);
  packed.x = product.x->DenseRow(block.first_row);
  packed.x_stride = product.x->stride;
  if (product.x->format().simulated) SetScales(*product.x, block.first_row, packed);
  const KernelTable& kernels = product.context->kernels;
  (product.x->format().simulated ? kernels.packed_simulated : kernels.packed_float)(packed);
}

void MultiplyIntegers(const Product& product, const Block& block, Scratch scratch) {
  const CpuActivation& x = *product.x;
  const KernelTable& kernels = product.context->kernels;
  PackedBlock packed = MakePackedBlock(product, block, scratch.acc);
  packed.codes = x.CodesRow(block.first_row);
  packed.codes_stride = x.codes_stride;
  packed.outlier_offset = product.outliers.offset;
  SetScales(x, block.first_row, packed);
  packed.scale_step = x.format().group == 0 ? 0 : 1;
  packed.outlier_scale = product.outliers.scale;
  packed.sums_stride = product.starts();
  packed.sums = product.sums + block.first_row * packed.sums_stride;
  if (product.shared()) packed.folded = scratch.folded;
  packed.tile_sums = scratch.tile_sums;
  (product.two_level() ? kernels.packed_two_level : kernels.packed_integer)(packed);
}

void Multiply(const Product& product, const Block& block, Scratch scratch) {
  if (product.dense()) return MultiplyDense(product, block, scratch.acc);
  if (product.integer()) return MultiplyIntegers(product, block, scratch);
  MultiplyWeightOnly(product, block, scratch.acc);
}

BlockLimits LimitsOf(const Product& product) {
  if (product.dense()) return DenseLimits(product.weight->k());
  const PackedLayout& layout = *product.weight->layout;
  if (!product.shared()) return PackedLimits(layout);
  return SharedLimits(layout, product.context->kernels.shared_rows, product.x->rows());
}

OutlierPlace FindOutliers(const CpuActivation& x, const PackedLayout& layout) {
  const bool one_scale = x.format().group == 0;
  ATOM_CHECK(one_scale || x.format().group == layout.group, "groups of {} times groups of {}",
             x.format().group, layout.group);
  ATOM_CHECK(one_scale || x.two_level() == layout.two_level,
             "two-level scales of groups times fp16 ones");
  if (x.k4() == layout.k4) return {x.outlier_offset, x.groups};
  ATOM_CHECK(one_scale && x.format().outlier_columns == 0, "{} outlier columns times {}",
             x.format().outlier_columns, layout.k8);
  return {layout.k4, 0};
}

void StartSums(const Product& product, int32_t* sums) {
  const PackedLayout& layout = *product.weight->layout;
  const CpuActivation& x = *product.x;
  const int64_t stride = product.starts();
  const bool folded = product.folded();
  const auto start = [&](int64_t chunk, int) {
    const int64_t end = std::min(x.rows(), (chunk + 1) * kSumRows);
    for (int64_t row = chunk * kSumRows; row < end; ++row) {
      product.context->kernels.start_sums(layout, folded, x.CodesRow(row), product.outliers.offset,
                                          sums + row * stride);
    }
  };
  product.context->ParallelFor((x.rows() + kSumRows - 1) / kSumRows, start);
}

bool SameColumns(const PackedLayout& a, const PackedLayout& b) {
  return a.k4 == b.k4 && a.k8 == b.k8 && a.group == b.group && a.two_level == b.two_level;
}

/// The products of one Linear.
class Products {
 public:
  void Add(const Product& product) {
    ATOM_CHECK(count_ < kMost, "more than {} weights side by side", kMost);
    products_[count_++] = product;
  }

  /// Weights whose columns are grouped alike, which they are in all models, share their sums.
  void StartIntegers() {
    ScratchPlan plan;
    std::array<size_t, kMost> offsets{};
    for (size_t i = 0; i < count_; ++i) {
      if (!products_[i].integer()) continue;
      offsets[i] = plan.Add<int32_t>(products_[i].x->rows() * products_[i].starts());
    }
    if (plan.bytes() == 0) return;
    std::byte* base = products_[0].context->workspace.Shared(plan.bytes());
    const Product* before = nullptr;
    for (size_t i = 0; i < count_; ++i) {
      Product& product = products_[i];
      if (!product.integer()) continue;
      product.outliers = FindOutliers(*product.x, *product.weight->layout);
      if (before != nullptr && SameColumns(*before->weight->layout, *product.weight->layout)) {
        product.sums = before->sums;
        continue;
      }
      auto* sums = ScratchAt<int32_t>(base, offsets[i]);
      StartSums(product, sums);
      product.sums = sums;
      before = &product;
    }
  }

  void Run() const {
    const CpuContext& context = *products_[0].context;
    int64_t blocks = 0;
    int64_t floats = 0;
    for (size_t i = 0; i < count_; ++i) {
      blocks += products_[i].grid.count();
      floats = std::max(floats, products_[i].scratch());
    }
    const auto run = [&](int64_t index, int worker) {
      size_t i = 0;
      for (; index >= products_[i].grid.count(); ++i) index -= products_[i].grid.count();
      const BlockScratch places(floats);
      std::byte* base = context.workspace.Of(worker, places.plan.bytes());
      Multiply(products_[i], products_[i].grid[index],
               {ScratchAt<float>(base, places.acc_at), ScratchAt<uint8_t>(base, places.folded_at),
                ScratchAt<int32_t>(base, places.tile_sums_at)});
    };
    context.ParallelFor(blocks, run);
  }

 private:
  static constexpr size_t kMost = kMostWeights;
  std::array<Product, kMost> products_;
  size_t count_ = 0;
};

}  // namespace

ScratchSize LinearScratch(const LinearPlan& linear, int64_t rows) {
  const bool dense = linear.weight_group == 0;
  const BlockScratch worker(BlockFloats(dense, linear.k));
  ScratchPlan shared;
  for (int64_t i = 0; !dense && !linear.input.dense() && i < kMostWeights; ++i) {
    shared.Add<int32_t>(rows * StartsOf(linear.k / linear.weight_group));
  }
  return {.worker = worker.plan.bytes(), .shared = shared.bytes()};
}

void Linear(const CpuContext& context, const CpuActivation& x,
            std::span<const PackedWeight* const> weights, const DeviceTensor& y, OutputMode mode) {
  Products products;
  int64_t column = 0;
  for (const PackedWeight* packed : weights) {
    const CpuWeight& weight = CpuWeight::Of(*packed);
    ATOM_CHECK(x.k() == weight.k(), "{} columns times {}", x.k(), weight.k());
    ATOM_CHECK(weight.layout.has_value() || x.format().dense(),
               "a dense weight, a {}-bit activation", x.format().bits);
    Product product;
    product.context = &context;
    product.x = &x;
    product.weight = &weight;
    product.y = y;
    product.y.data = RowOf(y, 0) + column;
    product.mode = mode;
    product.grid = BlockGrid(x.rows(), weight.panels(), context.pool.threads(), LimitsOf(product));
    products.Add(product);
    column += weight.n();
  }
  ATOM_CHECK(y.rows == x.rows() && y.cols == column, "output {} x {}, expected {} x {}", y.rows,
             y.cols, x.rows(), column);
  products.StartIntegers();
  products.Run();
}

}  // namespace atom::kernels::cpu
