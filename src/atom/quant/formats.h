// What a value can be quantized to. One enum, one table for each choice; the structs below are the
// resolved question that the quantizers answer for one weight, one activation edge or one KV head.
// docs/numerics.md is the contract behind every formula named here.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

namespace atom::quant {

/// The number format of the low-bit part.
enum class NumberFormat {
  kInt,           ///< two's complement integers of `bits` bits
  kFp4Published,  ///< {0, 1/16, 2, 3, 4, 6, 8, 12}/12, the codebook of the published program
  kE2M1,          ///< OCP FP4: {0, .5, 1, 1.5, 2, 3, 4, 6}/6
  kExponent,      ///< sign and power of two
};
std::string_view Name(NumberFormat format);  ///< "int", "fp4", "e2m1", "exponent"
std::optional<NumberFormat> NumberFormatFromName(std::string_view name);

/// The number format of the outlier columns.
enum class OutlierFormat {
  kFp16,
  kE5M2,  ///< FP8, no scale, overflow to infinity
  kE4M3,  ///< FP8, no scale, clamped to ±480 as published
  kInt8,  ///< symmetric, one scale a row
};
std::string_view Name(OutlierFormat format);  ///< "fp16", "e5m2", "e4m3", "int8"
std::optional<OutlierFormat> OutlierFormatFromName(std::string_view name);

/// How the scales of groups are kept.
enum class ScaleFormat {
  kFp16,      ///< one fp16 number a group
  kTwoLevel,  ///< 1…15 times a scale of the whole row or token (two_level.h)
};
std::string_view Name(ScaleFormat format);  ///< "fp16", "two-level"
std::optional<ScaleFormat> ScaleFormatFromName(std::string_view name);

/// How ordered low-bit columns become groups.
enum class Deal {
  kSorted,  ///< as they are: each group has columns of about one size
  kZigzag,  ///< one by one over the groups, to and fro: each group has columns of all sizes
};
std::string_view Name(Deal deal);  ///< "sorted", "zigzag"
std::optional<Deal> DealFromName(std::string_view name);

/// Which order the channels before the `down` of a mixture's experts have.
enum class ExpertOrder {
  kShared,  ///< one for all experts, as published
  kOwn,     ///< each expert's its own: it is in the rows of its gate and up, and costs nothing
};
std::string_view Name(ExpertOrder order);  ///< "shared", "own"
std::optional<ExpertOrder> ExpertOrderFromName(std::string_view name);

/// The statistic by which channels are ordered.
enum class Metric {
  kHessian,  ///< sum over tokens of x², (2 / samples) times
  kAbsMean,  ///< max over samples of the mean of |x|
};
std::string_view Name(Metric metric);  ///< "hessian", "abs_mean"
std::optional<Metric> MetricFromName(std::string_view name);

/// How one linear's weight W[N][K] (columns already permuted, outliers last) is quantized.
struct WeightFormat {
  int bits = 16;  ///< 2, 3, 4, 8; 16 leaves the weight alone
  NumberFormat number = NumberFormat::kInt;
  int64_t group = 0;          ///< columns that share a scale; 0: all columns but the outliers
  int64_t channel_group = 1;  ///< adjacent rows that share the fit of a scale
  bool symmetric = true;
  ScaleFormat scales = ScaleFormat::kFp16;
  float clip = 1.0f;
  bool clip_per_group = false;  ///< GPTQ: searched for each row and group instead (gptq.h)
  int64_t outliers = 0;         ///< trailing columns in `outlier_format`
  OutlierFormat outlier_format = OutlierFormat::kInt8;
  bool gptq = false;
  double damping = 0.01;          ///< GPTQ: share of the mean diagonal added to the diagonal
  bool reference_parity = false;  ///< reproduce the published quirks (docs/numerics.md)

  /// Trailing columns that are outliers once no group is ragged: outliers + (K − outliers) mod G.
  int64_t OutlierColumns(int64_t k) const {
    return group == 0 ? outliers : outliers + (k - outliers) % group;
  }
};

/// How the input of a linear (one token's K values, permuted, outliers last) is quantized.
struct ActivationFormat {
  int bits = 16;  ///< 2, 3, 4, 8; 16: values stay as they are
  NumberFormat number = NumberFormat::kInt;
  int64_t group = 0;  ///< columns that share a scale; 0: one scale a token, outliers apart
  bool symmetric = true;
  ScaleFormat scales = ScaleFormat::kFp16;
  float clip = 1.0f;
  int64_t outlier_columns = 0;  ///< already raised so that no group is ragged
  /// Not 0: the columns before the outliers are rotated in blocks of so many (hadamard.h) before
  /// they are quantized, of 16 bits too. A power of two that divides them.
  int64_t hadamard = 0;
  OutlierFormat outlier_format = OutlierFormat::kInt8;
  /// true: fake-quantized, quantized and at once dequantized; the linear sees fp32.
  bool simulated = false;
  bool reference_parity = false;

  bool dense() const { return bits == 16 || simulated; }
  friend bool operator==(const ActivationFormat&, const ActivationFormat&) = default;
};

/// What a KV page holds.
enum class KvStorage { kInt4, kInt8, kBF16, kF16, kF32 };
std::string_view Name(KvStorage storage);  ///< "int4", "int8", "bf16", "f16", "f32"
int KvStorageBits(KvStorage storage);

/// What code 0 of an asymmetric group of keys or values stands for.
enum class KvOffset {
  kInteger,  ///< scale · (code − zero), zero a code: the range includes 0
  kFloat,    ///< scale · code + offset, offset in fp16: any range
};
std::string_view Name(KvOffset offset);  ///< "integer", "float"
std::optional<KvOffset> KvOffsetFromName(std::string_view name);

/// Positions fall into blocks of so many at absolute positions, whatever a backend's pages: what an
/// exact window is counted in.
inline constexpr int64_t kExactBlock = 16;

/// How keys and values are kept: one group per token and head, over head_dim, asymmetric.
struct KvFormat {
  KvStorage storage = KvStorage::kF32;
  float clip = 1.0f;  ///< of all heads, unless `head_clips` says otherwise
  /// Not 0: values are fake-quantized to that many bits and stored as `storage` (a float one).
  int fake_bits = 0;
  bool fake_before_rope = false;  ///< fake-quantize K before RoPE, as published; V is the same
  bool reference_parity = false;
  KvOffset offset = KvOffset::kInteger;
  bool hadamard = false;               ///< q and K rotated after RoPE (head_hadamard.h)
  std::vector<float> head_clips = {};  ///< [2][kv_heads], K's, then V's; or empty
  std::vector<float> key_mean = {};    ///< [kv_heads][head_dim] taken from K after RoPE; or empty

  /// The clip ratio of a head of K (0) or V (1).
  float ClipOf(size_t which, int64_t kv_head) const {
    if (head_clips.empty()) return clip;
    return head_clips[which * (head_clips.size() / 2) + static_cast<size_t>(kv_head)];
  }
  /// Codes, not floats of any kind.
  bool packed() const { return storage == KvStorage::kInt4 || storage == KvStorage::kInt8; }
  /// Bits of the codes that `cpu` and `reference` keep and attend with, also of values that are
  /// fake-quantized on the same grid; 0: floats.
  int CodeBits() const;
  /// What every backend's packed pages hold: an integer zero, nothing done to K behind RoPE.
  bool is_basic() const {
    return offset == KvOffset::kInteger && !hadamard && head_clips.empty() && key_mean.empty();
  }
  /// The same, fake-quantized: its values are those of packed pages.
  KvFormat Simulated() const;
  /// A query reads its own block of positions, and so many before it, as fp16; 0: none.
  int64_t exact_window = 0;

  /// The first position that a query at `position` reads as fp16; behind all without a window.
  int64_t FirstExact(int64_t position) const {
    if (exact_window == 0) return std::numeric_limits<int64_t>::max();
    return std::max<int64_t>(0, position / kExactBlock * kExactBlock - exact_window);
  }
  friend bool operator==(const KvFormat&, const KvFormat&) = default;
};

}  // namespace atom::quant
