// What an artifact holds besides its layers: the last shard, config.json, and the files of the
// source that go along unchanged (tokenizer, generation settings, licence).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "atom/artifact/quantization_config.h"
#include "atom/core/result.h"
#include "atom/io/checkpoint.h"
#include "atom/io/json.h"
#include "atom/io/side_files.h"
#include "atom/io/tensor_source.h"

namespace atom::artifact {

/// A weight outside of the layers.
struct OuterTensor {
  std::string name;  ///< of layer_tensors.h
  Shape shape;
};

/// The unquantized model that an artifact is made of; all outlive the call that takes it.
struct SourceModel {
  const io::Checkpoint& files;
  const io::TensorSource& tensors;
  std::vector<OuterTensor> outer;  ///< embedding, final norm, lm_head unless it is tied, …
};

/// Writes the outer tensors as one shard, in the source's types; matrices in F32 narrower where
/// that is exact (narrow.h). Returns its checksum. Errors: one is missing, of another shape or not
/// finite.
Result<std::string> WriteHeadShard(const SourceModel& source, const std::filesystem::path& path);

/// Copies the files of the source that belong to a model and are there.
Status CopySideFiles(const io::SideFiles& source, const std::filesystem::path& to);

/// The source's config.json with the quantization_config block.
Status WriteConfig(const io::Checkpoint& source, const QuantizationConfig& config,
                   const std::filesystem::path& path);

/// JSON for people: indented, but arrays without arrays or objects inside stay on one line. Ends
/// with a newline.
std::string PrettyJson(const io::Json& json);

}  // namespace atom::artifact
