// Mixtures of experts: Route, GroupedLinear, Combine. What is launched follows from numbers of rows
// alone: who chose whom stays on the device.
#include <algorithm>

#include "atom/core/check.h"
#include "atom/kernels/cuda/backend/cuda_backend.h"
#include "atom/kernels/cuda/backend/cuda_product.h"
#include "atom/kernels/cuda/backend/cuda_routing.h"
#include "atom/kernels/cuda/device/check.h"
#include "atom/kernels/cuda/moe/moe_ops.h"

namespace atom::kernels::cuda {
namespace {

/// K blocks of an activation, whatever they hold.
int64_t BlocksOf(const CudaActivation& x) {
  if (x.format().dense()) return x.dense_layout(x.rows()).blocks();
  const PackedActivationLayout layout = x.code_layout(x.rows());
  return layout.blocks4() + layout.blocks8();
}

/// x by expert, into `to`.
GatherPairsCall GatherOf(const CudaActivation& x, const CudaRouting& routing, std::byte* to) {
  const GatheredRows places(x.format(), x.k(), routing.slots());
  const bool dense = x.format().dense();
  GatherPairsCall call;
  call.slot_pairs = static_cast<const int32_t*>(routing.slot_pairs.data());
  call.slots = static_cast<int>(routing.slots());
  call.pairs_of_row = x.rows() == routing.pairs() ? 1 : static_cast<int>(routing.top_k());
  call.blocks = static_cast<int>(BlocksOf(x));
  call.groups = dense ? 0 : static_cast<int>(GroupScaleRows(x.format(), x.k()));
  call.x = static_cast<const uint8_t*>(x.values.data());
  call.x_rows = x.padded_rows();
  call.tokens = dense ? nullptr : static_cast<const TokenScales*>(x.tokens.data());
  call.group_scales = static_cast<const float*>(x.group_scales.data());
  call.to = reinterpret_cast<uint8_t*>(to);
  call.to_tokens = reinterpret_cast<TokenScales*>(to + places.tokens);
  call.to_group_scales = reinterpret_cast<float*>(to + places.group_scales);
  return call;
}

}  // namespace

std::unique_ptr<ExpertRouting> CudaBackend::MakeRouting(const RouterShape& shape,
                                                        int64_t capacity) {
  if (shape.experts > kMaxExperts) {
    throw DeviceError(fmt::format("{} experts: the CUDA backend has kernels for at most {}",
                                  shape.experts, kMaxExperts));
  }
  auto own = std::make_unique<CudaRouting>(shape, capacity);
  const RoutingSizes sizes(shape, capacity);
  own->chosen = Allocate(static_cast<size_t>(sizes.chosen));
  own->weights = Allocate(static_cast<size_t>(sizes.weights));
  own->expert_rows = Allocate(static_cast<size_t>(sizes.expert_rows));
  own->slot_pairs = Allocate(static_cast<size_t>(sizes.slot_pairs));
  return own;
}

int64_t CudaBackend::RoutingBytes(const RouterShape& shape, int64_t capacity) const {
  return RoutingSizes(shape, capacity).sum();
}

void CudaBackend::HaveGathered(int64_t bytes) {
  if (static_cast<int64_t>(gathered_.bytes()) >= bytes) return;
  Flush();
  Require(stream_.Synchronize());
  ops_.ForgetGraphs();
  gathered_ = {};
  gathered_ = Allocate(static_cast<size_t>(bytes));
}

const GemmWeight* CudaBackend::ExpertTable(std::span<const PackedWeight* const> weights,
                                           size_t readers) {
  ExpertWeights& table = CudaWeight::Of(*weights[0]).experts;
  // Another weight may lie where one of these lay only if it was made since.
  if (table.weights_made == weights_made_ && table.readers == readers &&
      std::ranges::equal(weights, table.list)) {
    return static_cast<const GemmWeight*>(table.device.data());
  }
  for (size_t i = readers; i < weights.size(); ++i) {
    CheckAlike(*weights[i], *weights[i % readers]);
  }
  std::vector<GemmWeight> now;
  now.reserve(weights.size());
  for (const PackedWeight* weight : weights) now.push_back(GemmWeightOf(*weight));
  const auto same = [](const GemmWeight& a, const GemmWeight& b) {
    return a.codes == b.codes && a.rows == b.rows;
  };
  if (!std::ranges::equal(now, table.weights, same)) {
    Flush();  // what reads the old one
    Require(stream_.Synchronize());
    table.device = Copy(std::span<const GemmWeight>(now));
    table.weights = std::move(now);
  }
  table.list.assign(weights.begin(), weights.end());
  table.readers = readers;
  table.weights_made = weights_made_;
  return static_cast<const GemmWeight*>(table.device.data());
}

void CudaBackend::Route(const DeviceTensor& logits, const RouterShape& shape,
                        ExpertRouting& routing) {
  CudaRouting& own = CudaRouting::Of(routing);
  ATOM_CHECK(shape.experts == own.experts() && shape.top_k == own.top_k() &&
                 logits.cols == own.experts() && logits.dtype == DType::kF32,
             "{} logits in fp32, {} of {} experts; the routing was made for {} of {}", logits.cols,
             shape.top_k, shape.experts, own.top_k(), own.experts());
  ATOM_CHECK(logits.rows <= own.capacity(), "{} rows, room for {}", logits.rows, own.capacity());
  own.set_rows(logits.rows);
  RouteCall route;
  route.logits = static_cast<const float*>(logits.data);
  route.stride = logits.stride;
  route.rows = static_cast<int>(logits.rows);
  route.experts = static_cast<int>(own.experts());
  route.top_k = static_cast<int>(own.top_k());
  route.renormalize = shape.renormalize;
  route.chosen = static_cast<uint8_t*>(own.chosen.data());
  route.weights = static_cast<float*>(own.weights.data());
  GroupCall group;
  group.chosen = route.chosen;
  group.pairs = static_cast<int>(own.pairs());
  group.experts = route.experts;
  group.expert_rows = static_cast<ExpertRows*>(own.expert_rows.data());
  group.slot_pairs = static_cast<int32_t*>(own.slot_pairs.data());
  group.slots = static_cast<int>(own.slots());
  const OpKey key({Word(Op::kRoute), Word(logits.data), Word(logits.stride), Word(route.chosen),
                   Word(route.rows, route.experts), Word(route.top_k, route.renormalize)});
  ops_.Add(key, true, [route, group](cudaStream_t stream) -> Status {
    return LaunchRouteAndGroup(route, group, stream);
  });
}

void CudaBackend::GroupedLinear(const PackedActivation& x, const ExpertRouting& routing,
                                std::span<const PackedWeight* const> weights,
                                const DeviceTensor& y) {
  const CudaActivation& activation = CudaActivation::Of(x);
  const CudaRouting& own = CudaRouting::Of(routing);
  ATOM_CHECK(!weights.empty() && std::ssize(weights) % own.experts() == 0,
             "{} weights of {} experts", weights.size(), own.experts());
  ATOM_CHECK(x.rows() == own.rows() || x.rows() == own.pairs(),
             "{} rows of input, {} rows, {} pairs", x.rows(), own.rows(), own.pairs());
  const auto readers = weights.size() / static_cast<size_t>(own.experts());
  GemmDesc desc = DescOf(activation, weights.first(readers), own.slots());
  desc.experts = own.experts();
  ATOM_CHECK(y.rows == own.pairs() && y.cols == desc.total_n() && y.dtype == DType::kF32,
             "output {} x {}, expected {} x {} in fp32", y.rows, y.cols, own.pairs(),
             desc.total_n());
  if (own.pairs() == 0) return;
  if (const std::string why = WhyNotMultiplied(desc, activation, *weights[0]); !why.empty()) {
    throw DeviceError(why);
  }
  HaveGathered(GatheredRows(x.format(), x.k(), own.slots()).bytes);
  const GatherPairsCall gather =
      GatherOf(activation, own, static_cast<std::byte*>(gathered_.data()));
  GemmOperands operands;
  operands.x = reinterpret_cast<const int8_t*>(gather.to);
  operands.tokens = gather.to_tokens;
  operands.group_scales = gather.to_group_scales;
  operands.expert_rows = static_cast<const ExpertRows*>(own.expert_rows.data());
  operands.expert_weights = ExpertTable(weights, readers);
  operands.y_rows = gather.slot_pairs;
  operands.y = y.data;
  operands.y_stride = y.stride;
  const OpKey key({Word(Op::kGroupedLinear), Word(operands.expert_weights),
                   Word(GemmWeightOf(*weights[0]).codes), Word(gather.x), Word(gather.to),
                   Word(gather.slot_pairs), Word(x.rows()), Word(own.rows()), Word(y.data),
                   Word(y.stride)});
  const GemmDevice device = gemm_device();
  const SpreadTokenScalesCall spread = SpreadOf(activation, desc);
  ops_.Add(key, true, [=](cudaStream_t stream) -> Status {
    if (Status status =
            Check(EnqueueSpreadTokenScales(spread, stream), "launch the scales of tokens");
        !status.ok()) {
      return status;
    }
    if (Status status = LaunchGatherPairs(gather, stream); !status.ok()) return status;
    const GemmLaunch launch = {.stream = stream, .overlap_previous = kOverlap};
    return LaunchGemm(desc, ChooseGemm(desc, device), operands, launch);
  });
}

void CudaBackend::Combine(const DeviceTensor& x, const ExpertRouting& routing,
                          const DeviceTensor& y, OutputMode mode) {
  const CudaRouting& own = CudaRouting::Of(routing);
  ATOM_CHECK(x.rows == own.pairs() && y.rows == own.rows() && x.cols == y.cols &&
                 x.dtype == DType::kF32 && y.dtype == DType::kF32,
             "{} x {} onto {} x {} in fp32, {} of {} experts", x.rows, x.cols, y.rows, y.cols,
             own.top_k(), own.experts());
  CombineCall call;
  call.x = static_cast<const float*>(x.data);
  call.x_stride = x.stride;
  call.weights = static_cast<const float*>(own.weights.data());
  call.y = static_cast<float*>(y.data);
  call.y_stride = y.stride;
  call.rows = static_cast<int>(y.rows);
  call.cols = static_cast<int>(y.cols);
  call.top_k = static_cast<int>(own.top_k());
  call.add = mode == OutputMode::kAdd;
  const OpKey key({Word(Op::kCombine), Word(call.x), Word(call.x_stride), Word(call.weights),
                   Word(call.y), Word(call.y_stride), Word(call.rows, call.cols),
                   Word(call.top_k, call.add)});
  ops_.Add(key, true, [call](cudaStream_t stream) { return LaunchCombine(call, stream); });
}

}  // namespace atom::kernels::cuda
