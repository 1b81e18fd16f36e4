// model.safetensors.index.json: which shard holds which tensor, as Hugging Face writes it, and each
// shard's checksum in the metadata, where other readers look past it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "atom/core/result.h"
#include "atom/io/safetensors.h"

namespace atom::artifact {

/// File name of a shard → XXH3-128 of its bytes (io/checksum.h).
using ShardChecksums = std::map<std::string, std::string>;

struct ShardIndex {
  int64_t total_bytes = 0;                        ///< of the tensors' data
  std::map<std::string, std::string> weight_map;  ///< tensor → file name of its shard
  ShardChecksums checksums;

  void Add(const std::string& file_name, const io::SafetensorsFile& shard,
           const std::string& checksum);
};

nlohmann::json ToJson(const ShardIndex& index);

/// The checksums in the index of a model folder; none if it has no index, or one without them.
Result<ShardChecksums> ReadIndexChecksums(const std::filesystem::path& dir);

}  // namespace atom::artifact
