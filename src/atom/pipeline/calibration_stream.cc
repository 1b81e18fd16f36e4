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
  const kernels::PagePool pool = transformer_.SequencePool(store_.rows(), 0);
  for (int64_t sample = 0; sample < samples(); ++sample) {
    const kernels::Batch batch =
        kernels::SingleSequence(windows_[static_cast<size_t>(sample)], 0, pool);
    transformer_.BeginStep(batch, pool);
    store_.Write(sample, Download(model::RowRange(transformer_.Embed(), 0, batch.rows())));
    if (progress != nullptr) progress->Advance();
  }
}

void CalibrationStream::RunLayer(const model::DeviceLayer& layer, int64_t count, Keep keep,
                                 model::SiteObserver* observer, const Inspect& inspect,
                                 Progress* progress) {
  kernels::Backend& backend = transformer_.backend();
  const model::AttentionSpec& attention = layer.spec.attention;
  const kernels::PagePool pool =
      transformer_.SequencePool(store_.rows(), layer.kv_format().exact_window);
  const std::unique_ptr<kernels::KvLayer> kv =
      backend.MakeKvLayer({layer.kv_format(), attention.kv_heads, attention.head_dim}, pool);
  transformer_.Prepare(layer);
  std::vector<float> input(static_cast<size_t>(store_.rows() * store_.hidden()));
  for (int64_t sample = 0; sample < count; ++sample) {
    const kernels::Batch batch =
        kernels::SingleSequence(windows_[static_cast<size_t>(sample)], 0, pool);
    transformer_.BeginStep(batch, pool);
    const kernels::DeviceTensor hidden = transformer_.Embed();  // its rows: the layer works there
    store_.Read(sample, input);
    backend.Upload(std::as_bytes(std::span(input)), hidden.data);
    transformer_.RunLayer(layer, *kv, hidden, observer);
    if (keep == Keep::kOutput || inspect) {
      const std::vector<float> output = Download(model::RowRange(hidden, 0, batch.rows()));
      if (inspect) inspect(sample, input, output);
      if (keep == Keep::kOutput) store_.Write(sample, output);
    }
    if (progress != nullptr) progress->Advance();
  }
}

}  // namespace atom::pipeline
