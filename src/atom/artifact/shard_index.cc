#include "atom/artifact/shard_index.h"

#include <nlohmann/json.hpp>

#include "atom/artifact/layer_tensors.h"
#include "atom/io/json.h"
#include "atom/io/quote.h"

namespace atom::artifact {

using io::Json;

void ShardIndex::Add(const std::string& file_name, const io::SafetensorsFile& shard,
                     const std::string& checksum) {
  for (const io::TensorInfo& tensor : shard.tensors()) {
    weight_map[tensor.name] = file_name;
    total_bytes += tensor.end - tensor.begin;
  }
  checksums[file_name] = checksum;
}

Json ToJson(const ShardIndex& index) {
  return {{"metadata", {{"total_size", index.total_bytes}, {"checksums", index.checksums}}},
          {"weight_map", index.weight_map}};
}

Result<ShardChecksums> ReadIndexChecksums(const std::filesystem::path& dir) {
  ShardChecksums checksums;
  const std::filesystem::path path = dir / kIndexFile;
  std::error_code failed;
  if (!std::filesystem::exists(path, failed)) return checksums;
  const Result<Json> index = io::ReadJsonFile(path);
  if (!index.ok()) return index.error();
  const std::string source = path.string();
  const Result<const Json*> metadata = io::OptionalObject(*index, "metadata", source);
  if (!metadata.ok()) return metadata.error();
  if (*metadata == nullptr) return checksums;
  const Result<const Json*> listed = io::OptionalObject(**metadata, "checksums", source);
  if (!listed.ok()) return listed.error();
  if (*listed == nullptr) return checksums;
  for (const auto& [file_name, checksum] : (*listed)->items()) {
    if (!checksum.is_string()) {
      return MakeError("{}: the checksum of {} is {}, expected a string", source,
                       io::Quote(file_name), io::DescribeJson(checksum));
    }
    checksums[file_name] = checksum.get<std::string>();
  }
  return checksums;
}

}  // namespace atom::artifact
