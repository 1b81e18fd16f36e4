#include "atom/pipeline/layer_sink.h"

#include "atom/core/check.h"

namespace atom::pipeline {

Result<artifact::HostLayer> TransformerSink::ReadLayer(int64_t layer, const artifact::LayerShape&,
                                                       const artifact::QuantizationConfig&) {
  ATOM_CHECK(false, "layer {} was not kept on the host", layer);
}

Status TransformerSink::WriteLayer(int64_t layer, artifact::HostLayer host) {
  ATOM_CHECK(layer == transformer_.layers(), "layer {} after {}", layer, transformer_.layers());
  transformer_.AddLayer(host);
  return {};
}

Status TransformerSink::WriteState(const std::string&, const std::string&) { return {}; }

Result<std::optional<std::string>> TransformerSink::ReadState(const std::string&) {
  return std::optional<std::string>();
}

}  // namespace atom::pipeline
