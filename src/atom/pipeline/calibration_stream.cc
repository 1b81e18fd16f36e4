#include "atom/pipeline/calibration_stream.h"

#include <algorithm>
#include <cmath>

#include "atom/core/check.h"

namespace atom::pipeline {

CalibrationStream::CalibrationStream(model::Transformer& transformer,
                                     const std::vector<TokenWindow>& windows, HiddenStore store)
    : transformer_(transformer), windows_(windows), store_(std::move(store)) {
  ATOM_CHECK(store_.samples() <= static_cast<int64_t>(windows.size()), "{} samples of {} windows",
             store_.samples(), windows.size());
}

std::vector<float> CalibrationStream::Download(const kernels::DeviceTensor& hidden) const {
  std::vector<float> values(static_cast<size_t>(hidden.rows * hidden.cols));
  transformer_.backend().Download(hidden.data, std::as_writable_bytes(std::span(values)));
  return values;
}

void CalibrationStream::EmbedAll(Progress* progress) {
  const kernels::PagePool pool = transformer_.SequencePool(store_.rows(), 0);
  for (int64_t sample = 0; sample < samples(); ++sample) {
    const kernels::Batch batch =
        kernels::SingleSequence(windows_[static_cast<size_t>(sample)], 0, pool);
    transformer_.BeginStep(batch, pool);
    store_.Write(sample, Download(model::RowRange(transformer_.Embed(), 0, batch.rows())));
    if (progress != nullptr) progress->Advance();
  }
}

kernels::PagePool CalibrationStream::PoolOf(const model::DeviceLayer& layer) const {
  return transformer_.SequencePool(store_.rows(), layer.kv_format().exact_window);
}

std::unique_ptr<kernels::KvLayer> CalibrationStream::MakeKv(const model::DeviceLayer& layer) const {
  kernels::Backend& backend = transformer_.backend();
  const model::AttentionSpec& attention = layer.spec.attention;
  return backend.MakeKvLayer({layer.kv_format(), attention.kv_heads, attention.head_dim},
                             PoolOf(layer));
}

void CalibrationStream::RunSample(const Step& step, int64_t sample, model::SiteObserver* observer,
                                  const Inspect& inspect) {
  const kernels::PagePool pool = PoolOf(step.layer);
  const kernels::Batch batch =
      kernels::SingleSequence(windows_[static_cast<size_t>(sample)], 0, pool);
  transformer_.BeginStep(batch, pool);
  const kernels::DeviceTensor hidden = transformer_.Embed();  // its rows: the layer works there
  input_.resize(static_cast<size_t>(store_.rows() * store_.hidden()));
  store_.Read(sample, input_);
  transformer_.backend().Upload(std::as_bytes(std::span(input_)), hidden.data);
  transformer_.RunLayer(step.layer, step.kv, hidden, observer, step.part);
  if (step.keep == Keep::kInput && !inspect) return;
  const std::vector<float> output = Download(model::RowRange(hidden, 0, batch.rows()));
  if (inspect) inspect(sample, input_, output);
  if (step.keep != Keep::kOutput) return;
  finite_ &= std::ranges::all_of(output, [](float value) { return std::isfinite(value); });
  store_.Write(sample, output);
}

void CalibrationStream::RunLayer(const model::DeviceLayer& layer, int64_t count, Keep keep,
                                 model::SiteObserver* observer, const Inspect& inspect,
                                 Progress* progress, model::LayerPart part) {
  const std::unique_ptr<kernels::KvLayer> kv = MakeKv(layer);
  transformer_.Prepare(layer);
  for (int64_t sample = 0; sample < count; ++sample) {
    RunSample({.layer = layer, .kv = *kv, .part = part, .keep = keep}, sample, observer, inspect);
    if (progress != nullptr) progress->Advance();
  }
}

}  // namespace atom::pipeline
