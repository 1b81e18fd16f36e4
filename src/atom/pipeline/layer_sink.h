// Where quantized layers go, in order: into an artifact (resumable), or straight into a model in
// memory for an evaluation.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "atom/artifact/layer.h"
#include "atom/artifact/quantization_config.h"
#include "atom/artifact/writer.h"
#include "atom/core/result.h"
#include "atom/model/transformer.h"

namespace atom::pipeline {

class LayerSink {
 public:
  virtual ~LayerSink() = default;
  /// Layers [0, finished) need not be quantized again.
  virtual int64_t finished_layers() const = 0;
  /// A finished layer. `config` holds at least that layer's clips.
  virtual Result<artifact::HostLayer> ReadLayer(int64_t layer, const artifact::LayerShape& shape,
                                                const artifact::QuantizationConfig& config) = 0;
  virtual Status WriteLayer(int64_t layer, artifact::HostLayer host) = 0;
  /// Small results that a resumed run needs.
  virtual Status WriteState(const std::string& name, const std::string& bytes) = 0;
  virtual Result<std::optional<std::string>> ReadState(const std::string& name) = 0;
};

class ArtifactSink : public LayerSink {
 public:
  explicit ArtifactSink(artifact::ArtifactWriter& writer) : writer_(writer) {}
  int64_t finished_layers() const override { return writer_.finished_layers(); }
  Result<artifact::HostLayer> ReadLayer(int64_t layer, const artifact::LayerShape& shape,
                                        const artifact::QuantizationConfig& config) override {
    return writer_.ReadLayer(layer, shape, config);
  }
  Status WriteLayer(int64_t layer, artifact::HostLayer host) override {
    return writer_.WriteLayer(layer, host);
  }
  Status WriteState(const std::string& name, const std::string& bytes) override {
    return writer_.WriteState(name, bytes);
  }
  Result<std::optional<std::string>> ReadState(const std::string& name) override {
    return writer_.ReadState(name);
  }

 private:
  artifact::ArtifactWriter& writer_;
};

/// Adds each layer to a transformer; nothing is kept on disk.
class TransformerSink : public LayerSink {
 public:
  explicit TransformerSink(model::Transformer& transformer) : transformer_(transformer) {}
  int64_t finished_layers() const override { return 0; }
  Result<artifact::HostLayer> ReadLayer(int64_t layer, const artifact::LayerShape& shape,
                                        const artifact::QuantizationConfig& config) override;
  Status WriteLayer(int64_t layer, artifact::HostLayer host) override;
  Status WriteState(const std::string& name, const std::string& bytes) override;
  Result<std::optional<std::string>> ReadState(const std::string& name) override;

 private:
  model::Transformer& transformer_;
};

}  // namespace atom::pipeline
