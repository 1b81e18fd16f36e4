#include "atom/pipeline/kv_calibration.h"

#include <algorithm>
#include <limits>
#include <span>

#include "atom/core/check.h"
#include "atom/pipeline/clip_search.h"
#include "atom/quant/head_hadamard.h"
#include "atom/quant/kv_quant.h"

namespace atom::pipeline {
namespace {

constexpr int64_t kClipSamples = 2;  // windows whose rows the search for ratios keeps
constexpr int64_t kClipStride = 4;   // one of so many tokens

/// sum += x * x^T.
void AddOuter(std::span<const float> x, std::span<float> sum) {
  const size_t d = x.size();
  for (size_t i = 0; i < d; ++i) {
    for (size_t j = 0; j < d; ++j) sum[i * d + j] += x[i] * x[j];
  }
}

/// e^T * G * e. G is symmetric, so that all dot products with its rows grow side by side; `dots`
/// has room for them.
double WeightedError(std::span<const float> e, std::span<const float> gram, std::span<float> dots) {
  const size_t d = e.size();
  std::ranges::fill(dots, 0.0f);
  for (size_t j = 0; j < d; ++j) {
    const float* row = gram.data() + j * d;
    for (size_t i = 0; i < d; ++i) dots[i] += row[i] * e[j];
  }
  double sum = 0.0;
  for (size_t i = 0; i < d; ++i) sum += static_cast<double>(e[i]) * dots[i];
  return sum;
}

/// What the search for one head's ratio looks at.
struct HeadSample {
  std::vector<float> rows;  ///< [rows][head_dim] of K or V
  std::vector<float> gram;  ///< [head_dim][head_dim]: how errors of channels count
};

/// Keeps what appended keys and values tell; the layer's KV is unquantized.
class KvObserver : public model::SiteObserver {
 public:
  KvObserver(kernels::Backend& backend, ThreadPool& pool, const model::AttentionSpec& spec,
             bool rotates)
      : backend_(backend),
        pool_(pool),
        spec_(spec),
        rotates_(rotates),
        sums_(static_cast<size_t>(spec.kv_width()), 0.0),
        keys_(static_cast<size_t>(spec.kv_heads)),
        values_(static_cast<size_t>(spec.kv_heads)) {
    for (HeadSample& head : keys_) {
      head.gram.assign(static_cast<size_t>(spec.head_dim * spec.head_dim), 0.0f);
    }
  }

  void OnSite(const artifact::SiteName&, const kernels::PackedActivation&) override {
    done_ = false;  // a step begins: it ends at OnKv
  }
  bool done() const override { return done_; }

  void OnKv(const kernels::DeviceTensor& qkv, const kernels::KvLayer& kv) override {
    const bool keeps_rows = samples_ < kClipSamples;
    ReadPages(kv, qkv.rows, keeps_rows);
    if (keeps_rows) ReadQueries(qkv);
    ++samples_;
    done_ = true;
  }

  std::vector<float> KeyMean() const {
    std::vector<float> mean(sums_.size());
    const auto count = static_cast<double>(std::max<int64_t>(1, counted_));
    for (size_t i = 0; i < mean.size(); ++i) mean[i] = static_cast<float>(sums_[i] / count);
    return mean;
  }
  std::vector<HeadSample>& keys() { return keys_; }
  std::vector<HeadSample>& values() { return values_; }

 private:
  /// The window's positions lie in pages 0, 1, …, one sequence alone.
  void ReadPages(const kernels::KvLayer& kv, int64_t positions, bool keeps_rows) {
    const int64_t per_page = backend_.kv_page_positions();
    for (int64_t first = 0; first < positions; first += per_page) {
      const kernels::UnpackedKvPage page = backend_.Unpack(kv, first / per_page);
      const int64_t count = std::min(per_page, positions - first);
      for (int64_t head = 0; head < spec_.kv_heads; ++head) {
        for (int64_t i = 0; i < count; ++i) {
          const auto at = static_cast<size_t>((head * per_page + i) * spec_.head_dim);
          const auto d = static_cast<size_t>(spec_.head_dim);
          const auto key = std::span(page.keys).subspan(at, d);
          if (first + i >= kKvSkippedTokens) AddToMean(head, key);
          if (!keeps_rows || (first + i) % kClipStride != 0) continue;
          const auto value = std::span(page.values).subspan(at, d);
          HeadSample& keys = keys_[static_cast<size_t>(head)];
          HeadSample& values = values_[static_cast<size_t>(head)];
          keys.rows.insert(keys.rows.end(), key.begin(), key.end());
          values.rows.insert(values.rows.end(), value.begin(), value.end());
        }
      }
    }
    counted_ += std::max<int64_t>(0, positions - kKvSkippedTokens);
  }
  void AddToMean(int64_t head, std::span<const float> key) {
    double* sum = sums_.data() + head * spec_.head_dim;
    for (size_t i = 0; i < key.size(); ++i) sum[i] += key[i];
  }

  void ReadQueries(const kernels::DeviceTensor& qkv) {
    ATOM_CHECK(qkv.dtype == DType::kF32, "queries in {}", DTypeName(qkv.dtype));
    std::vector<float> all(static_cast<size_t>(qkv.rows * qkv.stride));
    backend_.Download(qkv.data, std::as_writable_bytes(std::span(all)));
    const int64_t shared = spec_.heads / spec_.kv_heads;
    pool_.ParallelFor(spec_.kv_heads, [&](int64_t kv_head, int /*worker*/) {
      std::vector<float> query(static_cast<size_t>(spec_.head_dim));
      for (int64_t row = 0; row < qkv.rows; row += kClipStride) {
        for (int64_t head = kv_head * shared; head < (kv_head + 1) * shared; ++head) {
          std::copy_n(all.begin() + row * qkv.stride + head * spec_.head_dim, spec_.head_dim,
                      query.begin());
          if (rotates_) quant::RotateHead(query);
          AddOuter(query, keys_[static_cast<size_t>(kv_head)].gram);
        }
      }
    });
  }

  kernels::Backend& backend_;
  ThreadPool& pool_;
  const model::AttentionSpec& spec_;
  bool rotates_;
  bool done_ = false;
  int64_t samples_ = 0;
  int64_t counted_ = 0;
  std::vector<double> sums_;
  std::vector<HeadSample> keys_;
  std::vector<HeadSample> values_;
};

/// Per KV head, the sum of W_h^T * W_h over its query heads, W_h the columns of o that read one.
void WeighByOutput(const model::AttentionSpec& spec, const artifact::HostLayer& source,
                   ThreadPool& pool, std::vector<HeadSample>& heads) {
  const std::vector<float> o = source[artifact::LinearRole::kO].ToFloats();
  const auto d = static_cast<size_t>(spec.head_dim);
  const int64_t shared = spec.heads / spec.kv_heads;
  pool.ParallelFor(std::ssize(heads), [&](int64_t kv_head, int /*worker*/) {
    std::vector<float>& gram = heads[static_cast<size_t>(kv_head)].gram;
    gram.assign(d * d, 0.0f);
    const size_t width = static_cast<size_t>(spec.heads) * d;
    const size_t begin = static_cast<size_t>(kv_head * shared) * d;
    for (size_t row = 0; row < o.size(); row += width) {
      for (int64_t head = 0; head < shared; ++head) {
        AddOuter(std::span(o).subspan(row + begin + static_cast<size_t>(head) * d, d), gram);
      }
    }
  });
}

float SearchHeadClip(const quant::KvFormat& format, const HeadSample& sample, size_t d) {
  float best = 1.0f;
  double least = std::numeric_limits<double>::infinity();
  std::vector<float> difference(d);
  std::vector<float> dots(d);
  for (const float clip : ClipGrid()) {
    double error = 0.0;
    for (size_t at = 0; at < sample.rows.size(); at += d) {
      const auto row = std::span(sample.rows).subspan(at, d);
      std::ranges::copy(row, difference.begin());
      quant::FakeQuantizeKv(format, clip, difference);
      for (size_t i = 0; i < d; ++i) difference[i] = row[i] - difference[i];
      error += WeightedError(difference, sample.gram, dots);
    }
    if (error < least) {
      least = error;
      best = clip;
    }
  }
  return best;
}

}  // namespace

bool NeedsKvCalibration(const quant::Recipe& recipe) {
  return recipe.kv.removes_mean() || recipe.kv.has_head_clips();
}

KvCalibration CalibrateKv(const LayerContext& context, const artifact::HostLayer& source,
                          const artifact::HostLayer& layer) {
  KvCalibration result;
  if (!NeedsKvCalibration(context.recipe)) return result;
  kernels::Backend& backend = context.transformer.backend();
  const model::AttentionSpec& spec = context.spec.attention;
  const quant::KvRecipe& recipe = context.recipe.kv;
  const int64_t samples = std::min(kKvSamples, context.stream.samples());
  KvObserver observer(backend, context.algebra.pool(), spec, recipe.rotates());
  context.stream.RunLayer(model::DeviceLayer(backend, context.spec, layer), samples,
                          CalibrationStream::Keep::kInput, &observer, nullptr, nullptr);
  if (recipe.removes_mean()) result.key_mean = observer.KeyMean();
  if (!recipe.has_head_clips()) return result;

  const auto d = static_cast<size_t>(spec.head_dim);
  quant::KvFormat format = quant::KvFormatFor(context.recipe, /*simulated=*/true);
  format.key_mean = result.key_mean;
  WeighByOutput(spec, source, context.algebra.pool(), observer.values());
  const int64_t heads = spec.kv_heads;
  result.head_clips.resize(static_cast<size_t>(2 * heads));
  context.algebra.pool().ParallelFor(2 * heads, [&](int64_t task, int /*worker*/) {
    const bool of_keys = task < heads;
    HeadSample& head =
        (of_keys ? observer.keys()
                 : observer.values())[static_cast<size_t>(of_keys ? task : task - heads)];
    for (size_t at = 0; of_keys && at < head.rows.size(); at += d) {
      quant::TransformKey(format, task, std::span(head.rows).subspan(at, d));
    }
    result.head_clips[static_cast<size_t>(task)] = SearchHeadClip(format, head, d);
  });
  return result;
}

}  // namespace atom::pipeline
