// Writes an artifact layer by layer, so that a run of hours can be killed at any moment and loses
// one layer at most.
//
//   OUT.partial/identity.json            what determines the bytes: recipe, hashes, calibration
//   OUT.partial/model/model-00001-of-000NN.safetensors   finished shards: layer 0 first
//   OUT.partial/state-*.bin              named side data of the run (calibration results)
//   OUT/                                 was OUT.partial/model: appears by one rename, complete and
//                                        synced
//
// OUT.partial (partial_folder.h) is left by a kill or an Error (a full disk) and picked up by the
// next run with the same identity; Abandon removes it. The same input gives the same bytes, resumed
// or not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "atom/artifact/layer.h"
#include "atom/artifact/model_files.h"
#include "atom/artifact/quantization_config.h"
#include "atom/core/result.h"

namespace atom::artifact {

class ArtifactWriter {
 public:
  /// Starts or resumes. Errors: `out` exists (a finished artifact or anything else), its parent
  /// does not, no permission, another process holds OUT.partial, OUT.partial is something else, or
  /// a run of another identity, which `restart` discards, as it does one of this identity.
  static Result<ArtifactWriter> Open(const std::filesystem::path& out,
                                     const nlohmann::json& identity, int64_t layers,
                                     bool restart = false);
  ArtifactWriter(ArtifactWriter&&) noexcept;
  ArtifactWriter& operator=(ArtifactWriter&&) noexcept;
  ~ArtifactWriter();  ///< leaves OUT.partial as it is

  /// Layers [0, finished_layers()) are on disk, whole, and need not be computed again.
  int64_t finished_layers() const;
  /// True when OUT.partial of an earlier run with this identity was taken over.
  bool resumed() const;

  /// Layers must be written in order. Synced before it returns.
  Status WriteLayer(int64_t layer, const HostLayer& host);
  /// A finished layer, bit for bit what WriteLayer was given; it owns its weights. Formats are
  /// those of `config`.
  Result<HostLayer> ReadLayer(int64_t layer, const LayerShape& shape,
                              const QuantizationConfig& config) const;

  /// Named side data: written atomically; nullopt when absent. Names are letters, digits, - and _.
  Status WriteState(const std::string& name, const std::string& bytes);
  Result<std::optional<std::string>> ReadState(const std::string& name) const;

  /// Copies the source's outer tensors (in their types) and its tokenizer and generation files,
  /// writes config.json with the quantization_config, the index with checksums, and `report` as
  /// quantize_report.json; syncs; renames OUT.partial/model to OUT and removes OUT.partial. After
  /// an Error everything is still there to try again.
  Status Finish(const SourceModel& source, const QuantizationConfig& config,
                const nlohmann::json& report);

  /// Removes OUT.partial; nothing may be called afterwards. Does nothing after Finish.
  void Abandon();

 private:
  struct State;
  explicit ArtifactWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace atom::artifact
