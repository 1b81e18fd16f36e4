// Mixtures of experts: Route, Combine, and GroupedLinear, whose rows are gathered expert by expert,
// so that each expert that was chosen is a product like those of Linear; all blocks of all experts
// are one parallel loop. Weights of experts that nobody chose are not touched. docs/numerics.md,
// section 4.
#include <algorithm>
#include <cstring>
#include <memory>

#include "atom/kernels/cpu/product.h"
#include "atom/kernels/host_routing.h"

namespace atom::kernels::cpu {
namespace {

constexpr int64_t kGatheredRows = 16;  // a task's
constexpr int64_t kTileRows = 16;      // products read whole tiles of codes
constexpr int64_t kMostReaders = 3;    // of a site

/// One GroupedLinear. What it works on lies in the shared scratch: a product for each reader of
/// each expert that was chosen, and the gathered rows in the order of HostRouting::order.
class Grouped {
 public:
  Grouped(const CpuContext& context, const CpuActivation& x, const HostRouting& routing,
          std::span<const PackedWeight* const> weights, const DeviceTensor& y)
      : context_(context),
        x_(x),
        routing_(routing),
        weights_(weights),
        readers_(std::ssize(weights) / routing.experts()) {
    for (int64_t e = 0; e < routing.experts(); ++e) chosen_ += !routing.PairsOf(e).empty();
    for (const PackedWeight* packed : weights) {
      const CpuWeight& weight = CpuWeight::Of(*packed);
      if (weight.layout) starts_ = std::max(starts_, StartsOf(weight.layout->groups));
    }
    Lay();
    AddProducts(y);
  }

  void Run() const {
    const int64_t pairs = routing_.pairs();
    const auto gather = [&](int64_t chunk, int) {
      const int64_t end = std::min(pairs, (chunk + 1) * kGatheredRows);
      for (int64_t place = chunk * kGatheredRows; place < end; ++place) Gather(place);
    };
    context_.ParallelFor((pairs + kGatheredRows - 1) / kGatheredRows, gather);
    RunProducts(context_, {products_, static_cast<size_t>(chosen_ * readers_)});
  }

 private:
  /// Finds room for everything.
  void Lay() {
    const int64_t pairs = routing_.pairs();
    const bool dense = x_.format().dense();
    ScratchPlan plan;
    const size_t products_at = plan.Add<Product>(chosen_ * readers_);
    const size_t ranks_at = plan.Add<int32_t>(routing_.experts());
    const size_t dense_at = plan.Add<float>(dense ? pairs * x_.stride : 0);
    const size_t codes_at = plan.Add<int8_t>(dense ? 0 : (pairs + kTileRows) * x_.codes_stride);
    const size_t scales_at = plan.Add<float>(pairs * x_.scales_stride);
    const size_t sums_at = plan.Add<int32_t>(dense ? 0 : readers_ * pairs * starts_);
    std::byte* base = context_.workspace.Shared(plan.bytes());
    products_ = ScratchAt<Product>(base, products_at);
    ranks_ = ScratchAt<int32_t>(base, ranks_at);
    dense_ = ScratchAt<float>(base, dense_at);
    codes_ = ScratchAt<int8_t>(base, codes_at);
    scales_ = ScratchAt<float>(base, scales_at);
    sums_ = ScratchAt<int32_t>(base, sums_at);
  }

  /// A product for each reader of each chosen expert, experts ascending.
  void AddProducts(const DeviceTensor& y) {
    const auto threads =
        static_cast<int>((context_.pool.threads() + chosen_ - 1) / std::max<int64_t>(chosen_, 1));
    Product* product = products_;
    for (int64_t e = 0; e < routing_.experts(); ++e) {
      const std::span<const int32_t> pairs = routing_.PairsOf(e);
      if (pairs.empty()) continue;
      const int64_t first = routing_.first[static_cast<size_t>(e)];
      ranks_[e] = static_cast<int32_t>((product - products_) / readers_);
      int64_t column = 0;
      for (int64_t reader = 0; reader < readers_; ++reader, ++product) {
        std::construct_at(product);
        product->context = &context_;
        product->x = {&x_, std::ssize(pairs), dense_ + first * x_.stride,
                      codes_ + first * x_.codes_stride, scales_ + first * x_.scales_stride};
        product->weight = &CpuWeight::Of(*weights_[static_cast<size_t>(e * readers_ + reader)]);
        product->y = RowOf(y, 0) + column;
        product->y_stride = y.stride;
        product->y_rows = pairs.data();
        product->Plan(threads);
        column += product->weight->n();
        ATOM_CHECK(column <= y.cols, "output {} wide, expected more", y.cols);
        if (product->integer()) product->sums = Sums(*product, reader, first);
      }
      ATOM_CHECK(column == y.cols, "output {} wide, expected {}", y.cols, column);
    }
  }

  /// Readers whose columns are grouped alike, which they are in all models, share their sums.
  const int32_t* Sums(const Product& product, int64_t reader, int64_t first) const {
    const Product& before = *(&product - (reader > 0 ? 1 : 0));
    if (reader > 0 && before.integer() &&
        SameColumns(*before.weight->layout, *product.weight->layout)) {
      return before.sums;
    }
    return sums_ + (reader * routing_.pairs() + first) * starts_;
  }

  /// The row of a pair, and what its sums start with.
  void Gather(int64_t place) const {
    const int32_t pair = routing_.order[static_cast<size_t>(place)];
    const int64_t row = routing_.InputRow(pair, x_.rows());
    const int64_t expert = routing_.Expert(pair);
    if (x_.format().dense()) {
      std::copy_n(x_.DenseRow(row), x_.stride, dense_ + place * x_.stride);
    } else {
      std::copy_n(x_.CodesRow(row), x_.codes_stride, codes_ + place * x_.codes_stride);
    }
    std::copy_n(x_.ScalesRow(row), x_.scales_stride, scales_ + place * x_.scales_stride);
    const int64_t inside = place - routing_.first[static_cast<size_t>(expert)];
    const Product* product = products_ + ranks_[expert] * readers_;
    const int32_t* before = nullptr;
    for (int64_t reader = 0; reader < readers_; ++reader, ++product) {
      if (!product->integer() || product->sums == before) continue;
      product->StartSums(inside, inside + 1, const_cast<int32_t*>(product->sums));
      before = product->sums;
    }
  }

  const CpuContext& context_;
  const CpuActivation& x_;
  const HostRouting& routing_;
  std::span<const PackedWeight* const> weights_;
  int64_t readers_;
  int64_t chosen_ = 0;              // experts
  int64_t starts_ = kFoldedStarts;  // the most that a row's sums start with
  Product* products_ = nullptr;     // [chosen][readers]
  int32_t* ranks_ = nullptr;        // [experts] of a chosen one among them
  float* dense_ = nullptr;          // [pairs][stride], or
  int8_t* codes_ = nullptr;         // [pairs + kTileRows][codes_stride]
  float* scales_ = nullptr;         // [pairs][scales_stride]
  int32_t* sums_ = nullptr;         // [readers][pairs][starts]
};

}  // namespace

ScratchSize GroupedScratch(const LinearPlan& linear, int64_t rows) {
  const bool dense = linear.weight_group == 0;
  const int64_t pairs = rows * linear.router.top_k;
  const int64_t groups = dense ? 0 : linear.k / linear.weight_group;
  ScratchPlan shared;
  shared.Add<Product>(std::min(linear.router.experts, pairs) * kMostReaders);
  shared.Add<int32_t>(linear.router.experts);
  shared.Add<std::byte>(CpuActivation::Bytes(linear.input, linear.k, pairs + kTileRows));
  shared.Add<int32_t>(kMostReaders * pairs * std::max(StartsOf(groups), kFoldedStarts));
  constexpr size_t kEnds = 2 * kLineSize;  // three arrays of rows, each of whole lines
  return {.worker = ProductScratch(linear.weight_group, linear.k),
          .shared = shared.bytes() + kEnds};
}

void Route(const CpuContext& context, const DeviceTensor& logits, const RouterShape& shape,
           HostRouting& routing) {
  routing.Begin(logits.rows, logits.cols, shape);
  const auto route = [&](int64_t row, int) {
    RouteRow({RowOf(logits, row), static_cast<size_t>(logits.cols)}, shape, routing.RowExperts(row),
             routing.RowWeights(row));
  };
  context.ParallelFor(logits.rows, route);
  routing.Group();
}

void GroupedLinear(const CpuContext& context, const CpuActivation& x, const HostRouting& routing,
                   std::span<const PackedWeight* const> weights, const DeviceTensor& y) {
  routing.CheckGrouped(x.rows(), std::ssize(weights), y.rows);
  if (routing.pairs() > 0) Grouped(context, x, routing, weights, y).Run();
}

void Combine(const CpuContext& context, const DeviceTensor& x, const HostRouting& routing,
             const DeviceTensor& y, OutputMode mode) {
  routing.CheckCombined(x, y);
  const int64_t top_k = routing.top_k();
  const auto combine = [&](int64_t row, int) {
    context.kernels.combine(RowOf(x, row * top_k), x.stride, routing.weight.data() + row * top_k,
                            top_k, y.cols, mode == OutputMode::kAdd, RowOf(y, row));
  };
  context.ParallelFor(y.rows, combine);
}

}  // namespace atom::kernels::cpu
