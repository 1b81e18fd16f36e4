#include "tests/kernels/cuda/streaming_problem.h"

#include <algorithm>

#include "tests/kernels/cuda/handover.h"

namespace atom::kernels::cuda {
namespace {

float RandomScale(Rng& rng) { return ToFloat(ToHalf(static_cast<float>(0.001 + rng.Uniform()))); }

std::vector<uint8_t> PackNibbles(const std::vector<int8_t>& codes) {
  std::vector<uint8_t> packed(codes.size() / 2);
  for (size_t i = 0; i < packed.size(); ++i) {
    packed[i] = static_cast<uint8_t>((codes[2 * i] & 15) | (codes[2 * i + 1] & 15) << 4);
  }
  return packed;
}

}  // namespace

void StreamingProblem::MakeWeight(int64_t n, uint64_t seed) {
  Rng rng(seed);
  StreamingProblemWeight w;
  const auto count = [](int64_t a, int64_t b) { return static_cast<size_t>(a * b); };
  PackedWeightLayout layout{n, desc_.k4, desc_.k8, desc_.group,
                            integer() ? GroupScale::kInteger : GroupScale::kHalf};
  w.rows.resize(static_cast<size_t>(layout.padded_rows()));
  for (RowScales& row : w.rows) {
    row.scale = RandomScale(rng);
    row.outlier_scale = RandomScale(rng);
    row.bias = static_cast<float>(rng.Normal());
  }
  if (desc_.recipe == GemmRecipe::kDense) {
    w.dense.resize(count(n, desc_.k8));
    for (uint16_t& v : w.dense) v = ToBFloat16(static_cast<float>(rng.Normal())).bits;
    const PackedDenseLayout dense{n, desc_.k8};
    std::vector<uint16_t> packed(static_cast<size_t>(dense.bytes() / 2));
    PackDense(dense, w.dense, packed);
    const auto* bytes = reinterpret_cast<const uint8_t*>(packed.data());
    w.packed = std::make_unique<DeviceArray<uint8_t>>(
        std::vector<uint8_t>(bytes, bytes + packed.size() * 2));
  } else {
    w.codes4.resize(count(n, desc_.k4));
    for (int8_t& c : w.codes4) c = static_cast<int8_t>(rng.Below(16) - 8);
    w.codes8.resize(count(n, desc_.k8));
    for (int8_t& c : w.codes8) c = static_cast<int8_t>(rng.Next());
    if (integer()) {
      w.multipliers.resize(count(groups(), n));
      for (uint8_t& k : w.multipliers) k = static_cast<uint8_t>(1 + rng.Below(15));
    } else {
      w.scales4.resize(count(groups(), n));
      for (Half& s : w.scales4) s = ToHalf(RandomScale(rng));
    }
    std::vector<uint8_t> packed(static_cast<size_t>(layout.bytes()));
    const std::vector<uint8_t> nibbles = PackNibbles(w.codes4);
    PackWeight(layout, {nibbles, w.multipliers, w.scales4, w.codes8}, packed);
    w.packed = std::make_unique<DeviceArray<uint8_t>>(packed);
  }
  w.device_rows = std::make_unique<DeviceArray<RowScales>>(w.rows);
  weights_.push_back(std::move(w));
}

void StreamingProblem::MakeTokens(uint64_t seed) {
  const int64_t k = desc_.k();
  const int largest = desc_.recipe == GemmRecipe::kGroup ? 8 : 128;
  for (int64_t token = 0; token < desc_.m; ++token) {
    Rng rng(seed + 1000 * static_cast<uint64_t>(token));
    TokenScales scales{RandomScale(rng), RandomScale(rng), 0, 0};
    for (int64_t c = 0; c < k; ++c) {
      const int limit = c < desc_.k4 ? largest : 128;
      const auto value = static_cast<int8_t>(rng.Below(2 * limit) - limit);
      x_.push_back(value);
      x16_.push_back(ToBFloat16(static_cast<float>(rng.Normal())).bits);
      if (c < desc_.k4) scales.sum += value;
    }
    tokens_.push_back(scales);
    for (int64_t g = 0; g < groups(); ++g) group_scales_.push_back(RandomScale(rng));
  }
}

StreamingProblem::StreamingProblem(const GemmDesc& desc, std::span<const StreamingProblem> experts,
                                   const std::vector<ExpertRows>& rows)
    : desc_(desc), expert_rows_(std::make_unique<DeviceArray<ExpertRows>>(rows)) {
  const auto m = static_cast<size_t>(desc.m), k = static_cast<size_t>(desc.k());
  const auto scales = static_cast<size_t>(groups());
  x_.assign(m * k, 77);
  x16_.assign(m * k, 0x3f80);
  tokens_.assign(m, {NAN, NAN, 0, 0});
  group_scales_.assign(m * scales, NAN);
  for (size_t e = 0; e < experts.size(); ++e) {
    const auto first = static_cast<size_t>(rows[e].first),
               count = static_cast<size_t>(rows[e].count);
    std::copy_n(experts[e].x_.begin(), count * k, x_.begin() + static_cast<long>(first * k));
    std::copy_n(experts[e].x16_.begin(), count * k, x16_.begin() + static_cast<long>(first * k));
    std::copy_n(experts[e].tokens_.begin(), count, tokens_.begin() + static_cast<long>(first));
    std::copy_n(experts[e].group_scales_.begin(), count * scales,
                group_scales_.begin() + static_cast<long>(first * scales));
  }
  std::vector<GemmWeight> weights;
  for (const StreamingProblem& expert : experts) {
    for (const StreamingProblemWeight& weight : expert.weights_) {
      weights.push_back({weight.packed->data(), weight.device_rows->data()});
    }
  }
  expert_weights_ = std::make_unique<DeviceArray<GemmWeight>>(weights);
  std::vector<int32_t> y_rows;
  for (int64_t row = 0; row < desc.m; ++row) y_rows.push_back(static_cast<int32_t>(RowOfY(row)));
  y_rows_ = std::make_unique<DeviceArray<int32_t>>(y_rows);
}

StreamingProblem::Output StreamingProblem::Run(const GemmDesc& desc, const GemmChoice& plan,
                                               const Stream& stream, float start,
                                               int launches) const {
  const int64_t m = desc.m;
  const int64_t padded = (m + 7) / 8 * 8;
  const int64_t k = desc.k();
  const auto tokens = static_cast<size_t>(m * k);
  std::vector<int8_t> packed_x;
  if (x_is_16_bit()) {
    const PackedDenseActivationLayout layout{m, desc.k4, desc.k8};
    std::vector<uint16_t> packed(static_cast<size_t>(layout.bytes() / 2));
    PackDenseActivation(layout, std::span(x16_).first(tokens), packed);
    const auto* bytes = reinterpret_cast<const int8_t*>(packed.data());
    packed_x.assign(bytes, bytes + packed.size() * 2);
  } else {
    const PackedActivationLayout layout{m, desc.k4, desc.k8};
    packed_x.resize(static_cast<size_t>(layout.bytes()));
    PackActivation(layout, std::span(x_).first(tokens), packed_x);
  }
  // Scales of tokens that do not exist are NaN: they must reach no output.
  std::vector<TokenScales> token_scales(tokens_.begin(), tokens_.begin() + m);
  token_scales.resize(static_cast<size_t>(padded), {NAN, NAN, 0, 0});
  std::vector<float> group_scales(static_cast<size_t>(groups() * padded), NAN);
  for (int64_t g = 0; g < groups(); ++g) {
    for (int64_t t = 0; t < m; ++t) {
      group_scales[static_cast<size_t>(g * padded + t)] =
          group_scales_[static_cast<size_t>(t * groups() + g)];
    }
  }
  const DeviceArray<int8_t> x(packed_x);
  const DeviceArray<TokenScales> device_tokens(token_scales);
  const DeviceArray<float> device_groups(group_scales.empty() ? std::vector<float>(1)
                                                              : group_scales);

  // Where rows may start at multiples of 16 bytes they do, so that tensor stores can be chosen.
  const int64_t stride = desc.total_n() + (desc.total_n() % 8 == 0 ? 8 : 5);
  const bool wide = desc.output == GemmOutput::kFloat;
  const auto bits = [&](float v) -> uint32_t {
    if (wide) return std::bit_cast<uint32_t>(v);
    return desc.output == GemmOutput::kHalf ? ToHalf(v).bits : ToBFloat16(v).bits;
  };
  const size_t size = wide ? 4 : 2;
  std::vector<uint8_t> y_bytes(static_cast<size_t>(m * stride) * size, 0xff);
  if (desc.add) {
    for (int64_t i = 0; i < m * stride; ++i) {
      const uint32_t value = bits(start);
      std::memcpy(y_bytes.data() + static_cast<size_t>(i) * size, &value, size);
    }
  }
  const std::vector<uint8_t> before(y_bytes.begin(), y_bytes.begin() + static_cast<long>(size));
  const DeviceArray<uint8_t> y(y_bytes);

  GemmOperands operands;
  for (size_t w = 0; w < weights_.size(); ++w) {
    operands.weights[w] = {weights_[w].packed->data(), weights_[w].device_rows->data()};
  }
  if (expert_rows_) {
    operands.expert_rows = expert_rows_->data();
    operands.expert_weights = expert_weights_->data();
    operands.y_rows = y_rows_->data();
  }
  operands.x = x.data();
  operands.tokens = device_tokens.data();
  operands.group_scales = one_scale_a_token_ ? nullptr : device_groups.data();
  operands.y = y.data();
  operands.y_stride = stride;
  const Handover handover(plan);
  operands.handover = handover.data();
  for (int i = 0; i < launches; ++i) {
    const Status status = LaunchGemm(desc, plan, operands, {stream.get(), true});
    ATOM_CHECK(status.ok(), "{}", status.ok() ? "" : status.error().message);
  }
  y_bytes = y.Download();
  handover.ExpectTakenBack();

  Output output;
  for (int64_t t = 0; t < m; ++t) {
    for (int64_t c = 0; c < stride; ++c) {
      uint32_t value = 0;
      const uint8_t* at = y_bytes.data() + static_cast<size_t>(t * stride + c) * size;
      std::memcpy(&value, at, size);
      if (c >= desc.total_n()) {
        output.padding_untouched &= std::memcmp(at, before.data(), size) == 0;
      } else if (wide) {
        output.values.push_back(std::bit_cast<float>(value));
      } else if (desc.output == GemmOutput::kHalf) {
        output.values.push_back(ToFloat(Half{static_cast<uint16_t>(value)}));
      } else {
        output.values.push_back(ToFloat(BFloat16{static_cast<uint16_t>(value)}));
      }
    }
  }
  return output;
}

double StreamingProblem::Expected(int64_t token, int64_t column, double* bound) const {
  size_t w = 0;
  while (column >= desc_.n[w]) column -= desc_.n[w++];
  const StreamingProblemWeight& weight = weights_[w];
  const int64_t n = desc_.n[w];
  const RowScales& row = weight.rows[static_cast<size_t>(column)];
  if (x_is_16_bit()) return DenseExpected(weight, n, token, column, bound) + row.bias;
  *bound = 0;

  const int8_t* x = x_.data() + token * desc_.k();
  const TokenScales& scales = tokens_[static_cast<size_t>(token)];
  int64_t outlier_sum = 0;
  for (int64_t c = 0; c < desc_.k8; ++c) {
    outlier_sum += x[desc_.k4 + c] * weight.codes8[static_cast<size_t>(column * desc_.k8 + c)];
  }
  const float outlier_scale = scales.outlier_scale * row.outlier_scale;
  const auto outlier = static_cast<float>(outlier_sum);
  if (desc_.recipe == GemmRecipe::kInt8) return outlier * outlier_scale + row.bias;

  float acc = 0;
  int64_t all = 0;
  for (int64_t g = 0; g < groups(); ++g) {
    int64_t sum = 0;
    for (int64_t c = g * group(); c < (g + 1) * group(); ++c) {
      sum += x[c] * weight.codes4[static_cast<size_t>(column * desc_.k4 + c)];
    }
    const auto at = static_cast<size_t>(g * n + column);
    if (integer()) {
      all += sum * weight.multipliers[at];
    } else {
      const float token_scale = one_scale_a_token_
                                    ? scales.scale
                                    : group_scales_[static_cast<size_t>(token * groups() + g)];
      acc = std::fma(static_cast<float>(sum), token_scale * ToFloat(weight.scales4[at]), acc);
    }
  }
  if (integer()) acc = static_cast<float>(all) * (scales.scale * row.scale);
  if (desc_.k8 > 0) acc = std::fma(outlier, outlier_scale, acc);
  return acc + row.bias;
}

double StreamingProblem::DenseExpected(const StreamingProblemWeight& weight, int64_t n,
                                       int64_t token, int64_t row, double* bound) const {
  double sum = 0;
  double size = 0;
  for (int64_t c = 0; c < desc_.k(); ++c) {
    const double x = ToFloat(BFloat16{x16_[static_cast<size_t>(token * desc_.k() + c)]});
    double w = 0;
    if (desc_.recipe == GemmRecipe::kDense) {
      w = ToFloat(BFloat16{weight.dense[static_cast<size_t>(row * desc_.k8 + c)]});
    } else if (c < desc_.k4) {
      w = weight.codes4[static_cast<size_t>(row * desc_.k4 + c)] *
          static_cast<double>(ToFloat(weight.scales4[static_cast<size_t>(c / group() * n + row)]));
    } else {
      w = weight.codes8[static_cast<size_t>(row * desc_.k8 + c - desc_.k4)] *
          static_cast<double>(weight.rows[static_cast<size_t>(row)].outlier_scale);
    }
    sum += x * w;
    size += std::abs(x * w);
  }
  // Tensor cores align a step's products to the largest before they add: a few bits are lost a
  // step. Per step of 16 and per promotion at most 2^-22 of what has been summed.
  *bound = (static_cast<double>(desc_.k()) / 16 + 8) * 0x1p-22 * size + 1e-6;
  return sum;
}

}  // namespace atom::kernels::cuda
