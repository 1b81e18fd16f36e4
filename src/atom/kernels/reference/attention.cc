// softmax(q·Kᵀ / sqrt(d))·V over the paged cache, tile by tile: docs/numerics.md, section 4.
#include <algorithm>
#include <cmath>
#include <limits>

#include "atom/kernels/reference/dot.h"
#include "atom/kernels/reference/exp.h"
#include "atom/kernels/reference/reference_backend.h"
#include "atom/kernels/reference/reference_kv_layer.h"
#include "atom/quant/head_hadamard.h"

namespace atom::kernels::reference {
namespace {

constexpr int64_t kTilePositions = 64;

/// One KV head of one sequence, from its pages, of which the first is the sequence's
/// `first_page`-th.
struct Pages {
  const ReferenceKvLayer* layer = nullptr;
  int64_t kv_head = 0;
  std::span<const int32_t> numbers = {};
  int64_t first_page = 0;

  int64_t Slot(int64_t position) const {
    const auto page = static_cast<size_t>(position / kPagePositions - first_page);
    return numbers[page] * kPagePositions + position % kPagePositions;
  }
  std::span<const float> Key(int64_t position) const { return layer->Key(Slot(position), kv_head); }
  std::span<const float> Value(int64_t position) const {
    return layer->Value(Slot(position), kv_head);
  }
  /// Of K (0) or V (1).
  CodedRow Codes(int64_t which, int64_t position) const {
    return layer->Codes(which, Slot(position), kv_head);
  }
  bool coded() const { return layer->shape().format.CodeBits() != 0; }
};

/// What the queries of a sequence read: the positions as the format keeps them, and the newest ones
/// as fp16.
struct History {
  quant::KvFormat format;
  std::vector<float> mean;  ///< what all keys lack, where it does not cancel; or empty
  Pages kept;
  Pages exact;  ///< without a layer where there is no exact window
};

/// Part s of a list in CSR.
std::span<const int32_t> PartOf(std::span<const int32_t> values, std::span<const int32_t> starts,
                                size_t s) {
  return values.subspan(static_cast<size_t>(starts[s]),
                        static_cast<size_t>(starts[s + 1] - starts[s]));
}

/// The mean that was taken from a head's keys, rotated as they are. Without a softcap it adds the
/// same to each score of a query, which cancels in the softmax.
std::vector<float> MeanToRestore(const KvShape& kv, int64_t kv_head, const AttentionShape& shape) {
  if (shape.softcap == 0.0f || kv.format.key_mean.empty()) return {};
  const auto first = kv.format.key_mean.begin() + kv_head * kv.head_dim;
  std::vector<float> mean(first, first + kv.head_dim);
  if (kv.format.hadamard) quant::RotateHead(mean);
  return mean;
}

History HistoryOf(const KvLayer& kv, int64_t kv_head, const StepView& step, size_t s,
                  const AttentionShape& shape) {
  const std::span<const int32_t> pages = PartOf(step.pages, step.page_starts, s);
  History history{.format = kv.shape().format,
                  .mean = MeanToRestore(kv.shape(), kv_head, shape),
                  .kept = {&ReferenceKvLayer::Of(kv), kv_head, pages, 0},
                  .exact = {}};
  if (history.format.exact_window == 0) return history;
  // Exact pages lie beside the last ones, some of which may not be used yet.
  const std::span<const int32_t> exact = PartOf(step.exact_pages, step.exact_starts, s);
  history.exact = {&ReferenceKvLayer::ExactOf(kv), kv_head, exact,
                   std::ssize(pages) - std::ssize(exact)};
  return history;
}

/// A query: as it is, and in integers.
struct Query {
  std::span<const float> q;
  float of_mean = 0.0f;  ///< q · mean of the keys
  std::vector<int32_t> codes;
  float scale = 1.0f;
  float sum = 0.0f;  ///< of codes

  Query(std::span<const float> values, const History& history) : q(values) {
    const auto d = static_cast<int64_t>(q.size());
    if (!history.mean.empty()) of_mean = FmaChain(q.data(), history.mean.data(), d);
    if (history.kept.coded()) Encode();
  }

 private:
  void Encode() {
    float largest = 0.0f;
    for (const float x : q) largest = std::max(largest, std::isnan(x) ? 0.0f : std::abs(x));
    scale = std::clamp(largest, 0x1p-60f, 0x1p60f) / kMostQuery;
    const float inv = 1.0f / scale;
    int32_t total = 0;
    for (const float x : q) {
      const float value = std::isnan(x) ? 0.0f : std::clamp(x * inv, -kMostQuery, kMostQuery);
      codes.push_back(static_cast<int32_t>(std::nearbyint(value)));
      total += codes.back();
    }
    sum = static_cast<float>(total);
  }
  static constexpr float kMostQuery = 8191.0f;
};

/// A softmax in progress: Σ exp(s − max) and Σ exp(s − max) · v over the positions seen so far.
struct Partial {
  explicit Partial(size_t d) : out(d) {}
  float max = -std::numeric_limits<float>::infinity();
  float sum = 0.0f;
  std::vector<float> out;
};

float Capped(const AttentionShape& shape, float score) {
  return shape.softcap == 0.0f ? score : shape.softcap * Tanh(score / shape.softcap);
}

/// Positions [first, end) of one tile by themselves, of floats.
Partial AttendFloats(const AttentionShape& shape, const Query& query, const Pages& pages,
                     int64_t first, int64_t end) {
  const auto d = static_cast<int64_t>(query.q.size());
  std::vector<float> scores;
  Partial tile(query.q.size());
  for (int64_t j = first; j < end; ++j) {
    const float dot = FmaChain(query.q.data(), pages.Key(j).data(), d);
    scores.push_back(Capped(shape, (dot + query.of_mean) / shape.ScoreDivisor()));
    tile.max = std::max(tile.max, scores.back());
  }
  for (int64_t j = first; j < end; ++j) {
    const float p = ExpOfScore(scores[static_cast<size_t>(j - first)] - tile.max);
    tile.sum += p;
    FmaEach(p, pages.Value(j).data(), d, tile.out.data());
  }
  return tile;
}

/// A sum over a tile's positions: 16 lanes, position j in lane j mod 16, added pairwise at the end.
struct LaneSum {
  float lanes[16] = {};
  float Total() const {
    float sums[16];
    std::copy_n(lanes, 16, sums);
    for (int half = 8; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) sums[i] += sums[i + half];
    }
    return sums[0];
  }
};

/// The scores of positions [first, end) of codes.
std::vector<float> CodeScores(const AttentionShape& shape, const Query& query, const Pages& pages,
                              int64_t first, int64_t end) {
  const float factor = query.scale / shape.ScoreDivisor();
  const float mean = query.of_mean / shape.ScoreDivisor();
  std::vector<float> scores;
  for (int64_t j = first; j < end; ++j) {
    const CodedRow key = pages.Codes(0, j);
    int32_t dot = 0;
    for (size_t i = 0; i < key.codes.size(); ++i) dot += query.codes[i] * int32_t{key.codes[i]};
    const float product = std::fma(key.scale, static_cast<float>(dot), key.offset * query.sum);
    scores.push_back(Capped(shape, std::fma(product, factor, mean)));
  }
  return scores;
}

/// Positions [first, end) of one tile by themselves, of codes.
Partial AttendCodes(const AttentionShape& shape, const Query& query, const Pages& pages,
                    int64_t first, int64_t end) {
  constexpr float kMostWeight = 16383.0f;
  const std::vector<float> scores = CodeScores(shape, query, pages, first, end);
  Partial tile(query.q.size());
  for (const float score : scores) tile.max = std::max(tile.max, score);
  LaneSum sum, base;
  std::vector<float> weights;
  float heaviest = 0.0f;
  for (int64_t j = first; j < end; ++j) {
    const float p = ExpOfScore(scores[static_cast<size_t>(j - first)] - tile.max);
    const CodedRow value = pages.Codes(1, j);
    sum.lanes[j % 16] += p;
    base.lanes[j % 16] = std::fma(p, value.offset, base.lanes[j % 16]);
    const float weight = p * value.scale;
    weights.push_back(std::isnan(weight) ? 0.0f : weight);
    heaviest = std::max(heaviest, weights.back());
  }
  tile.sum = sum.Total();
  const float scale = std::max(heaviest * (1.0f / kMostWeight), 0x1p-100f);
  const float inv = 1.0f / scale;
  std::vector<int32_t> sums(query.q.size());
  for (int64_t j = first; j < end; ++j) {
    const CodedRow value = pages.Codes(1, j);
    const float weight = weights[static_cast<size_t>(j - first)];
    const auto code = static_cast<int32_t>(std::nearbyint(weight * inv));
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += code * int32_t{value.codes[i]};
  }
  for (size_t i = 0; i < sums.size(); ++i) {
    tile.out[i] = std::fma(scale, static_cast<float>(sums[i]), base.Total());
  }
  return tile;
}

void Merge(const Partial& tile, Partial& all) {
  const float max = std::max(all.max, tile.max);
  const float old_factor = ExpOfScore(all.max - max);
  const float new_factor = ExpOfScore(tile.max - max);
  all.max = max;
  all.sum = all.sum * old_factor + tile.sum * new_factor;
  for (size_t i = 0; i < all.out.size(); ++i) {
    all.out[i] = all.out[i] * old_factor + tile.out[i] * new_factor;
  }
}

/// One query over all positions that it sees; tiles lie at absolute positions, and one of which it
/// reads some exactly is two.
void Attend(const AttentionShape& shape, std::span<const float> q, const History& history,
            int64_t position, std::span<float> out) {
  const Query query(q, history);
  const int64_t end = position + 1;
  const int64_t exact_from = history.format.FirstExact(position);
  Partial all(q.size());
  for (int64_t first = shape.FirstVisible(position); first < end;) {
    int64_t next = std::min(first / kTilePositions * kTilePositions + kTilePositions, end);
    if (first >= exact_from) {
      Merge(AttendFloats(shape, query, history.exact, first, next), all);
    } else {
      next = std::min(next, exact_from);
      const bool coded = history.kept.coded();
      Merge((coded ? AttendCodes : AttendFloats)(shape, query, history.kept, first, next), all);
    }
    first = next;
  }
  for (size_t i = 0; i < out.size(); ++i) out[i] = all.out[i] / all.sum;
}

}  // namespace

void ReferenceBackend::Attention(const DeviceTensor& qkv, const AttentionShape& shape,
                                 const KvLayer& kv, const DeviceTensor& out) {
  ATOM_CHECK(out.rows == qkv.rows && out.cols == shape.heads * shape.head_dim,
             "output {} x {}, expected {} x {}", out.rows, out.cols, qkv.rows,
             shape.heads * shape.head_dim);
  ATOM_CHECK(shape.heads % shape.kv_heads == 0, "{} heads, {} KV heads", shape.heads,
             shape.kv_heads);
  const auto d = static_cast<size_t>(shape.head_dim);
  const int64_t group = shape.heads / shape.kv_heads;  // query heads that share a KV head

  pool_.ParallelFor(step().sequences() * shape.kv_heads, [&](int64_t task, int) {
    const int64_t sequence = task / shape.kv_heads;
    const int64_t kv_head = task % shape.kv_heads;
    const auto s = static_cast<size_t>(sequence);
    const History history = HistoryOf(kv, kv_head, step(), s, shape);
    for (int64_t row = step().query_starts[s]; row < step().query_starts[s + 1]; ++row) {
      const int64_t position = step().positions[static_cast<size_t>(row)];
      for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        const size_t column = static_cast<size_t>(head) * d;
        Attend(shape, Row(qkv, row).subspan(column, d), history, position,
               Row(out, row).subspan(column, d));
      }
    }
  });
}

}  // namespace atom::kernels::reference
