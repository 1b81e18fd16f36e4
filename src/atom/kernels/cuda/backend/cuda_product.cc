#include "atom/kernels/cuda/backend/cuda_product.h"

#include <fmt/format.h>

#include "atom/core/check.h"

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

}  // namespace

GemmDesc DescOf(const CudaActivation& x, std::span<const PackedWeight* const> weights,
                int64_t rows) {
  ATOM_CHECK(!weights.empty() && weights.size() <= kMaxSegments, "{} weights side by side",
             weights.size());
  const CudaWeight& first = CudaWeight::Of(*weights[0]);
  GemmDesc desc;
  desc.recipe = RecipeOf(x, first);
  desc.m = rows;
  desc.k4 = first.is_dense() ? 0 : first.layout.k4;
  desc.k8 = first.is_dense() ? first.dense.k : first.layout.k8;
  desc.group = first.is_dense() ? 0 : first.layout.group;
  desc.output = GemmOutput::kFloat;
  for (size_t i = 0; i < weights.size(); ++i) {
    const CudaWeight& weight = CudaWeight::Of(*weights[i]);
    ATOM_CHECK(weight.k() == x.k() && weight.is_dense() == first.is_dense() &&
                   weight.layout.k4 == first.layout.k4 && weight.layout.group == first.layout.group,
               "weights side by side have different shapes");
    desc.n[i] = weight.n();
  }
  return desc;
}

void CheckAlike(const PackedWeight& a, const PackedWeight& b) {
  const CudaWeight& x = CudaWeight::Of(a);
  const CudaWeight& y = CudaWeight::Of(b);
  ATOM_CHECK(x.n() == y.n() && x.k() == y.k() && x.is_dense() == y.is_dense() &&
                 x.layout.k4 == y.layout.k4 && x.layout.group == y.layout.group &&
                 x.layout.scale == y.layout.scale,
             "the weights of two experts have different shapes");
}

GemmWeight GemmWeightOf(const PackedWeight& weight) {
  const CudaWeight& own = CudaWeight::Of(weight);
  return {static_cast<const uint8_t*>(own.codes.data()),
          static_cast<const RowScales*>(own.rows.data())};
}

std::string WhyNotMultiplied(const GemmDesc& desc, const CudaActivation& x,
                             const PackedWeight& first) {
  if (std::string why = WhyNotChosen(desc); !why.empty()) return why;
  return WhyNotAligned(x, CudaWeight::Of(first));
}

// The fused quantizer of rotated rows leaves a token's scale once; nothing to do elsewhere.
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

}  // namespace atom::kernels::cuda
