#include "atom/kernels/cuda/bench/gemm_inputs.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "atom/core/check.h"
#include "atom/core/half.h"
#include "atom/core/rng.h"
#include "atom/kernels/cuda/gemm/packed_dense.h"
#include "atom/kernels/cuda/gemm/tiled/tile_schedule.h"

namespace atom::kernels::cuda {
namespace {

constexpr int64_t kPatternRows = 4 * kBlockRows;  // of a weight; the others repeat them
constexpr int64_t kPatternValues = (int64_t{1} << 20) - 24;

class Normals {
 public:
  explicit Normals(uint64_t seed) : rng_(seed) {}
  float Next() { return static_cast<float>(rng_.Normal()); }
  int Code(float deviation, int most) {
    const auto value = static_cast<int>(std::lround(deviation * Next()));
    return std::clamp(value, -most - 1, most);
  }

 private:
  Rng rng_;
};

template <class T>
std::vector<std::byte> AsBytes(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> DensePattern(int64_t k) {
  const PackedDenseLayout layout{kPatternRows, k};
  Normals normals(3);
  std::vector<uint16_t> values(static_cast<size_t>(kPatternRows * k));
  for (uint16_t& value : values) value = ToBFloat16(normals.Next()).bits;
  std::vector<uint16_t> packed(static_cast<size_t>(layout.bytes() / 2));
  PackDense(layout, values, packed);
  return AsBytes(packed);
}

PackedWeightLayout WeightLayout(const GemmDesc& desc, int64_t n) {
  const bool integer = desc.recipe == GemmRecipe::kInteger || desc.recipe == GemmRecipe::kInt8;
  return {n, desc.k4, desc.k8, desc.group, integer ? GroupScale::kInteger : GroupScale::kHalf};
}

std::vector<std::byte> QuantizedPattern(const GemmDesc& desc) {
  const PackedWeightLayout layout = WeightLayout(desc, kPatternRows);
  const bool integer = layout.scale == GroupScale::kInteger;
  const auto groups = static_cast<size_t>(desc.k4 == 0 ? 0 : desc.k4 / desc.group * kPatternRows);
  Normals normals(3);
  std::vector<uint8_t> codes4(static_cast<size_t>(kPatternRows * desc.k4 / 2));
  std::vector<uint8_t> multipliers(integer ? groups : 0);
  std::vector<Half> scales(integer ? 0 : groups, ToHalf(0.01f));
  std::vector<int8_t> codes8(static_cast<size_t>(kPatternRows * desc.k8));
  for (uint8_t& pair : codes4) {
    const int low = normals.Code(2.5f, 7) & 15, high = normals.Code(2.5f, 7) & 15;
    pair = static_cast<uint8_t>(low | high << 4);
  }
  for (uint8_t& k : multipliers) k = static_cast<uint8_t>(8 + std::abs(normals.Code(3, 7)) % 8);
  for (int8_t& code : codes8) code = static_cast<int8_t>(normals.Code(32, 127));
  std::vector<uint8_t> packed(static_cast<size_t>(layout.bytes()));
  PackWeight(layout, {codes4, multipliers, scales, codes8}, packed);
  return AsBytes(packed);
}

// Atoms need no order here: any value may be anywhere.
std::vector<std::byte> ActivationPattern(const GemmDesc& desc) {
  Normals normals(4);
  if (desc.recipe == GemmRecipe::kW4A16 || desc.recipe == GemmRecipe::kDense) {
    std::vector<uint16_t> values(kPatternValues);
    for (uint16_t& value : values) value = ToBFloat16(normals.Next()).bits;
    return AsBytes(values);
  }
  const bool low = desc.k4 > 0;
  std::vector<int8_t> values(kPatternValues);
  int k = 1;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i % 128 == 0)
      k = desc.recipe == GemmRecipe::kInteger ? 8 + static_cast<int>(i / 128 % 8) : 1;
    values[i] = static_cast<int8_t>(low ? k * normals.Code(2.5f, 7) : normals.Code(32, 127));
  }
  return AsBytes(values);
}

uint8_t ToE4M3(float value) {
  const float magnitude = std::min(std::fabs(value), 448.0f);
  const uint8_t sign = value < 0 ? 0x80 : 0;
  if (magnitude < 0x1p-6f) {
    return static_cast<uint8_t>(sign | static_cast<int>(std::lround(magnitude * 512)));
  }
  int exponent = 0;
  const float fraction = std::frexp(magnitude, &exponent);  // in [0.5, 1)
  const int eighths = static_cast<int>(std::lround(fraction * 16)) - 8;
  return static_cast<uint8_t>(sign | std::min(((exponent + 6) << 3) + eighths, 0x7e));
}

}  // namespace

int64_t WeightBytes(const GemmDesc& desc) {
  int64_t bytes = 0;
  for (const int64_t n : desc.n) {
    if (n == 0) continue;
    bytes += desc.recipe == GemmRecipe::kDense ? PackedDenseLayout{n, desc.k8}.bytes()
                                               : WeightLayout(desc, n).bytes();
  }
  return bytes * std::max<int64_t>(desc.experts, 1);
}

std::vector<ExpertRows> RouteRandomly(int64_t rows, int64_t experts) {
  Rng rng(11);
  std::vector<ExpertRows> routed(static_cast<size_t>(experts));
  for (int64_t i = 0; i < rows; ++i) {
    ++routed[static_cast<size_t>(rng.Below(static_cast<int>(experts)))].count;
  }
  int32_t next = 0;
  for (ExpertRows& its : routed) {
    its.first = next;
    next += (its.count + 7) / 8 * 8;
  }
  return routed;
}

int64_t GatheredRows(const std::vector<ExpertRows>& rows) {
  return rows.empty() ? 0 : rows.back().first + (rows.back().count + 7) / 8 * 8;
}

int RotatingCopies(int64_t bytes, int64_t l2_bytes) {
  return static_cast<int>(std::max<int64_t>(2, (4 * l2_bytes + bytes - 1) / bytes));
}

GemmInputs::GemmInputs(const GemmDesc& desc, const std::vector<ExpertRows>& expert_rows, int copies,
                       int multiprocessors, BenchMemory& memory)
    : copies_(copies),
      experts_(desc.experts),
      weight_bytes_((WeightBytes(desc) + 255) / 256 * 256) {
  const std::vector<std::byte> pattern =
      desc.recipe == GemmRecipe::kDense ? DensePattern(desc.k8) : QuantizedPattern(desc);
  weights_ = static_cast<const uint8_t*>(memory.Fill(pattern, copies * weight_bytes_));
  const int64_t rows =
      (desc.total_n() + kMaxSegments * kBlockRows) * std::max<int64_t>(desc.experts, 1);
  const int64_t tokens = (desc.m + 7) / 8 * 8;
  const int64_t groups = desc.k4 == 0 ? 1 : desc.k4 / desc.group;
  const RowScales row{1e-3f, 1e-3f, 0, 0};
  const TokenScales token{1e-3f, 1e-3f, 5, 0};
  const RowScales* row_scales =
      memory.Upload(std::vector<RowScales>(static_cast<size_t>(rows), row));
  operands_.x = static_cast<const int8_t*>(
      memory.Fill(ActivationPattern(desc), tokens * (desc.k() + 512) * 2));
  operands_.tokens = memory.Upload(std::vector<TokenScales>(static_cast<size_t>(tokens), token));
  operands_.group_scales =
      memory.Upload(std::vector<float>(static_cast<size_t>(groups * tokens), 1e-2f));
  operands_.y = memory.Take<float>(desc.m * desc.total_n());
  operands_.y_stride = desc.total_n();
  if (desc.experts > 0) {
    ATOM_CHECK(desc.segments() == 1, "experts with {} weights side by side", desc.segments());
    std::vector<GemmWeight> table;
    for (int64_t i = 0; i < copies * desc.experts; ++i) {
      const uint8_t* copy = weights_ + i / desc.experts * weight_bytes_;
      table.push_back({copy + i % desc.experts * (WeightBytes(desc) / desc.experts), row_scales});
    }
    std::vector<int32_t> y_rows(static_cast<size_t>(desc.m));
    std::iota(y_rows.begin(), y_rows.end(), 0);
    expert_weights_ = memory.Upload(table);
    operands_.expert_rows = memory.Upload(expert_rows);
    operands_.y_rows = memory.Upload(y_rows);
  }
  const std::vector<std::byte> zeros(4096);
  operands_.handover = memory.Fill(zeros, HandoverBytes(multiprocessors));
  for (GemmWeight& weight : operands_.weights) weight.rows = row_scales;
}

GemmOperands GemmInputs::operands(int copy) const {
  GemmOperands operands = operands_;
  operands.weights[0].codes = weights_ + copy % copies_ * weight_bytes_;
  if (expert_weights_ != nullptr) {
    operands.expert_weights = expert_weights_ + copy % copies_ * experts_;
  }
  return operands;
}

S4Inputs::S4Inputs(int64_t m, int64_t n, int64_t k4, int64_t k8, int64_t l2_bytes,
                   BenchMemory& memory)
    : copies_(RotatingCopies(n * (k4 / 2 + k8), l2_bytes)) {
  Normals normals(7);
  std::vector<uint8_t> nibbles(kPatternValues), codes(kPatternValues);
  for (uint8_t& pair : nibbles) {
    const int low = normals.Code(2.5f, 7) & 15, high = normals.Code(2.5f, 7) & 15;
    pair = static_cast<uint8_t>(low | high << 4);
  }
  for (uint8_t& code : codes) code = static_cast<uint8_t>(normals.Code(32, 127));
  const auto rows = [&](const std::vector<uint8_t>& pattern, int64_t count, int64_t stride) {
    return CodeRows{static_cast<const uint8_t*>(memory.Fill(AsBytes(pattern), count * stride)),
                    stride};
  };
  const auto scales = [&](int64_t count) {
    return memory.Upload(std::vector<float>(static_cast<size_t>(count), 1e-2f));
  };
  const auto half_scales = [&](int64_t count) {
    const std::vector<Half> values(static_cast<size_t>(count), ToHalf(1e-2f));
    return reinterpret_cast<const __half*>(memory.Upload(values));
  };
  constexpr int64_t kGroup = 128;
  call_.m = static_cast<int>(m);
  call_.n = static_cast<int>(n);
  call_.k4 = static_cast<int>(k4);
  call_.k8 = static_cast<int>(k8);
  call_.group = kGroup;
  call_.x4 = rows(nibbles, m, k4 / 2);
  call_.x8 = rows(codes, m, k8);
  call_.w4 = rows(nibbles, n * copies_, k4 / 2);
  call_.w8 = rows(codes, n * copies_, k8);
  call_.x_scales = scales(k4 / kGroup * m);
  call_.token_stride = m;
  call_.x_outlier_scales = scales(m);
  call_.w_scales = half_scales(k4 / kGroup * n);
  call_.w_outlier_scales = half_scales(n);
  call_.y = {memory.Take<uint16_t>(m * n), RowType::kF16, n};
}

S4GemmCall S4Inputs::call(int copy) const {
  S4GemmCall call = call_;
  const int64_t row = copy % copies_ * int64_t{call.n};
  call.w4.data += row * call.w4.stride;
  call.w8.data += row * call.w8.stride;
  return call;
}

std::vector<std::byte> CublasPattern(CublasType type) {
  Normals normals(1);
  std::vector<std::byte> bytes(static_cast<size_t>(kPatternValues * Bytes(type)));
  for (size_t i = 0; i < static_cast<size_t>(kPatternValues); ++i) {
    if (type == CublasType::kHalf) {
      const Half half = ToHalf(normals.Next());
      std::memcpy(&bytes[2 * i], &half.bits, 2);
    } else {
      bytes[i] = static_cast<std::byte>(type == CublasType::kInt8
                                            ? static_cast<uint8_t>(normals.Code(32, 127))
                                            : ToE4M3(normals.Next()));
    }
  }
  return bytes;
}

}  // namespace atom::kernels::cuda
