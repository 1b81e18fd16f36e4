#include "atom/pipeline/clip_search.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <vector>

#include "atom/core/check.h"
#include "atom/pipeline/site_observers.h"
#include "atom/quant/group_quant.h"
#include "atom/quant/quantize_weight.h"

namespace atom::pipeline {

using artifact::SiteName;

namespace {

constexpr std::array kGrid = {1.0f, 0.95f, 0.9f, 0.85f, 0.8f, 0.75f,
                              0.7f, 0.65f, 0.6f, 0.55f, 0.5f};
constexpr int64_t kSearchSamples = 2;  // windows of the stream that a search looks at
constexpr int64_t kSearchRows = 512;   // tokens of each site that a search keeps
constexpr int32_t kSearchExperts = 8;  // whose gate and up a search looks at

/// Keeps the first unquantized input rows of every site; experts' sites share theirs.
class FirstRows : public model::SiteObserver {
 public:
  explicit FirstRows(const kernels::Backend& backend) : backend_(backend) {}
  void OnSite(const SiteName& site, const kernels::PackedActivation& input) override {
    Keep(site, input);
  }
  void OnExperts(artifact::SiteRole site, const kernels::PackedActivation& input,
                 const kernels::ExpertRouting& routing) override {
    const int64_t taken = Keep(site, input);
    const std::vector<int32_t> experts = backend_.Unpack(routing).experts;
    experts_.insert(experts_.end(), experts.begin(), experts.begin() + taken);
  }
  std::span<const float> Of(const SiteName& site) const { return rows_.at(site.role); }
  /// Of each row of the experts' sites.
  std::span<const int32_t> experts() const { return experts_; }

 private:
  int64_t Keep(const SiteName& site, const kernels::PackedActivation& input) {
    std::vector<float>& rows = rows_[site];
    const int64_t missing = kSearchRows - static_cast<int64_t>(rows.size()) / input.k();
    const int64_t take = std::min(missing, input.rows());
    if (take <= 0) return 0;
    const kernels::UnpackedActivation x = backend_.Unpack(input);
    rows.insert(rows.end(), x.dense.begin(), x.dense.begin() + take * input.k());
    return take;
  }

  const kernels::Backend& backend_;
  std::map<SiteName, std::vector<float>> rows_;
  std::vector<int32_t> experts_;
};

std::vector<float> Transposed(std::span<const float> w, int64_t n, int64_t k) {
  std::vector<float> out(w.size());
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t column = 0; column < k; ++column) {
      out[static_cast<size_t>(column * n + row)] = w[static_cast<size_t>(row * k + column)];
    }
  }
  return out;
}

double SquaredSum(std::span<const float> values) {
  double sum = 0.0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return sum;
}

/// ‖(X − Q(X))·Wᵀ‖² for one linear, W transposed [k][n].
double OutputErrorOf(std::span<const float> difference, std::span<const float> transposed,
                     int64_t rows, int64_t n, int64_t k, quant::DenseAlgebra& algebra) {
  std::vector<float> out(static_cast<size_t>(rows * n), 0.0f);
  algebra.SubtractProduct(rows, n, k, difference.data(), k, transposed.data(), n, out.data(), n);
  return SquaredSum(out);
}

/// A linear behind a site, and the rows that it reads: all, or those of its expert.
struct SearchReader {
  std::vector<float> transposed;
  int64_t n = 0;
  std::optional<std::vector<int64_t>> rows = {};
};

std::vector<SearchReader> ReadersOf(const artifact::HostLayer& layer, artifact::SiteRole role,
                                    std::span<const int32_t> experts) {
  std::vector<SearchReader> readers;
  for (const artifact::HostLinear& linear : layer.linears) {
    const SiteName input = artifact::InputSite(linear.name);
    if (input.role != role) continue;
    SearchReader reader{.transposed = {}, .n = linear.n()};
    if (input.expert != artifact::kNoExpert) {
      reader.rows.emplace();
      for (size_t row = 0; row < experts.size(); ++row) {
        if (experts[row] == input.expert) reader.rows->push_back(static_cast<int64_t>(row));
      }
      if (reader.rows->empty()) continue;
    } else if (linear.name.expert >= kSearchExperts) {
      continue;
    }
    reader.transposed = Transposed(linear.ToFloats(), linear.n(), linear.k());
    readers.push_back(std::move(reader));
  }
  return readers;
}

double ErrorOfReader(const SearchReader& reader, std::span<const float> difference, int64_t k,
                     quant::DenseAlgebra& algebra) {
  const int64_t all = std::ssize(difference) / k;
  if (!reader.rows) return OutputErrorOf(difference, reader.transposed, all, reader.n, k, algebra);
  std::vector<float> gathered;
  for (const int64_t row : *reader.rows) {
    const auto from = difference.subspan(static_cast<size_t>(row * k), static_cast<size_t>(k));
    gathered.insert(gathered.end(), from.begin(), from.end());
  }
  return OutputErrorOf(gathered, reader.transposed, std::ssize(*reader.rows), reader.n, k, algebra);
}

float SearchSite(const LayerContext& context, const artifact::HostLayer& layer,
                 const SiteName& site, std::span<const float> x, std::span<const int32_t> experts) {
  const std::vector<SearchReader> readers = ReadersOf(layer, site.role, experts);
  const int64_t k = std::ssize(readers.front().transposed) / readers.front().n;
  const int64_t rows = static_cast<int64_t>(x.size()) / k;
  quant::ActivationFormat format = quant::ActivationFormatFor(context.recipe, k, true);
  float best = 1.0f;
  double least = std::numeric_limits<double>::infinity();
  for (const float clip : kGrid) {
    format.clip = clip;
    std::vector<float> difference(x.begin(), x.end());
    for (int64_t row = 0; row < rows; ++row) {
      const auto quantized =
          std::span(difference).subspan(static_cast<size_t>(row * k), static_cast<size_t>(k));
      quant::FakeQuantizeActivation(format, quantized);
    }
    for (size_t i = 0; i < x.size(); ++i) difference[i] = x[i] - difference[i];
    double error = 0.0;
    for (const SearchReader& reader : readers) {
      error += ErrorOfReader(reader, difference, k, context.algebra);
    }
    if (error < least) {
      least = error;
      best = clip;
    }
  }
  return best;
}

}  // namespace

std::span<const float> ClipGrid() { return kGrid; }

void SearchActivationClips(const LayerContext& context, const artifact::HostLayer& layer,
                           artifact::LayerClips& clips) {
  if (!context.recipe.activation.clip.search || context.recipe.activation.bits == 16) return;
  kernels::Backend& backend = context.transformer.backend();
  const model::DeviceLayer device(backend, context.spec, layer);  // formats still unquantized
  FirstRows rows(backend);
  const int64_t samples = std::min(kSearchSamples, context.stream.samples());
  context.stream.RunLayer(device, samples, CalibrationStream::Keep::kInput, &rows, nullptr,
                          nullptr);
  std::map<artifact::SiteRole, float> found;  // experts' sites have one ratio
  for (auto& [site, clip] : clips.activation) {
    if (!found.contains(site.role)) {
      found[site.role] = SearchSite(context, layer, site, rows.Of(site), rows.experts());
    }
    clip = found[site.role];
  }
}

void SearchKvClip(const LayerContext& context, const artifact::HostLayer& layer,
                  artifact::LayerClips& clips) {
  const quant::KvRecipe& kv = context.recipe.kv;
  if (!kv.clip.search || kv.clip_per_head || !kv.quantized()) return;
  kernels::Backend& backend = context.transformer.backend();
  const int64_t samples = std::min(kSearchSamples, context.stream.samples());
  std::vector<std::vector<float>> expected;
  context.stream.RunLayer(
      model::DeviceLayer(backend, context.spec, layer), samples, CalibrationStream::Keep::kInput,
      nullptr,
      [&](int64_t, std::span<const float>, std::span<const float> output) {
        expected.emplace_back(output.begin(), output.end());
      },
      nullptr);
  artifact::HostLayer candidate =
      PermuteLayer(layer, {}, context.algebra.pool());  // a copy; permutations do not matter
  for (const artifact::HostSite& site : layer.sites) {
    candidate[site.name].permutation = site.permutation;
    candidate[site.name].format = site.format;
  }
  double least = std::numeric_limits<double>::infinity();
  for (const float clip : kGrid) {
    candidate.kv = quant::KvFormatFor(context.recipe, true);
    candidate.kv.clip = clip;
    candidate.kv.key_mean = layer.kv.key_mean;
    double error = 0.0;
    context.stream.RunLayer(
        model::DeviceLayer(backend, context.spec, candidate), samples,
        CalibrationStream::Keep::kInput, nullptr,
        [&](int64_t sample, std::span<const float>, std::span<const float> output) {
          const std::vector<float>& want = expected[static_cast<size_t>(sample)];
          for (size_t i = 0; i < output.size(); ++i) {
            const double d = static_cast<double>(output[i]) - want[i];
            error += d * d;
          }
        },
        nullptr);
    if (error < least) {
      least = error;
      clips.kv = clip;
    }
  }
}

float SearchWeightClip(const LayerContext& context, std::span<const float> w, int64_t n, int64_t k,
                       std::span<const float> gram) {
  quant::WeightFormat format = quant::WeightFormatFor(context.recipe);
  format.gptq = false;
  float best = 1.0f;
  double least = std::numeric_limits<double>::infinity();
  for (const float clip : kGrid) {
    format.clip = clip;
    const Result<quant::QuantizedWeight> rounded =
        quant::QuantizeWeight(w, n, k, format, {}, context.algebra);
    if (!rounded.ok()) return best;  // the caller's own attempt reports why
    const double error =
        quant::MeasureOutputError(w, rounded->dense, n, k, gram, context.algebra).error;
    if (error < least) {
      least = error;
      best = clip;
    }
  }
  if (!context.recipe.weight.gptq) return best;
  const auto levels = static_cast<float>((1 << format.bits) - 1);
  const auto positive = static_cast<float>((1 << (format.bits - 1)) - 1);
  return best * levels / (2.0f * positive);
}

}  // namespace atom::pipeline
