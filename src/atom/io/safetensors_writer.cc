// WriteSafetensors, declared in safetensors.h. The header is spelled by hand, because its keys come
// in the order of the tensors and a Json object sorts them.
#include <nlohmann/json.hpp>
#include <set>

#include "atom/io/atomic_file.h"
#include "atom/io/checksum.h"
#include "atom/io/json.h"
#include "atom/io/quote.h"
#include "atom/io/safetensors.h"

namespace atom::io {
namespace {

constexpr size_t kDataAlignment = 64;

Status CheckNames(std::span<const NamedTensor> tensors, const std::string& path) {
  std::set<std::string_view> seen;
  for (const NamedTensor& entry : tensors) {
    if (entry.name == "__metadata__") {
      return MakeError("{}: a tensor cannot be called '__metadata__'", path);
    }
    if (!seen.insert(entry.name).second) {
      return MakeError("{}: two tensors are called {}", path, Quote(entry.name));
    }
  }
  return {};
}

// Length and header, padded so that the data starts at a multiple of kDataAlignment.
std::string Header(std::span<const NamedTensor> tensors, const SafetensorsMetadata& metadata) {
  std::string json = "{";
  if (!metadata.empty()) json += "\"__metadata__\":" + DumpJson(Json(metadata), -1);
  int64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const int64_t bytes = tensor.bytes();
    ATOM_CHECK(bytes >= 0 && (bytes == 0 || tensor.data != nullptr), "tensor {} of shape {}", name,
               ShapeString(tensor.shape));
    const Json entry = {{"dtype", DTypeName(tensor.dtype)},
                        {"shape", tensor.shape},
                        {"data_offsets", {offset, offset + bytes}}};
    json += fmt::format("{}{}:{}", json.size() > 1 ? "," : "", DumpJson(Json(name), -1),
                        DumpJson(entry, -1));
    offset += bytes;
  }
  json += "}";
  const size_t unpadded = sizeof(uint64_t) + json.size();
  json.append((kDataAlignment - unpadded % kDataAlignment) % kDataAlignment, ' ');
  const uint64_t length = json.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + json;
}

}  // namespace

Result<std::string> WriteSafetensors(const std::filesystem::path& path,
                                     std::span<const NamedTensor> tensors,
                                     const SafetensorsMetadata& metadata) {
  if (Status status = CheckNames(tensors, path.string()); !status.ok()) return status.error();
  Result<AtomicFile> file = AtomicFile::Create(path);
  if (!file.ok()) return file.error();
  Checksum checksum;
  const auto append = [&](std::span<const std::byte> bytes) {
    checksum.Update(bytes);
    return file->Write(bytes);
  };
  const std::string header = Header(tensors, metadata);
  if (Status status = append(std::as_bytes(std::span(header))); !status.ok()) {
    return status.error();
  }
  for (const auto& [name, tensor] : tensors) {
    const std::span data(tensor.data, static_cast<size_t>(tensor.bytes()));
    if (Status status = append(data); !status.ok()) return status.error();
  }
  if (Status status = file->Commit(); !status.ok()) return status.error();
  return checksum.Hex();
}

}  // namespace atom::io
