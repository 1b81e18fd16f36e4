// A random paged KV cache for tests: sequences of given lengths, pages in random order in a
// poisoned allocation, filled by the append kernel; and the scalar reference of that kernel.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "atom/core/half.h"
#include "atom/core/rng.h"
#include "atom/kernels/cuda/attention/attention.h"
#include "atom/kernels/cuda/attention/kv_fragments.h"
#include "atom/quant/head_hadamard.h"

#include "tests/kernels/cuda/cuda_test.h"

namespace atom::kernels::cuda {

struct CacheCase {
  KvStorage storage = KvStorage::kInt4;
  int head_dim = 128;
  int heads = 8;
  int kv_heads = 2;
  bool hadamard = false;
  bool key_mean = false;
  bool clip = false;
  bool integer_zero = false;
  int exact_window = 0;
  RowType type = RowType::kF32;  ///< of qkv
};

inline std::string CaseName(const CacheCase& c) {
  return fmt::format("{}_d{}_{}of{}{}{}{}{}{}", quant::Name(c.storage), c.head_dim, c.heads,
                     c.kv_heads, c.hadamard ? "_hadamard" : "", c.key_mean ? "_mean" : "",
                     c.clip ? "_clip" : "", c.integer_zero ? "_zero" : "",
                     c.exact_window > 0 ? fmt::format("_exact{}", c.exact_window) : "");
}

inline float RoundTo(RowType type, float x) {
  if (type == RowType::kF16) return ToFloat(ToHalf(x));
  if (type == RowType::kF32) return x;
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  bits += 0x7FFF + ((bits >> 16) & 1);
  bits &= 0xFFFF0000u;
  std::memcpy(&x, &bits, 4);
  return x;
}

/// Bytes of values as rows of `type` hold them. REQUIRES: they are representable.
inline std::vector<std::byte> Encode(RowType type, const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * static_cast<size_t>(RowTypeBytes(type)));
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == RowType::kF32) {
      std::memcpy(bytes.data() + 4 * i, &values[i], 4);
    } else if (type == RowType::kF16) {
      const Half half = ToHalf(values[i]);
      std::memcpy(bytes.data() + 2 * i, &half, 2);
    } else {
      uint32_t bits;
      std::memcpy(&bits, &values[i], 4);
      bits >>= 16;
      std::memcpy(bytes.data() + 2 * i, &bits, 2);
    }
  }
  return bytes;
}

inline std::vector<float> Decode(RowType type, const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / static_cast<size_t>(RowTypeBytes(type)));
  for (size_t i = 0; i < values.size(); ++i) {
    uint32_t bits = 0;
    if (type == RowType::kF32) {
      std::memcpy(&values[i], bytes.data() + 4 * i, 4);
    } else if (type == RowType::kF16) {
      Half half;
      std::memcpy(&half, bytes.data() + 2 * i, 2);
      values[i] = ToFloat(half);
    } else {
      std::memcpy(&bits, bytes.data() + 2 * i, 2);
      bits <<= 16;
      std::memcpy(&values[i], &bits, 4);
    }
  }
  return values;
}

/// One position of one head, as the reference quantizes it.
struct QuantizedHead {
  std::vector<int> codes;     ///< INT4, INT8
  std::vector<float> values;  ///< F16
  float scale = 0, offset = 0;
};

/// What the append kernel computes of a head of K (or V), one scalar operation after the other.
inline void RotateReference(std::vector<float>& x, const float* table) {
  const size_t half = x.size() / 2;
  for (size_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half];
    const float ac = a * table[i], bs = b * table[half + i];
    const float bc = b * table[i], as = a * table[half + i];
    x[i] = ac - bs;
    x[i + half] = bc + as;
  }
}

inline QuantizedHead QuantizeReference(const std::vector<float>& x, const CacheCase& c,
                                       float clip) {
  QuantizedHead out;
  if (c.storage == KvStorage::kF16) {
    for (const float v : x) out.values.push_back(ToFloat(ToHalf(v)));
    return out;
  }
  const float steps = c.storage == KvStorage::kInt4 ? 15.0f : 255.0f;
  float low = *std::ranges::min_element(x), high = *std::ranges::max_element(x);
  if (c.integer_zero) {
    low = clip * std::min(0.0f, low);
    high = clip * std::max(0.0f, high);
  } else {
    const float centre = 0.5f * (low + high), reach = 0.5f * (high - low) * clip;
    low = centre - reach;
    high = centre + reach;
  }
  const float step = std::max(high - low, 1e-5f) / steps;
  out.scale = ToFloat(ToHalf(std::clamp(step, 0x1p-24f, 65504.0f)));
  const float inverse = 1.0f / out.scale;
  float zero = 0, from = ToFloat(ToHalf(low));
  out.offset = from;
  if (c.integer_zero) {
    zero = std::clamp(std::nearbyint(-low * inverse), 0.0f, steps);
    out.offset = ToFloat(ToHalf(-out.scale * zero));
    from = 0;
  }
  for (const float v : x) {
    const float code = std::nearbyint((v - from) * inverse) + zero;
    out.codes.push_back(static_cast<int>(std::clamp(code, 0.0f, steps)));
  }
  return out;
}

/// Sequences in a cache. Rows of qkv are concatenated, sequence after sequence.
class PagedCache {
 public:
  PagedCache(const CacheCase& which, std::vector<int> lengths, uint64_t seed)
      : which_(which), lengths_(std::move(lengths)), rng_(seed) {
    int pages = 0;
    indptr_.push_back(0);
    for (const int length : lengths_) {
      pages += (length + kPagePositions - 1) / kPagePositions;
      indptr_.push_back(pages);
      starts_.push_back(tokens_);
      tokens_ += length;
    }
    starts_.push_back(tokens_);
    spare_pages_ = pages + 7;
    indices_.resize(static_cast<size_t>(spare_pages_));
    std::iota(indices_.begin(), indices_.end(), 0);
    for (size_t i = indices_.size(); i > 1; --i) {
      std::swap(indices_[i - 1],
                indices_[static_cast<size_t>(rng_.Below(static_cast<int64_t>(i)))]);
    }
    indices_.resize(static_cast<size_t>(pages));
    MakeRows();
  }

  /// Gives the first sequence the rows, mean and ranges of another cache's. REQUIRES: equal
  /// lengths.
  void CopyRowsFrom(const PagedCache& other) {
    std::copy_n(other.rows_.begin(), lengths_[0] * columns(), rows_.begin());
    mean_ = other.mean_;
    clip_ = other.clip_;
  }

  /// Appends every row of every sequence, as one step.
  Status Append(const Stream& stream) {
    std::vector<int32_t> positions, slots;
    for (size_t s = 0; s < lengths_.size(); ++s) {
      for (int p = 0; p < lengths_[s]; ++p) {
        positions.push_back(p);
        slots.push_back(indices_[static_cast<size_t>(indptr_[s] + p / kPagePositions)] *
                            kPagePositions +
                        p % kPagePositions);
      }
    }
    device_positions_.emplace(positions);
    device_slots_.emplace(slots);
    device_indptr_.emplace(indptr_);
    device_indices_.emplace(indices_);
    device_lengths_.emplace(std::vector<int32_t>(lengths_.begin(), lengths_.end()));
    device_starts_.emplace(starts_);
    device_rows_.emplace(Encode(which_.type, rows_));
    device_rope_.emplace(rope_);
    device_mean_.emplace(mean_);
    device_clip_.emplace(clip_);
    std::vector<float> rotated = mean_;
    if (which_.hadamard) quant::RotateHeadColumns(which_.head_dim, rotated);
    device_rotated_mean_.emplace(rotated);
    pages_.data = nullptr;
    pages_.storage = which_.storage;
    pages_.kv_heads = which_.kv_heads;
    pages_.head_dim = which_.head_dim;
    device_pages_.emplace(static_cast<size_t>(spare_pages_ * pages_.PageBytes()));
    pages_.data = device_pages_->data();
    AppendKv call;
    call.qkv = {device_rows_->data(), which_.type, columns()};
    call.tokens = tokens_;
    call.heads = which_.heads;
    call.kv = pages_;
    call.positions = device_positions_->data();
    call.slots = device_slots_->data();
    call.rope = device_rope_->data();
    call.rotary_dim = which_.head_dim;
    call.key_mean = which_.key_mean ? device_mean_->data() : nullptr;
    call.hadamard = which_.hadamard;
    call.clip = which_.clip ? device_clip_->data() : nullptr;
    call.integer_zero = which_.integer_zero;
    if (which_.exact_window > 0) {  // pages of the same numbers
      exact_ = pages_;
      exact_.storage = KvStorage::kF16;
      device_exact_.emplace(static_cast<size_t>(spare_pages_ * exact_.PageBytes()));
      exact_.data = device_exact_->data();
      call.exact = exact_;
      call.exact_slots = call.slots;
    }
    cudaDeviceSynchronize();
    if (Status status = LaunchAppendKv(call, stream.get()); !status.ok()) return status;
    if (Status status = stream.Synchronize(); !status.ok()) return status;
    page_bytes_ = device_pages_->Download();
    if (which_.exact_window > 0) exact_bytes_ = device_exact_->Download();
    rotated_ = cuda::Decode(which_.type, device_rows_->Download());
    return {};
  }

  /// What the kernel must have written for a position: value = 0 for K, 1 for V.
  QuantizedHead Expected(int sequence, int position, int head, bool value) const {
    return ExpectedAs(which_, sequence, position, head, value);
  }
  /// The same of exact pages.
  QuantizedHead ExpectedExactly(int sequence, int position, int head, bool value) const {
    CacheCase exact = which_;
    exact.storage = KvStorage::kF16;
    return ExpectedAs(exact, sequence, position, head, value);
  }

  QuantizedHead ExpectedAs(const CacheCase& as, int sequence, int position, int head,
                           bool value) const {
    const int which = which_.heads + head + (value ? which_.kv_heads : 0);
    std::vector<float> x = HeadOf(rows_, Row(sequence, position), which);
    if (!value) {
      RotateReference(x, rope_.data() + static_cast<size_t>(position * which_.head_dim));
      if (which_.key_mean) {
        for (size_t i = 0; i < x.size(); ++i) {
          x[i] -= mean_[static_cast<size_t>(head * which_.head_dim) + i];
        }
      }
      if (which_.hadamard) quant::RotateHead(x);
    }
    const size_t ratio = static_cast<size_t>(head + (value ? which_.kv_heads : 0));
    return QuantizeReference(x, as, which_.clip ? clip_[ratio] : 1.0f);
  }

  /// A query head as the kernel must have left it, before rounding to the row's type.
  std::vector<float> ExpectedQuery(int sequence, int position, int head) const {
    std::vector<float> x = HeadOf(rows_, Row(sequence, position), head);
    RotateReference(x, rope_.data() + static_cast<size_t>(position * which_.head_dim));
    if (which_.hadamard) quant::RotateHead(x);
    return x;
  }

  /// What the pages hold.
  QuantizedHead Stored(int sequence, int position, int head, bool value) const {
    return StoredIn(pages_, page_bytes_, sequence, position, head, value);
  }
  /// What the exact pages hold.
  QuantizedHead StoredExactly(int sequence, int position, int head, bool value) const {
    return StoredIn(exact_, exact_bytes_, sequence, position, head, value);
  }

  /// The mean of a head's keys as they are kept.
  std::vector<float> RotatedMean(int head) const {
    const auto first = mean_.begin() + head * which_.head_dim;
    std::vector<float> mean(first, first + which_.head_dim);
    if (which_.hadamard) quant::RotateHead(mean);
    return mean;
  }

  QuantizedHead StoredIn(const KvPages& pages, const std::vector<std::byte>& all, int sequence,
                         int position, int head, bool value) const {
    const int page = indices_[static_cast<size_t>(indptr_[static_cast<size_t>(sequence)] +
                                                  position / kPagePositions)];
    const KvStorage storage = pages.storage;
    const std::byte* bytes = all.data() + static_cast<int64_t>(page) * pages.PageBytes() +
                             static_cast<int64_t>(head) * HeadPageBytes(storage, which_.head_dim);
    const int place = position % kPagePositions;
    QuantizedHead out;
    for (int i = 0; i < which_.head_dim; ++i) {
      const FragmentByte at = LocateCode(storage, which_.head_dim, value, place, i);
      if (storage == KvStorage::kF16) {
        out.values.push_back(ReadHalf(bytes + at.offset));
      } else {
        const int code = std::to_integer<int>(bytes[at.offset]);
        out.codes.push_back(storage == KvStorage::kInt4 ? (code >> at.shift) & 15 : code);
      }
    }
    if (storage != KvStorage::kF16) {
      const std::byte* scales = bytes + ScaleOffset(storage, which_.head_dim) +
                                (value ? 4 * kPagePositions + 2 * place : 4 * place);
      out.scale = ReadHalf(scales);
      out.offset = ReadHalf(scales + (value ? 2 * kPagePositions : 2));
    }
    return out;
  }

  /// q as the device holds it now, rotated.
  std::vector<float> Query(int sequence, int position, int head) const {
    return HeadOf(rotated_, Row(sequence, position), head);
  }

  PageLists lists() const {
    return {device_indptr_->data(), device_indices_->data(), device_lengths_->data(),
            static_cast<int>(lengths_.size())};
  }
  Rows rows() const { return {device_rows_->data(), which_.type, columns()}; }
  const KvPages& pages() const { return pages_; }
  const KvPages& exact() const { return exact_; }
  /// [kv_heads][head_dim], or null.
  const float* rotated_mean() const {
    return which_.key_mean ? device_rotated_mean_->data() : nullptr;
  }
  int64_t page_count() const { return indptr_.back(); }
  int tokens() const { return tokens_; }
  const std::vector<int>& lengths() const { return lengths_; }
  const int32_t* device_starts() const { return device_starts_->data(); }
  int Row(int sequence, int position) const {
    return starts_[static_cast<size_t>(sequence)] + position;
  }
  int64_t columns() const {
    return static_cast<int64_t>(which_.heads + 2 * which_.kv_heads) * which_.head_dim;
  }

 private:
  static float ReadHalf(const std::byte* bytes) {
    Half half;
    std::memcpy(&half, bytes, 2);
    return ToFloat(half);
  }

  std::vector<float> HeadOf(const std::vector<float>& rows, int row, int which) const {
    const auto first = rows.begin() + row * columns() + which * which_.head_dim;
    return {first, first + which_.head_dim};
  }

  void MakeRows() {
    rows_.resize(static_cast<size_t>(tokens_ * columns()));
    for (float& x : rows_) x = RoundTo(which_.type, static_cast<float>(rng_.Normal()));
    const int longest = *std::ranges::max_element(lengths_);
    const int half = which_.head_dim / 2;
    for (int p = 0; p < longest; ++p) {
      for (int part = 0; part < 2; ++part) {
        for (int i = 0; i < half; ++i) {
          const double angle = p * std::pow(10000.0, -2.0 * i / which_.head_dim);
          rope_.push_back(static_cast<float>(part == 0 ? std::cos(angle) : std::sin(angle)));
        }
      }
    }
    for (int i = 0; i < which_.kv_heads * which_.head_dim; ++i) {
      mean_.push_back(static_cast<float>(rng_.Normal()));
    }
    for (int i = 0; i < 2 * which_.kv_heads; ++i) {
      clip_.push_back(static_cast<float>(0.8 + 0.2 * rng_.Uniform()));
    }
  }

  CacheCase which_;
  std::vector<int> lengths_;
  Rng rng_;
  int tokens_ = 0, spare_pages_ = 0;
  std::vector<int32_t> indptr_, indices_, starts_;
  std::vector<float> rows_, rotated_, rope_, mean_, clip_;
  std::vector<std::byte> page_bytes_, exact_bytes_;
  KvPages pages_, exact_;
  std::optional<DeviceArray<int32_t>> device_positions_, device_slots_, device_indptr_,
      device_indices_, device_lengths_, device_starts_;
  std::optional<DeviceArray<std::byte>> device_rows_, device_pages_, device_exact_;
  std::optional<DeviceArray<float>> device_rope_, device_mean_, device_clip_, device_rotated_mean_;
};

}  // namespace atom::kernels::cuda
