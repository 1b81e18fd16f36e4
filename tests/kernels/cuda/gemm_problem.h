// A GEMM with random operands: on the host as plain matrices, on the device in the kernels'
// layouts, and a scalar reference in the order of docs/numerics.md, section 3, that shares no code
// with either.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "atom/core/half.h"
#include "atom/core/rng.h"
#include "atom/kernels/cuda/gemm/gemm.h"

#include "tests/kernels/cuda/cuda_test.h"

namespace atom::kernels::cuda {

/// One weight: codes as integers, scales beside them.
struct HostWeight {
  int64_t n = 0;
  std::vector<int8_t> codes;         ///< [N][K4 + K8]
  std::vector<uint8_t> multipliers;  ///< [groups][N], kInteger
  std::vector<Half> group_scales;    ///< [groups][N], kGroup
  std::vector<RowScales> rows;       ///< [N rounded up to 64]
};

struct HostProblem {
  GemmDesc desc;
  std::vector<HostWeight> weights;
  std::vector<int8_t> x;                  ///< [M][K4 + K8]
  std::vector<TokenScales> tokens;        ///< [M8]
  std::vector<float> token_group_scales;  ///< [groups][M8], kGroup

  int64_t groups() const { return desc.k4 == 0 ? 0 : (desc.group == 0 ? 1 : desc.k4 / desc.group); }
  int64_t group_size() const { return desc.group == 0 ? desc.k4 : desc.group; }
  int64_t m8() const { return (desc.m + 7) / 8 * 8; }
  GroupScale group_scale() const {
    return desc.recipe == GemmRecipe::kGroup ? GroupScale::kHalf : GroupScale::kInteger;
  }
};

inline HostWeight RandomWeight(const HostProblem& problem, int64_t n, Rng& rng, bool bias) {
  const GemmDesc& desc = problem.desc;
  HostWeight w;
  w.n = n;
  w.codes.resize(static_cast<size_t>(n * desc.k()));
  for (size_t i = 0; i < w.codes.size(); ++i) {
    const bool low = static_cast<int64_t>(i) % desc.k() < desc.k4;
    const int byte = static_cast<int8_t>(rng.Next() >> 56);
    w.codes[i] = static_cast<int8_t>(low ? byte >> 4 : byte);
  }
  const auto scales = static_cast<size_t>(problem.groups() * n);
  if (desc.recipe == GemmRecipe::kInteger) {
    w.multipliers.resize(scales);
    for (auto& k : w.multipliers) k = static_cast<uint8_t>(1 + rng.Below(15));
  } else if (desc.recipe == GemmRecipe::kGroup) {
    w.group_scales.resize(scales);
    for (auto& s : w.group_scales) s = ToHalf(static_cast<float>(0.002 + 0.01 * rng.Uniform()));
  }
  w.rows.resize(static_cast<size_t>((n + 63) / 64 * 64));
  for (RowScales& row : w.rows) {
    row.scale = static_cast<float>(0.0005 + 0.001 * rng.Uniform());
    row.outlier_scale = static_cast<float>(0.0005 + 0.001 * rng.Uniform());
    row.bias = bias ? static_cast<float>(rng.Normal()) : 0.0f;
  }
  return w;
}

inline HostProblem RandomProblem(const GemmDesc& desc, uint64_t seed, bool bias = false) {
  Rng rng(seed);
  HostProblem p;
  p.desc = desc;
  for (int i = 0; i < desc.segments(); ++i) {
    p.weights.push_back(RandomWeight(p, desc.n[static_cast<size_t>(i)], rng, bias));
  }
  p.x.resize(static_cast<size_t>(desc.m * desc.k()));
  p.tokens.resize(static_cast<size_t>(p.m8()));
  for (int64_t m = 0; m < desc.m; ++m) {
    TokenScales& token = p.tokens[static_cast<size_t>(m)];
    token.scale = static_cast<float>(0.001 + 0.01 * rng.Uniform());
    token.outlier_scale = static_cast<float>(0.001 + 0.01 * rng.Uniform());
    int k = 1;
    for (int64_t c = 0; c < desc.k(); ++c) {
      if (c % 32 == 0) k = static_cast<int>(1 + rng.Below(15));
      const int byte = static_cast<int8_t>(rng.Next() >> 56);
      int value = byte;
      if (c < desc.k4) value = desc.recipe == GemmRecipe::kInteger ? (byte >> 4) * k : byte >> 4;
      p.x[static_cast<size_t>(m * desc.k() + c)] = static_cast<int8_t>(value);
      if (c < desc.k4) token.sum += value;
    }
  }
  p.token_group_scales.resize(
      static_cast<size_t>(desc.recipe == GemmRecipe::kGroup ? p.groups() * p.m8() : 0));
  for (float& s : p.token_group_scales) {
    s = ToFloat(ToHalf(static_cast<float>(0.01 + 0.05 * rng.Uniform())));
  }
  return p;
}

/// Y's row of token m before it is rounded or added: fp32, N values, weights side by side.
inline std::vector<float> ReferenceRow(const HostProblem& p, int64_t m) {
  const GemmDesc& desc = p.desc;
  const int8_t* x = &p.x[static_cast<size_t>(m * desc.k())];
  const TokenScales& token = p.tokens[static_cast<size_t>(m)];
  std::vector<float> y;
  for (const HostWeight& weight : p.weights) {
    for (int64_t n = 0; n < weight.n; ++n) {
      const int8_t* w = &weight.codes[static_cast<size_t>(n * desc.k())];
      const RowScales& row = weight.rows[static_cast<size_t>(n)];
      float acc = 0;
      int32_t whole = 0;
      for (int64_t g = 0; g < p.groups(); ++g) {
        const auto scale = static_cast<size_t>(g * weight.n + n);
        int32_t sum = 0;
        for (int64_t k = g * p.group_size(); k < (g + 1) * p.group_size(); ++k) sum += w[k] * x[k];
        if (desc.recipe == GemmRecipe::kInteger) {
          whole += sum * weight.multipliers[scale];
        } else {
          const float token_scale = p.token_group_scales[static_cast<size_t>(g * p.m8() + m)];
          acc = std::fma(static_cast<float>(sum), token_scale * ToFloat(weight.group_scales[scale]),
                         acc);
        }
      }
      if (desc.recipe == GemmRecipe::kInteger) {
        acc = static_cast<float>(whole) * (token.scale * row.scale);
      }
      int32_t outliers = 0;
      for (int64_t k = desc.k4; k < desc.k(); ++k) outliers += w[k] * x[k];
      if (desc.k8 > 0) {
        acc = std::fma(static_cast<float>(outliers), token.outlier_scale * row.outlier_scale, acc);
      }
      y.push_back(acc + row.bias);
    }
  }
  return y;
}

/// The operands on the device.
class DeviceProblem {
 public:
  explicit DeviceProblem(const HostProblem& p) : desc_(p.desc) {
    for (const HostWeight& weight : p.weights) {
      codes_.push_back(std::make_unique<DeviceArray<uint8_t>>(Packed(p, weight)));
      rows_.push_back(std::make_unique<DeviceArray<RowScales>>(weight.rows));
    }
    const PackedActivationLayout layout{p.desc.m, p.desc.k4, p.desc.k8};
    std::vector<int8_t> x(static_cast<size_t>(layout.bytes()));
    PackActivation(layout, p.x, x);
    x_ = std::make_unique<DeviceArray<int8_t>>(x);
    tokens_ = std::make_unique<DeviceArray<TokenScales>>(p.tokens);
    if (!p.token_group_scales.empty()) {
      group_scales_ = std::make_unique<DeviceArray<float>>(p.token_group_scales);
    }
  }

  GemmOperands Operands(void* y, int64_t y_stride) const {
    GemmOperands operands;
    for (size_t i = 0; i < codes_.size(); ++i) {
      operands.weights[i] = {codes_[i]->data(), rows_[i]->data()};
    }
    operands.x = x_->data();
    operands.tokens = tokens_->data();
    operands.group_scales = group_scales_ ? group_scales_->data() : nullptr;
    operands.y = y;
    operands.y_stride = y_stride;
    return operands;
  }

 private:
  static std::vector<uint8_t> Packed(const HostProblem& p, const HostWeight& weight) {
    const GemmDesc& desc = p.desc;
    const PackedWeightLayout layout{weight.n, desc.k4, desc.k8, desc.group, p.group_scale()};
    std::vector<uint8_t> codes4(static_cast<size_t>(weight.n * desc.k4 / 2));
    std::vector<int8_t> codes8;
    for (int64_t n = 0; n < weight.n; ++n) {
      const int8_t* row = &weight.codes[static_cast<size_t>(n * desc.k())];
      for (int64_t k = 0; k < desc.k4; k += 2) {
        codes4[static_cast<size_t>((n * desc.k4 + k) / 2)] =
            static_cast<uint8_t>((row[k] & 15) | (row[k + 1] & 15) << 4);
      }
      codes8.insert(codes8.end(), row + desc.k4, row + desc.k());
    }
    std::vector<uint8_t> packed(static_cast<size_t>(layout.bytes()));
    PackWeight(layout, {codes4, weight.multipliers, weight.group_scales, codes8}, packed);
    return packed;
  }

  GemmDesc desc_;
  std::vector<std::unique_ptr<DeviceArray<uint8_t>>> codes_;
  std::vector<std::unique_ptr<DeviceArray<RowScales>>> rows_;
  std::unique_ptr<DeviceArray<int8_t>> x_;
  std::unique_ptr<DeviceArray<TokenScales>> tokens_;
  std::unique_ptr<DeviceArray<float>> group_scales_;
};

}  // namespace atom::kernels::cuda
