#include "atom/pipeline/calibration_stream.h"

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
  for (int64_t sample = 0; sample < samples(); ++sample) {
    const kernels::Batch batch = kernels::SingleSequence(windows_[static_cast<size_t>(sample)], 0);
    transformer_.BeginStep(batch);
    store_.Write(sample, Download(transformer_.Embed()));
    if (progress != nullptr) progress->Advance();
  }
}

void CalibrationStream::RunLayer(const model::DeviceLayer& layer, int64_t count, Keep keep,
                                 model::SiteObserver* observer, const Inspect& inspect,
                                 Progress* progress) {
  kernels::Backend& backend = transformer_.backend();
  kernels::KvLayer kv = model::MakeKvLayer(backend,
                                           {.format = layer.kv_format(),
                                            .kv_heads = layer.spec.attention.kv_heads,
                                            .head_dim = layer.spec.attention.head_dim},
                                           model::PagesFor(store_.rows()));
  std::vector<float> input(static_cast<size_t>(store_.rows() * store_.hidden()));
  for (int64_t sample = 0; sample < count; ++sample) {
    const kernels::Batch batch = kernels::SingleSequence(windows_[static_cast<size_t>(sample)], 0);
    transformer_.BeginStep(batch);
    const kernels::DeviceTensor hidden = transformer_.Embed();  // its rows: the layer works there
    store_.Read(sample, input);
    backend.Upload(std::as_bytes(std::span(input)), hidden.data);
    transformer_.RunLayer(layer, kv, hidden, observer);
    if (keep == Keep::kOutput || inspect) {
      const std::vector<float> output = Download(hidden);
      if (inspect) inspect(sample, input, output);
      if (keep == Keep::kOutput) store_.Write(sample, output);
    }
    if (progress != nullptr) progress->Advance();
  }
}

}  // namespace atom::pipeline
