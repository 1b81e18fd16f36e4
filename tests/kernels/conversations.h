// Sequences with random q, k and v rows, their paged cache on a device, and the steps that feed
// them: RopeAppendKv, then Attention, for any cut of the sequences into chunks.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "atom/quant/group_quant.h"

#include "device_under_test.h"

namespace atom::kernels {

struct Position {
  int64_t sequence = 0;
  int64_t position = 0;
};

class Conversations {
 public:
  struct Setup {
    AttentionShape shape;
    quant::KvFormat format;
    std::vector<int64_t> lengths;
    bool scrambled = true;    ///< pages in random order; else in order of position
    double sigma = 1.0;       ///< of q, k and v
    int64_t rotary_dim = -1;  ///< channels of a head that are rotated; -1: all
    bool head_norms = false;  ///< q and k are normalized
  };
  /// How many tokens of each sequence a step feeds; 0 leaves a sequence out.
  using Chunks = std::vector<int64_t>;

  Conversations(Device& device, Setup setup)
      : device_(device), setup_(std::move(setup)), fed_(setup_.lengths.size(), 0) {
    Rng rng(4242);
    for (const int64_t length : setup_.lengths) {
      qkv_.push_back(RandomNormal(rng, length * columns(), setup_.sigma));
      rotated_.emplace_back(qkv_.back().size());
      out_.emplace_back(static_cast<size_t>(length * out_columns()));
    }
    MakePages();
    MakeRope();
  }

  const Setup& setup() const { return setup_; }
  const AttentionShape& shape() const { return setup_.shape; }
  int64_t d() const { return setup_.shape.head_dim; }
  int64_t rotary_dim() const { return setup_.rotary_dim < 0 ? d() : setup_.rotary_dim; }
  int64_t columns() const { return (shape().heads + 2 * shape().kv_heads) * d(); }
  int64_t out_columns() const { return shape().heads * d(); }

  /// Replaces the raw qkv value of a token; before it is fed.
  float& Raw(Position at, int64_t column) {
    return qkv_[static_cast<size_t>(at.sequence)]
               [static_cast<size_t>(at.position * columns() + column)];
  }
  /// The head_dim raw values of a head; heads count through q, k and v.
  std::span<const float> RawHead(Position at, int64_t head) const {
    return Head(qkv_, columns(), at, head);
  }
  /// q as RopeAppendKv left it.
  std::span<const float> Query(Position at, int64_t head) const {
    return Head(rotated_, columns(), at, head);
  }
  std::span<const float> Output(Position at, int64_t head) const {
    return Head(out_, out_columns(), at, head);
  }
  const std::vector<float>& Outputs(int64_t sequence) const {
    return out_[static_cast<size_t>(sequence)];
  }
  /// cos in the first half, sin in the second.
  std::span<const float> Angles(int64_t position) const {
    return std::span(angles_).subspan(static_cast<size_t>(position * rotary_dim()),
                                      static_cast<size_t>(rotary_dim()));
  }
  static constexpr float kNormEps = 1e-6f;
  const std::vector<float>& q_norm() const { return q_norm_; }
  const std::vector<float>& k_norm() const { return k_norm_; }
  std::vector<std::byte> DownloadCache() { return device_.Get<std::byte>(kv_.data); }
  const std::vector<int32_t>& UsedPages(int64_t sequence) const {
    return blocks_[static_cast<size_t>(sequence)];
  }
  const KvLayer& kv() const { return kv_; }
  int64_t Slot(Position at) const {
    const auto block = static_cast<size_t>(at.position / kKvPagePositions);
    return blocks_[static_cast<size_t>(at.sequence)][block] * kKvPagePositions +
           at.position % kKvPagePositions;
  }

  void FeedAll() { Feed(setup_.lengths); }
  void Feed(const Chunks& chunks) {
    std::vector<Position> rows;
    const Batch batch = MakeBatch(chunks, rows);
    CheckBatch(batch, kv_.pages);
    std::vector<float> input;
    for (const Position& at : rows) {
      const float* first = &Raw(at, 0);
      input.insert(input.end(), first, first + columns());
    }
    Canvas qkv(device_, batch.rows(), columns(), input);
    Canvas out(device_, batch.rows(), out_columns());
    const RopeTable rope =
        rotary_dim() == 0 ? RopeTable{} : RopeTable{&rope_, positions_, rotary_dim()};
    device_->BeginStep(batch);
    device_->RopeAppendKv(qkv.Tensor(), shape(), norms_, rope, kv_);
    device_->Attention(qkv.Tensor(), shape(), kv_, out.Tensor());
    device_->Sync();
    const std::vector<float> rotated = qkv.Values();
    const std::vector<float> result = out.Values();
    for (size_t i = 0; i < rows.size(); ++i) {
      Scatter(rotated, i, columns(), rows[i], rotated_);
      Scatter(result, i, out_columns(), rows[i], out_);
    }
  }

  /// What the cache holds of K (0) or V (1) of a head, widened; decoded here from the bytes.
  std::vector<float> Cached(const std::vector<std::byte>& cache, int which, int64_t head,
                            Position at) const {
    const KvPageLayout& layout = kv_.layout;
    const int64_t slot = Slot(at);
    const std::byte* page = cache.data() + slot / kKvPagePositions * layout.PageBytes();
    const int64_t in_page = slot % kKvPagePositions;
    // kv_page.h, by hand: K in words of 4 bytes, those of 16 positions side by side; V in rows.
    const int64_t row_bytes = d() * quant::KvStorageBits(layout.format.storage) / 8;
    const int64_t words = (row_bytes + 3) / 4;
    const int64_t scales = layout.quantized() ? 128 : 0;
    const int64_t first = head * ((words * 64 + 16 * row_bytes + scales + 63) / 64 * 64);
    std::vector<std::byte> row;
    for (int64_t i = 0; i < row_bytes; ++i) {
      const int64_t k = i / 4 * 64 + in_page * 4 + i % 4;
      const int64_t v = words * 64 + in_page * row_bytes + i;
      row.push_back(page[first + (which == 0 ? k : v)]);
    }
    const KvRow place{which, head, in_page};
    std::vector<float> values;
    for (int64_t i = 0; i < d(); ++i) {
      if (layout.quantized()) {
        const bool nibbles = layout.format.storage == quant::KvStorage::kInt4;
        const int byte = std::to_integer<int>(row[static_cast<size_t>(nibbles ? i / 2 : i)]);
        const int code = !nibbles ? byte : i % 2 == 0 ? byte % 16 : byte / 16;
        const float scale = ToFloat(Read<Half>(page + layout.ScaleOffset(place)));
        const float zero = ToFloat(Read<Half>(page + layout.ZeroOffset(place)));
        values.push_back(scale * (static_cast<float>(code) - zero));
      } else if (layout.format.storage == quant::KvStorage::kF32) {
        values.push_back(Read<float>(row.data() + 4 * i));
      } else if (layout.format.storage == quant::KvStorage::kF16) {
        values.push_back(ToFloat(Read<Half>(row.data() + 2 * i)));
      } else {
        values.push_back(ToFloat(Read<BFloat16>(row.data() + 2 * i)));
      }
    }
    return values;
  }

 private:
  template <class T>
  static T Read(const std::byte* from) {
    T value;
    std::memcpy(&value, from, sizeof(T));
    return value;
  }

  std::span<const float> Head(const std::vector<std::vector<float>>& all, int64_t row_columns,
                              Position at, int64_t head) const {
    return std::span(all[static_cast<size_t>(at.sequence)])
        .subspan(static_cast<size_t>(at.position * row_columns + head * d()),
                 static_cast<size_t>(d()));
  }

  static void Scatter(const std::vector<float>& from, size_t row, int64_t row_columns, Position at,
                      std::vector<std::vector<float>>& to) {
    std::copy_n(from.begin() + static_cast<int64_t>(row) * row_columns, row_columns,
                to[static_cast<size_t>(at.sequence)].begin() + at.position * row_columns);
  }

  void MakePages() {
    int64_t used = 0;
    for (const int64_t length : setup_.lengths) {
      used += (length + kKvPagePositions - 1) / kKvPagePositions;
    }
    kv_.pages = used + 3;
    Rng rng(17);
    std::vector<int32_t> order = RandomPermutation(rng, kv_.pages);
    if (!setup_.scrambled) std::sort(order.begin(), order.end());
    auto next = order.begin();
    for (const int64_t length : setup_.lengths) {
      const int64_t count = (length + kKvPagePositions - 1) / kKvPagePositions;
      blocks_.emplace_back(next, next + count);
      next += count;
      positions_ = std::max(positions_, length);
    }
    kv_.layout = {setup_.format, shape().kv_heads, d()};
    kv_.data = device_->Allocate(static_cast<size_t>(kv_.pages * kv_.layout.PageBytes()));
    // Before its window a sequence has pages without numbers.
    poisoned_page_ = *next;
    const std::vector<std::byte> poison(static_cast<size_t>(kv_.layout.PageBytes()),
                                        std::byte{255});
    device_->Upload(
        poison, static_cast<std::byte*>(kv_.data.data()) + poisoned_page_ * kv_.layout.PageBytes());
  }

  void MakeRope() {
    const int64_t half = rotary_dim() / 2;
    angles_.resize(static_cast<size_t>(positions_ * rotary_dim()));
    for (int64_t position = 0; position < positions_; ++position) {
      for (int64_t i = 0; i < half; ++i) {
        const double frequency =
            std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(rotary_dim()));
        const double angle = static_cast<double>(position) * frequency;
        const auto at = static_cast<size_t>(position * rotary_dim() + i);
        angles_[at] = static_cast<float>(std::cos(angle));
        angles_[at + static_cast<size_t>(half)] = static_cast<float>(std::sin(angle));
      }
    }
    rope_ = device_.Put(angles_);
    if (!setup_.head_norms) return;
    Rng rng(91);
    q_norm_ = RandomNormal(rng, d());
    k_norm_ = RandomNormal(rng, d());
    q_norm_buffer_ = device_.Put(q_norm_);
    k_norm_buffer_ = device_.Put(k_norm_);
    norms_ = {&q_norm_buffer_, &k_norm_buffer_, kNormEps};
  }

  Batch MakeBatch(const Chunks& chunks, std::vector<Position>& rows) {
    Batch batch;
    batch.query_starts = {0};
    for (const auto& blocks : blocks_) {
      batch.max_blocks = std::max(batch.max_blocks, static_cast<int32_t>(blocks.size()));
    }
    for (size_t s = 0; s < chunks.size(); ++s) {
      if (chunks[s] == 0) continue;
      for (int64_t i = 0; i < chunks[s]; ++i) {
        const Position at{static_cast<int64_t>(s), fed_[s]++};
        rows.push_back(at);
        batch.tokens.push_back(0);
        batch.positions.push_back(static_cast<int32_t>(at.position));
        batch.slots.push_back(static_cast<int32_t>(Slot(at)));
      }
      batch.query_starts.push_back(static_cast<int32_t>(rows.size()));
      batch.kv_lengths.push_back(static_cast<int32_t>(fed_[s]));
      std::vector<int32_t> table = blocks_[s];
      const int64_t begin = shape().FirstVisible(fed_[s] - chunks[s]);
      std::fill_n(table.begin(), begin / kKvPagePositions, poisoned_page_);
      table.resize(static_cast<size_t>(batch.max_blocks), -1);  // never to be read
      batch.block_tables.insert(batch.block_tables.end(), table.begin(), table.end());
    }
    return batch;
  }

  Device& device_;
  Setup setup_;
  std::vector<std::vector<float>> qkv_;      // per sequence [length][columns]
  std::vector<std::vector<float>> rotated_;  // the same, after RopeAppendKv
  std::vector<std::vector<float>> out_;      // per sequence [length][heads * head_dim]
  std::vector<std::vector<int32_t>> blocks_;
  int32_t poisoned_page_ = 0;
  std::vector<int64_t> fed_;
  std::vector<float> angles_;
  int64_t positions_ = 0;
  DeviceBuffer rope_;
  std::vector<float> q_norm_, k_norm_;  // empty: none
  DeviceBuffer q_norm_buffer_, k_norm_buffer_;
  HeadNorms norms_;
  KvLayer kv_;
};

struct KvCase {
  std::string name;
  quant::KvFormat format;
};

/// Every storage, and the fake-quantized ones.
inline std::vector<KvCase> KvCases() {
  using quant::KvStorage;
  return {
      {"int4", {.storage = KvStorage::kInt4, .clip = 0.95f}},
      {"int8", {.storage = KvStorage::kInt8}},
      {"bf16", {.storage = KvStorage::kBF16}},
      {"f16", {.storage = KvStorage::kF16}},
      {"f32", {.storage = KvStorage::kF32}},
      {"fake4_f32", {.storage = KvStorage::kF32, .clip = 0.95f, .fake_bits = 4}},
      {"fake3_f16", {.storage = KvStorage::kF16, .fake_bits = 3}},
      {"fake4_before_f32", {.storage = KvStorage::kF32, .fake_bits = 4, .fake_before_rope = true}},
      {"fake2_before_bf16",
       {.storage = KvStorage::kBF16, .fake_bits = 2, .fake_before_rope = true}},
  };
}

/// Query and KV heads in the ratios 1, 2 and 4, of each head dimension.
inline std::vector<AttentionShape> AttentionShapes() {
  std::vector<AttentionShape> shapes;
  for (const int64_t head_dim : {8, 64, 128}) {
    shapes.push_back({2, 2, head_dim});
    shapes.push_back({4, 2, head_dim});
    shapes.push_back({4, 1, head_dim});
  }
  return shapes;
}

}  // namespace atom::kernels
