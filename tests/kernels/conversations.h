// Sequences with random q, k and v rows, their paged cache on a device, and the steps that feed
// them: RopeAppendKv, then Attention, for any cut of the sequences into chunks.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "atom/core/check.h"
#include "atom/quant/group_quant.h"

#include "device_under_test.h"
#include "tests/sanitizers.h"

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
      : device_(device),
        setup_(std::move(setup)),
        fed_(setup_.lengths.size(), 0),
        page_positions_(device->kv_page_positions()) {
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
  /// All pages, as the backend gives them back.
  using Cache = std::vector<UnpackedKvPage>;
  Cache DownloadCache() {
    device_->Sync();
    Cache cache;
    for (int64_t page = 0; page < kv_->pages(); ++page) {
      cache.push_back(device_->Unpack(*kv_, page));
    }
    return cache;
  }
  const std::vector<int32_t>& UsedPages(int64_t sequence) const {
    return pages_[static_cast<size_t>(sequence)];
  }
  const KvLayer& kv() const { return *kv_; }
  int64_t page_positions() const { return page_positions_; }
  int64_t PageOf(Position at) const {
    return pages_[static_cast<size_t>(at.sequence)]
                 [static_cast<size_t>(at.position / page_positions_)];
  }

  void FeedAll() { Feed(setup_.lengths); }
  void Feed(const Chunks& chunks) {
    std::vector<Position> rows;
    const Batch batch = MakeBatch(chunks, rows);
    CheckBatch(batch, pool_);
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
    device_->RopeAppendKv(qkv.Tensor(), shape(), norms_, rope, *kv_);
    device_->Attention(qkv.Tensor(), shape(), *kv_, out.Tensor());
    device_->Sync();
    const std::vector<float> rotated = qkv.Values();
    const std::vector<float> result = out.Values();
    for (size_t i = 0; i < rows.size(); ++i) {
      Scatter(rotated, i, columns(), rows[i], rotated_);
      Scatter(result, i, out_columns(), rows[i], out_);
    }
  }

  /// What the cache holds of K (0) or V (1) of a head.
  std::vector<float> Cached(const Cache& cache, int which, int64_t head, Position at) const {
    const UnpackedKvPage& page = cache[static_cast<size_t>(PageOf(at))];
    const std::vector<float>& values = which == 0 ? page.keys : page.values;
    const int64_t first = (head * page_positions_ + at.position % page_positions_) * d();
    ATOM_CHECK(head < shape().kv_heads, "the cache has fewer heads");
    return std::vector<float>(values.begin() + first, values.begin() + first + d());
  }

 private:
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
    for (const int64_t length : setup_.lengths) used += PagesFor(length, page_positions_);
    const int64_t all = used + 3;
    Rng rng(17);
    std::vector<int32_t> order = RandomPermutation(rng, all);
    if (!setup_.scrambled) std::sort(order.begin(), order.end());
    auto next = order.begin();
    for (const int64_t length : setup_.lengths) {
      const int64_t count = PagesFor(length, page_positions_);
      pages_.emplace_back(next, next + count);
      next += count;
      positions_ = std::max(positions_, length);
    }
    pool_ = {.pages = all,
             .page_positions = page_positions_,
             .exact_window = setup_.format.exact_window};
    if (pool_.exact_window > 0) {
      pool_.exact_pages = all;
      free_exact_ = RandomPermutation(rng, all);
    }
    exact_.resize(setup_.lengths.size());
    kv_ = device_->MakeKvLayer({setup_.format, shape().kv_heads, d()}, pool_);
    poisoned_page_ = *next;
    PoisonPage();
  }

  /// Before its window a sequence has a page that would spoil whatever read it.
  void PoisonPage() {
    std::vector<float> rows(static_cast<size_t>(page_positions_ * columns()));
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = i % 2 == 0 ? 3e4f : -3e4f;
    Canvas qkv(device_, page_positions_, columns(), rows);
    Batch batch =
        SingleSequence(std::vector<int32_t>(static_cast<size_t>(page_positions_), 0), 0, pool_);
    batch.pages = {poisoned_page_};
    for (int32_t& slot : batch.kv_slots) {
      slot += poisoned_page_ * static_cast<int32_t>(page_positions_);
    }
    device_->BeginStep(batch);
    device_->RopeAppendKv(qkv.Tensor(), shape(), {}, {}, *kv_);
    device_->Sync();
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

  /// The exact pages of the sequence for a chunk up to `end`; those that no query needs any more
  /// are the next ones that somebody gets, with what they hold.
  void TakeExactPages(size_t s, int64_t start, int64_t end) {
    std::map<int64_t, int32_t>& held = exact_[s];
    const int64_t first = pool_.FirstExactPage(start);
    while (!held.empty() && held.begin()->first < first) {
      free_exact_.push_back(held.begin()->second);
      held.erase(held.begin());
    }
    for (int64_t page = first; page < PagesFor(end, page_positions_); ++page) {
      if (held.contains(page)) continue;
      held[page] = free_exact_.back();
      free_exact_.pop_back();
    }
  }

  void AddExactPages(size_t s, int64_t start, int64_t end, Batch& batch) {
    TakeExactPages(s, start, end);
    for (int64_t position = start; position < end; ++position) {
      const int64_t page = exact_[s].at(position / page_positions_);
      batch.exact_slots.push_back(
          static_cast<int32_t>(page * page_positions_ + position % page_positions_));
    }
    for (const auto& [index, page] : exact_[s]) batch.exact_pages.push_back(page);
    batch.exact_starts.push_back(static_cast<int32_t>(batch.exact_pages.size()));
  }

  Batch MakeBatch(const Chunks& chunks, std::vector<Position>& rows) {
    Batch batch;
    batch.Clear();
    for (size_t s = 0; s < chunks.size(); ++s) {
      if (chunks[s] == 0) continue;
      for (int64_t i = 0; i < chunks[s]; ++i) {
        const Position at{static_cast<int64_t>(s), fed_[s]++};
        rows.push_back(at);
        batch.tokens.push_back(0);
        batch.positions.push_back(static_cast<int32_t>(at.position));
        batch.kv_slots.push_back(
            static_cast<int32_t>(PageOf(at) * page_positions_ + at.position % page_positions_));
      }
      batch.query_starts.push_back(static_cast<int32_t>(rows.size()));
      batch.kv_lengths.push_back(static_cast<int32_t>(fed_[s]));
      const int64_t used = PagesFor(fed_[s], page_positions_);
      std::vector<int32_t> list(pages_[s].begin(), pages_[s].begin() + used);
      const int64_t begin = shape().FirstVisible(fed_[s] - chunks[s]);
      std::fill_n(list.begin(), begin / page_positions_, poisoned_page_);
      batch.pages.insert(batch.pages.end(), list.begin(), list.end());
      batch.page_starts.push_back(static_cast<int32_t>(batch.pages.size()));
      if (pool_.exact_window > 0) AddExactPages(s, fed_[s] - chunks[s], fed_[s], batch);
    }
    return batch;
  }

  Device& device_;
  Setup setup_;
  std::vector<std::vector<float>> qkv_;      // per sequence [length][columns]
  std::vector<std::vector<float>> rotated_;  // the same, after RopeAppendKv
  std::vector<std::vector<float>> out_;      // per sequence [length][heads * head_dim]
  std::vector<std::vector<int32_t>> pages_;  // per sequence
  int32_t poisoned_page_ = 0;
  std::vector<int64_t> fed_;
  std::vector<float> angles_;
  int64_t positions_ = 0;
  DeviceBuffer rope_;
  std::vector<float> q_norm_, k_norm_;  // empty: none
  DeviceBuffer q_norm_buffer_, k_norm_buffer_;
  HeadNorms norms_;
  int64_t page_positions_ = 0;
  PagePool pool_;
  std::vector<std::map<int64_t, int32_t>> exact_;  // per sequence: exact pages by page index
  std::vector<int32_t> free_exact_;
  std::unique_ptr<KvLayer> kv_;
};

inline bool SameCache(const Conversations::Cache& a, const Conversations::Cache& b) {
  return std::ranges::equal(a, b, [](const UnpackedKvPage& x, const UnpackedKvPage& y) {
    return SameBits(x.keys, y.keys) && SameBits(x.values, y.values);
  });
}

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
  return tests::FewerIfSanitized(std::move(shapes), 2);
}

}  // namespace atom::kernels
