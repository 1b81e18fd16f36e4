// Feeds the calibration windows through a model layer by layer: embed all once, then run each layer
// over all samples, keeping only the hidden states between two layers.
#pragma once

#include <functional>
#include <vector>

#include "atom/core/progress.h"
#include "atom/model/transformer.h"
#include "atom/pipeline/calibration.h"
#include "atom/pipeline/hidden_store.h"

namespace atom::pipeline {

class CalibrationStream {
 public:
  /// `windows` must outlive the stream; all have `store`'s rows. At most the store's samples are
  /// used. The transformer's limits must hold one window.
  CalibrationStream(model::Transformer& transformer, const std::vector<TokenWindow>& windows,
                    HiddenStore store);

  int64_t samples() const { return store_.samples(); }
  int64_t rows() const { return store_.rows(); }  ///< tokens of a sample
  /// False from the first output on that was kept and has an infinity or a NaN.
  bool finite() const { return finite_; }

  /// Puts the embeddings of every window into the store.
  void EmbedAll(Progress* progress);

  enum class Keep {
    kInput,   ///< the store stays as it is: only the observer is interested
    kOutput,  ///< the store then holds the layer's output
  };
  /// Runs the layer over samples [0, count), one step a sample; the observer sees each. `inspect`,
  /// if given, is shown (sample, input, output) [rows][hidden].
  using Inspect = std::function<void(int64_t sample, std::span<const float> input,
                                     std::span<const float> output)>;
  void RunLayer(const model::DeviceLayer& layer, int64_t count, Keep keep,
                model::SiteObserver* observer, const Inspect& inspect, Progress* progress,
                model::LayerPart part = model::LayerPart::kBoth);

  /// One sample of that. `kv` is MakeKv's, of the same layer, after Prepare.
  struct Step {
    const model::DeviceLayer& layer;
    kernels::KvLayer& kv;
    model::LayerPart part = model::LayerPart::kBoth;
    Keep keep = Keep::kInput;
  };
  void RunSample(const Step& step, int64_t sample, model::SiteObserver* observer,
                 const Inspect& inspect);
  std::unique_ptr<kernels::KvLayer> MakeKv(const model::DeviceLayer& layer) const;

 private:
  /// The pages of one sample.
  kernels::PagePool PoolOf(const model::DeviceLayer& layer) const;
  std::vector<float> Download(const kernels::DeviceTensor& hidden) const;

  model::Transformer& transformer_;
  const std::vector<TokenWindow>& windows_;
  HiddenStore store_;
  std::vector<float> input_;  // of the sample under way
  bool finite_ = true;
};

}  // namespace atom::pipeline
