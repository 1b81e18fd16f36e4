// Linear: which GEMM computes it.
#include "atom/core/check.h"
#include "atom/kernels/cuda/backend/cuda_backend.h"
#include "atom/kernels/cuda/device/check.h"
#include "atom/kernels/cuda/gemm/gemm_choice.h"
#include "atom/kernels/cuda/rows/token_scales.h"

namespace atom::kernels::cuda {
namespace {

GemmRecipe RecipeOf(const CudaActivation& x, const CudaWeight& w) {
  const quant::ActivationFormat& format = x.format();
  if (w.is_dense()) {
    ATOM_CHECK(format.dense(), "a dense weight, a {}-bit activation", format.bits);
    return GemmRecipe::kDense;
  }
  if (format.dense()) return GemmRecipe::kW4A16;
  if (w.layout.k4 == 0) {
    ATOM_CHECK(format.group == 0 && format.outlier_columns == 0,
               "8-bit weights times activations in groups of {} with {} outliers", format.group,
               format.outlier_columns);
    return GemmRecipe::kInt8;
  }
  ATOM_CHECK(format.group == 0 || format.group == w.layout.group, "groups of {} times groups of {}",
             format.group, w.layout.group);
  ATOM_CHECK(x.k4() == w.layout.k4 || (format.group == 0 && format.outlier_columns == 0),
             "{} outlier columns times {}", format.outlier_columns, w.layout.k8);
  const bool two_level = format.scales == quant::ScaleFormat::kTwoLevel;
  if (w.layout.scale == GroupScale::kInteger) {
    ATOM_CHECK(two_level || format.group == 0, "two-level weights times groups with fp16 scales");
    return GemmRecipe::kInteger;
  }
  ATOM_CHECK(!two_level, "two-level activations times weights with fp16 scales");
  return GemmRecipe::kGroup;
}

/// Empty, or a sentence: columns of x lie where those of the weight do. K blocks of codes begin
/// anew behind the low-bit columns of either, those of 16-bit values go on.
std::string WhyNotAligned(const CudaActivation& x, const CudaWeight& w) {
  const int64_t k4 = w.is_dense() ? 0 : w.layout.k4;
  if (x.format().dense()) {
    if (k4 % kDenseColumns == 0) return "";
    return fmt::format("16-bit activations times {} 4-bit columns: a multiple of {} is needed", k4,
                       kDenseColumns);
  }
  const bool consecutive = x.k4() % kBlockColumns == 0 || x.k4() == x.k();
  if (x.k4() == k4 || (consecutive && k4 % kBlockColumns == 0)) return "";
  return fmt::format(
      "{} low-bit columns of activations times {} of weights: where they differ, the CUDA backend "
      "has kernels for multiples of {}",
      x.k4(), k4, kBlockColumns);
}

/// The fused quantizer of rotated rows leaves a token's scale once; nothing to do elsewhere.
SpreadTokenScalesCall SpreadOf(const CudaActivation& x, const GemmDesc& desc) {
  if (desc.recipe != GemmRecipe::kGroup || x.format().group != 0 || x.format().hadamard == 0) {
    return {};
  }
  return {.tokens = static_cast<const TokenScales*>(x.tokens.data()),
          .rows = x.rows(),
          .padded = x.padded_rows(),
          .groups = static_cast<int>(GroupScaleRows(x.format(), x.k())),
          .to = static_cast<float*>(x.group_scales.data())};
}

/// A GEMM may fetch weights while the op before it ends.
constexpr bool kOverlap = true;

}  // namespace

GemmDevice CudaBackend::gemm_device() const {
  return {.multiprocessors = device_.multiprocessors,
          .shared_bytes = device_.shared_bytes_per_block};
}

void CudaBackend::HaveHandover() {
  if (handover_.bytes() > 0) return;
  handover_ = Allocate(static_cast<size_t>(HandoverBytes(device_.multiprocessors)));
}

void CudaBackend::Linear(const PackedActivation& x, std::span<const PackedWeight* const> weights,
                         const DeviceTensor& y, OutputMode mode) {
  const CudaActivation& activation = CudaActivation::Of(x);
  ATOM_CHECK(!weights.empty() && weights.size() <= kMaxSegments, "{} weights side by side",
             weights.size());
  const CudaWeight& first = CudaWeight::Of(*weights[0]);
  GemmDesc desc;
  desc.recipe = RecipeOf(activation, first);
  desc.m = y.rows;
  desc.k4 = first.is_dense() ? 0 : first.layout.k4;
  desc.k8 = first.is_dense() ? first.dense.k : first.layout.k8;
  desc.group = first.is_dense() ? 0 : first.layout.group;
  desc.output = GemmOutput::kFloat;
  desc.add = mode == OutputMode::kAdd;
  GemmOperands operands;
  for (size_t i = 0; i < weights.size(); ++i) {
    const CudaWeight& weight = CudaWeight::Of(*weights[i]);
    ATOM_CHECK(weight.k() == x.k() && weight.is_dense() == first.is_dense() &&
                   weight.layout.k4 == first.layout.k4 && weight.layout.group == first.layout.group,
               "weights side by side have different shapes");
    desc.n[i] = weight.n();
    operands.weights[i] = {static_cast<const uint8_t*>(weight.codes.data()),
                           static_cast<const RowScales*>(weight.rows.data())};
  }
  ATOM_CHECK(y.rows == x.rows() && y.cols == desc.total_n() && y.dtype == DType::kF32,
             "output {} x {}, expected {} x {} in fp32", y.rows, y.cols, x.rows(), desc.total_n());
  operands.x = static_cast<const int8_t*>(activation.values.data());
  operands.tokens = static_cast<const TokenScales*>(activation.tokens.data());
  operands.group_scales = static_cast<const float*>(activation.group_scales.data());
  operands.handover = handover_.data();
  operands.y = y.data;
  operands.y_stride = y.stride;
  if (desc.m == 0) return;
  if (const std::string why = WhyNotChosen(desc); !why.empty()) throw DeviceError(why);
  if (const std::string why = WhyNotAligned(activation, first); !why.empty())
    throw DeviceError(why);
  // The rest follows from the weights, which their codes stand for, and the activation.
  const OpKey key({Word(Op::kLinear), Word(operands.weights[0].codes),
                   Word(operands.weights[1].codes), Word(operands.weights[2].codes),
                   Word(operands.weights[0].rows), Word(operands.x), Word(desc.m),
                   Word(static_cast<int>(desc.recipe), static_cast<int>(mode)), Word(y.data),
                   Word(y.stride)});
  const GemmDevice device = gemm_device();
  const SpreadTokenScalesCall spread = SpreadOf(activation, desc);
  ops_.Add(key, true, [=](cudaStream_t stream) -> Status {
    const Status copied =
        Check(EnqueueSpreadTokenScales(spread, stream), "launch the scales of tokens");
    if (!copied.ok()) return copied;
    const GemmLaunch launch = {.stream = stream, .overlap_previous = kOverlap};
    return LaunchGemm(desc, ChooseGemm(desc, device), operands, launch);
  });
}

}  // namespace atom::kernels::cuda
