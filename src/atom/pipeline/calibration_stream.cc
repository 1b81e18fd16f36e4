#include "atom/pipeline/calibration_stream.h"

#include <algorithm>
#include <cmath>

#include "atom/core/check.h"

namespace atom::pipeline {

CalibrationStream::CalibrationStream(model::Transformer& transformer,
                                     const std::vector<TokenWindow>& windows, HiddenStore store)
    : transformer_(transformer),
      windows_(windows),
      samples_(store.samples()),
      rows_(store.rows()),
      on_host_(std::move(store)) {
  ATOM_CHECK(samples_ <= std::ssize(windows), "{} samples of {} windows", samples_, windows.size());
}

CalibrationStream::CalibrationStream(model::Transformer& transformer,
                                     const std::vector<TokenWindow>& windows, int64_t samples,
                                     std::unique_ptr<kernels::SampleStore> store)
    : transformer_(transformer),
      windows_(windows),
      samples_(samples),
      rows_(windows.empty() ? 0 : std::ssize(windows.front())),
      on_device_(std::move(store)) {
  ATOM_CHECK(samples_ <= std::ssize(windows), "{} samples of {} windows", samples_, windows.size());
}

void CalibrationStream::Write(int64_t sample, const kernels::DeviceTensor& hidden) {
  if (on_device_) return on_device_->Write(sample, hidden);
  const std::vector<float> values = Download(hidden);
  finite_ &= std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
  on_host_->Write(sample, values);
}

bool CalibrationStream::finite() const { return on_device_ ? on_device_->finite() : finite_; }

void CalibrationStream::Read(int64_t sample, const kernels::DeviceTensor& hidden) {
  if (on_device_) return on_device_->Read(sample, hidden);
  input_.resize(static_cast<size_t>(hidden.rows * hidden.cols));
  on_host_->Read(sample, input_);
  transformer_.backend().Upload(std::as_bytes(std::span(input_)), hidden.data);
}

std::vector<float> CalibrationStream::Download(const kernels::DeviceTensor& hidden) const {
  std::vector<float> values(static_cast<size_t>(hidden.rows * hidden.cols));
  transformer_.backend().Download(hidden.data, std::as_writable_bytes(std::span(values)));
  return values;
}

void CalibrationStream::EmbedAll(Progress* progress) {
  const kernels::PagePool pool = transformer_.SequencePool(rows_, 0);
  for (int64_t sample = 0; sample < samples(); ++sample) {
    const kernels::Batch batch =
        kernels::SingleSequence(windows_[static_cast<size_t>(sample)], 0, pool);
    transformer_.BeginStep(batch, pool);
    Write(sample, model::RowRange(transformer_.Embed(), 0, batch.rows()));
    if (progress != nullptr) progress->Advance();
  }
}

kernels::PagePool CalibrationStream::PoolOf(const model::DeviceLayer& layer) const {
  return transformer_.SequencePool(rows_, layer.kv_format().exact_window);
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
  const kernels::DeviceTensor padded = transformer_.Embed();  // its rows: the layer works there
  const kernels::DeviceTensor hidden = model::RowRange(padded, 0, batch.rows());
  Read(sample, hidden);
  if (inspect) input_ = Download(hidden);
  transformer_.RunLayer(step.layer, step.kv, padded, observer, step.part);
  if (inspect) inspect(sample, input_, Download(hidden));
  if (step.keep == Keep::kOutput) Write(sample, hidden);
}

void CalibrationStream::RunLayer(const model::DeviceLayer& layer, int64_t count, Keep keep,
                                 model::SiteObserver* observer, const Inspect& inspect,
                                 Progress* progress, model::LayerPart part, int64_t inspected) {
  const std::unique_ptr<kernels::KvLayer> kv = MakeKv(layer);
  transformer_.Prepare(layer);
  for (int64_t sample = 0; sample < count; ++sample) {
    RunSample({.layer = layer, .kv = *kv, .part = part, .keep = keep}, sample, observer,
              sample < inspected ? inspect : nullptr);
    if (progress != nullptr) progress->Advance();
  }
}

}  // namespace atom::pipeline
