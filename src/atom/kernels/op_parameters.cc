#include "atom/kernels/op_parameters.h"

#include <array>
#include <cmath>

namespace atom::kernels {
namespace {

constexpr std::array<std::string_view, 2> kNormKindNames = {"rms", "layer"};
constexpr std::array<std::string_view, kActivationFunctions> kActivationNames = {
    "silu", "gelu", "gelu_tanh", "relu"};

}  // namespace

std::string_view Name(NormKind kind) { return kNormKindNames.at(static_cast<size_t>(kind)); }

std::string_view Name(ActivationFunction function) {
  return kActivationNames.at(static_cast<size_t>(function));
}

float AttentionShape::ScoreDivisor() const {
  return score_divisor != 0.0f ? score_divisor : std::sqrt(static_cast<float>(head_dim));
}

}  // namespace atom::kernels
