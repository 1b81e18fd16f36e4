// What an artifact holds besides its layers: the last shard, config.json, and the files of the
// source that go along unchanged (tokenizer, generation settings, licence).
#pragma once

#include <filesystem>
#include <string>

#include "atom/artifact/quantization_config.h"
#include "atom/core/result.h"
#include "atom/io/checkpoint.h"
#include "atom/io/json.h"

namespace atom::artifact {

/// Writes embedding, final norm and, unless config.json ties it to the embedding, lm_head as one
/// shard, in the checkpoint's types. Returns its checksum. Errors: one is missing or not finite.
Result<std::string> WriteHeadShard(const io::Checkpoint& source, const std::filesystem::path& path);

/// Copies the files of the source that belong to a model and are there.
Status CopySideFiles(const std::filesystem::path& source, const std::filesystem::path& to);

/// The source's config.json with the quantization_config block.
Status WriteConfig(const io::Checkpoint& source, const QuantizationConfig& config,
                   const std::filesystem::path& path);

/// JSON for people: indented, but arrays without arrays or objects inside stay on one line. Ends
/// with a newline.
std::string PrettyJson(const io::Json& json);

}  // namespace atom::artifact
