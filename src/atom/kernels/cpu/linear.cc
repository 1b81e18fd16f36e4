// Linear, and the blocks of its products (product.h), those of several weights one after another.
// docs/numerics.md, section 3.
#include <algorithm>
#include <array>
#include <optional>

#include "atom/kernels/cpu/product.h"

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
// Codes of others become values in scratch: a slab as above, or, where few rows pass over them, as
// much as the nearest cache holds.
constexpr int64_t kFewRows = 4;
constexpr int64_t kFewRowsInputs = 64;
constexpr int64_t kFewRowsPanels = 2;

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

/// Bytes of a panel's weights as bytes: groups in whole tiles of 16 lines, at least a piece of
/// those that are folded, and the outliers.
int64_t UnpackedBytes(int64_t k, int64_t group) {
  constexpr int64_t kTileLines = 16;
  const auto whole = [](int64_t lines) {
    return (lines + kTileLines - 1) / kTileLines * kTileLines;
  };
  // No groups: outliers alone.
  const int64_t groups = group == 0 ? whole(k / 4) : (k / group + 1) * whole(group / 4 + 2);
  return (groups + kFoldedDwords + 2 * kTileLines) * kPanelOutputs * 4;
}

/// What a thread has for a block.
struct BlockScratch {
  BlockScratch(int64_t floats, int64_t unpacked, int64_t values)
      : folded_at(plan.Add<uint8_t>(std::max(unpacked, kFoldedBytes))),
        tile_sums_at(plan.Add<int32_t>(kTileSums)),
        values_at(plan.Add<float>(values)),
        acc_at(plan.Add<float>(floats)) {}
  ScratchPlan plan;
  size_t folded_at;
  size_t tile_sums_at;
  size_t values_at;
  size_t acc_at;
};

constexpr int64_t kMostWeights = 3;  // side by side

/// Where the sums of a block go; `acc` is left to whoever has them.
OutputBlock OutputOf(const Product& product, const Block& block) {
  const int64_t column = block.first_panel * kPanelOutputs;
  const std::vector<float>& bias = product.weight->bias;
  OutputBlock out;
  out.rows = block.rows;
  out.columns = std::min(block.panels * kPanelOutputs, product.weight->n() - column);
  out.bias = bias.empty() ? nullptr : bias.data() + column;
  out.y = product.y + column;
  out.y_stride = product.y_stride;
  if (product.y_rows == nullptr) {
    out.y += block.first_row * product.y_stride;
  } else {
    out.y_rows = product.y_rows + block.first_row;
  }
  out.add = product.mode == OutputMode::kAdd;
  return out;
}

/// Rows of the block past a slab of weights, inputs [slab, slab + part.k) of its panels; then,
/// behind the last one, to where they go.
template <class W>
void StreamRows(const Product& product, void (*kernel)(const DenseBlock<W>&), const Block& block,
                int64_t slab, DenseBlock<W> part, float* acc) {
  part.x_stride = product.x.format->stride;
  part.panels = block.panels;
  part.resume = slab > 0;
  for (int64_t row = 0; row < block.rows; row += kStreamRows) {
    part.rows = std::min(kStreamRows, block.rows - row);
    part.x = product.x.DenseRow(block.first_row + row) + slab;
    part.acc = acc + row * part.acc_stride;
    kernel(part);
    if (slab + part.k < product.weight->k()) continue;
    OutputBlock out =
        OutputOf(product, {block.first_row + row, part.rows, block.first_panel, block.panels});
    out.acc = part.acc;
    out.acc_stride = part.acc_stride;
    product.context->kernels.write_output(out);
  }
}

template <class W>
void MultiplyDense(const Product& product, void (*kernel)(const DenseBlock<W>&), const Block& block,
                   float* acc) {
  const int64_t k = product.weight->k();
  DenseBlock<W> part;
  part.panel_stride = k * kPanelOutputs;
  part.acc_stride = block.panels * kPanelOutputs;
  const W* panels = product.weight->data.As<W>() + block.first_panel * part.panel_stride;
  for (int64_t slab = 0; slab < k; slab += kSlabInputs) {
    part.w = panels + slab * kPanelOutputs;
    part.k = std::min(kSlabInputs, k - slab);
    StreamRows(product, kernel, block, slab, part, acc);
  }
}

/// In the tables of kernels.
size_t FormatOf(const CodeLayout& layout) { return layout.bits == 4 ? 0 : 1; }

const int32_t* GroupsOf(const CpuWeight& weight) {
  return weight.groups_of.empty() ? nullptr : weight.groups_of.data();
}

/// Values of inputs [slab, slab + inputs) of the block's panels, a panel after the other.
void WriteValues(const Product& product, const Block& block, int64_t slab, int64_t inputs,
                 float* values) {
  const CpuWeight& weight = *product.weight;
  const CodeLayout& layout = *weight.codes;
  CodeBlock codes;
  codes.layout = &layout;
  codes.groups_of = GroupsOf(weight);
  codes.first = slab;
  codes.end = slab + inputs;
  const auto write =
      product.context->kernels.code_values[FormatOf(layout)][static_cast<size_t>(layout.kind)];
  for (int64_t panel = 0; panel < block.panels; ++panel) {
    codes.panel = weight.data.As<uint8_t>() + (block.first_panel + panel) * layout.panel_bytes;
    codes.out = values + panel * inputs * kPanelOutputs;
    write(codes);
  }
}

/// One row: scratch would not be worth its while.
void MultiplyCodeRow(const Product& product, const Block& block, float* acc) {
  const CpuWeight& weight = *product.weight;
  const CodeLayout& layout = *weight.codes;
  const KernelTable& kernels = product.context->kernels;
  CodeRow row;
  row.layout = &layout;
  row.panels = weight.data.As<uint8_t>() + block.first_panel * layout.panel_bytes;
  row.count = block.panels;
  row.groups_of = GroupsOf(weight);
  row.x = product.x.DenseRow(block.first_row);
  row.acc = acc;
  kernels.code_row[FormatOf(layout)][static_cast<size_t>(layout.kind)](row);
  OutputBlock out = OutputOf(product, block);
  out.acc = acc;
  out.acc_stride = block.panels * kPanelOutputs;
  kernels.write_output(out);
}

/// Codes of others: the dense product, of values that are in scratch.
void MultiplyCodes(const Product& product, const Block& block, float* acc, float* values) {
  if (block.rows == 1) return MultiplyCodeRow(product, block, acc);
  const int64_t k = product.weight->k();
  const bool few = block.rows <= kFewRows;
  const int64_t inputs = few ? kFewRowsInputs : kSlabInputs;
  const int64_t panels = few ? kFewRowsPanels : block.panels;
  for (int64_t panel = 0; panel < block.panels; panel += panels) {
    const Block some{block.first_row, block.rows, block.first_panel + panel,
                     std::min(panels, block.panels - panel)};
    for (int64_t slab = 0; slab < k; slab += inputs) {
      DenseBlock<float> part;
      part.k = std::min(inputs, k - slab);
      WriteValues(product, some, slab, part.k, values);
      part.w = values;
      part.panel_stride = part.k * kPanelOutputs;
      part.acc_stride = block.panels * kPanelOutputs;
      StreamRows(product, product.context->kernels.dense_f32, some, slab, part,
                 acc + panel * kPanelOutputs);
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
  float* values;
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

void SetScales(const InputRows& x, int64_t first_row, PackedBlock& packed) {
  packed.scales = x.ScalesRow(first_row);
  packed.scales_stride = x.format->scales_stride;
}

/// W4A16, and fake-quantized activations of a packed artifact.
void MultiplyWeightOnly(const Product& product, const Block& block, float* acc) {
  PackedBlock packed = MakePackedBlock(product, block, acc);
  const CpuActivation& format = *product.x.format;
  packed.x = product.x.DenseRow(block.first_row);
  packed.x_stride = format.stride;
  const bool simulated = format.format().simulated;
  if (simulated) SetScales(product.x, block.first_row, packed);
  const KernelTable& kernels = product.context->kernels;
  (simulated ? kernels.packed_simulated : kernels.packed_float)(packed);
}

void MultiplyIntegers(const Product& product, const Block& block, Scratch scratch) {
  const InputRows& x = product.x;
  const KernelTable& kernels = product.context->kernels;
  PackedBlock packed = MakePackedBlock(product, block, scratch.acc);
  packed.codes = x.CodesRow(block.first_row);
  packed.codes_stride = x.format->codes_stride;
  packed.outlier_offset = product.outliers.offset;
  SetScales(x, block.first_row, packed);
  packed.scale_step = x.format->format().group == 0 ? 0 : 1;
  packed.outlier_scale = product.outliers.scale;
  packed.sums_stride = product.starts();
  packed.sums = product.sums + block.first_row * packed.sums_stride;
  if (product.shared()) packed.folded = scratch.folded;
  packed.tile_sums = scratch.tile_sums;
  (product.two_level() ? kernels.packed_two_level : kernels.packed_integer)(packed);
}

void Multiply(const Product& product, const Block& block, Scratch scratch) {
  if (product.weight->codes) return MultiplyCodes(product, block, scratch.acc, scratch.values);
  if (product.dense()) return MultiplyDense(product, block, scratch.acc);
  if (product.integer()) return MultiplyIntegers(product, block, scratch);
  MultiplyWeightOnly(product, block, scratch.acc);
}

BlockLimits LimitsOf(const Product& product) {
  if (product.dense()) return DenseLimits(product.weight->k());
  const PackedLayout& layout = *product.weight->layout;
  if (!product.shared()) return PackedLimits(layout);
  return SharedLimits(layout, product.context->kernels.shared_rows, product.x.count);
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
      offsets[i] = plan.Add<int32_t>(products_[i].x.count * products_[i].starts());
    }
    if (plan.bytes() == 0) return;
    std::byte* base = products_[0].context->workspace.Shared(plan.bytes());
    const Product* before = nullptr;
    for (size_t i = 0; i < count_; ++i) {
      Product& product = products_[i];
      if (!product.integer()) continue;
      if (before != nullptr && SameColumns(*before->weight->layout, *product.weight->layout)) {
        product.sums = before->sums;
        continue;
      }
      auto* sums = ScratchAt<int32_t>(base, offsets[i]);
      StartAll(product, sums);
      product.sums = sums;
      before = &product;
    }
  }

  std::span<const Product> all() const { return {products_.data(), count_}; }

 private:
  static void StartAll(const Product& product, int32_t* sums) {
    const int64_t rows = product.x.count;
    const auto start = [&](int64_t chunk, int) {
      product.StartSums(chunk * kSumRows, std::min(rows, (chunk + 1) * kSumRows), sums);
    };
    product.context->ParallelFor((rows + kSumRows - 1) / kSumRows, start);
  }

  static constexpr size_t kMost = kMostWeights;
  std::array<Product, kMost> products_;
  size_t count_ = 0;
};

}  // namespace

void Product::Plan(int threads) {
  ATOM_CHECK(x.format->k() == weight->k(), "{} columns times {}", x.format->k(), weight->k());
  ATOM_CHECK(!dense() || x.format->format().dense(), "a dense weight, a {}-bit activation",
             x.format->format().bits);
  grid = BlockGrid(x.count, weight->panels(), threads, LimitsOf(*this));
  if (integer()) outliers = FindOutliers(*x.format, *weight->layout);
}

void Product::StartSums(int64_t first, int64_t end, int32_t* to) const {
  for (int64_t row = first; row < end; ++row) {
    context->kernels.start_sums(*weight->layout, folded(), x.CodesRow(row), outliers.offset,
                                to + row * starts());
  }
}

bool SameColumns(const PackedLayout& a, const PackedLayout& b) {
  return a.k4 == b.k4 && a.k8 == b.k8 && a.group == b.group && a.two_level == b.two_level;
}

void RunProducts(const CpuContext& context, std::span<const Product> products) {
  int64_t blocks = 0;
  int64_t floats = 0;
  int64_t unpacked = 0;
  int64_t values = 0;
  for (const Product& product : products) {
    const int64_t k = product.weight->k();
    blocks += product.grid.count();
    floats = std::max(floats, BlockFloats(product.dense(), k));
    if (product.weight->codes) values = kSlabElements;
    if (product.shared()) {
      unpacked = std::max(unpacked, UnpackedBytes(k, product.weight->layout->group));
    }
  }
  const auto run = [&](int64_t index, int worker) {
    const Product* product = products.data();
    for (; index >= product->grid.count(); ++product) index -= product->grid.count();
    const BlockScratch places(floats, unpacked, values);
    std::byte* base = context.workspace.Of(worker, places.plan.bytes());
    Multiply(*product, product->grid[index],
             {ScratchAt<float>(base, places.acc_at), ScratchAt<float>(base, places.values_at),
              ScratchAt<uint8_t>(base, places.folded_at),
              ScratchAt<int32_t>(base, places.tile_sums_at)});
  };
  context.ParallelFor(blocks, run);
}

size_t ProductScratch(int64_t weight_group, int64_t k) {
  const bool dense = weight_group == 0;
  // A dense weight may be the codes of others.
  return BlockScratch(BlockFloats(dense, k), dense ? 0 : UnpackedBytes(k, weight_group),
                      dense ? kSlabElements : 0)
      .plan.bytes();
}

ScratchSize LinearScratch(const LinearPlan& linear, int64_t rows) {
  const bool dense = linear.weight_group == 0;
  ScratchPlan shared;
  for (int64_t i = 0; !dense && !linear.input.dense() && i < kMostWeights; ++i) {
    shared.Add<int32_t>(rows * StartsOf(linear.k / linear.weight_group));
  }
  return {.worker = ProductScratch(linear.weight_group, linear.k), .shared = shared.bytes()};
}

void Linear(const CpuContext& context, const CpuActivation& x,
            std::span<const PackedWeight* const> weights, const DeviceTensor& y, OutputMode mode) {
  Products products;
  int64_t column = 0;
  for (const PackedWeight* packed : weights) {
    Product product;
    product.context = &context;
    product.x = InputRows::AllOf(x);
    product.weight = &CpuWeight::Of(*packed);
    product.y = RowOf(y, 0) + column;
    product.y_stride = y.stride;
    product.mode = mode;
    product.Plan(context.pool.threads());
    products.Add(product);
    column += product.weight->n();
  }
  ATOM_CHECK(y.rows == x.rows() && y.cols == column, "output {} x {}, expected {} x {}", y.rows,
             y.cols, x.rows(), column);
  products.StartIntegers();
  RunProducts(context, products.all());
}

}  // namespace atom::kernels::cpu
