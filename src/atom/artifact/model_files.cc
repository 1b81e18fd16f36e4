#include "atom/artifact/model_files.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "atom/artifact/narrow.h"
#include "atom/artifact/tensor_finder.h"
#include "atom/io/atomic_file.h"
#include "atom/io/safetensors.h"

namespace atom::artifact {
namespace {

namespace fs = std::filesystem;
using io::Json;

// Names as they are in published checkpoints.
constexpr std::array<std::string_view, 17> kSideFiles = {"tokenizer.json",
                                                         "tokenizer.model",
                                                         "tekken.json",
                                                         "tokenizer_config.json",
                                                         "vocab.json",
                                                         "merges.txt",
                                                         "special_tokens_map.json",
                                                         "added_tokens.json",
                                                         "generation_config.json",
                                                         "chat_template.jinja",
                                                         "chat_template.json",
                                                         "LICENSE",
                                                         "LICENSE.txt",
                                                         "LICENSE.md",
                                                         "NOTICE",
                                                         "NOTICE.txt",
                                                         "USE_POLICY.md"};
constexpr int64_t kMaxSideFileBytes = int64_t{1} << 30;

void AppendPretty(const Json& json, size_t indent, std::string& text) {
  const auto nested = [](const Json& value) { return value.is_structured() && !value.empty(); };
  if (!nested(json) || (json.is_array() && std::none_of(json.begin(), json.end(), nested))) {
    text += io::DumpJson(json, -1);
    return;
  }
  text += json.is_array() ? '[' : '{';
  bool first = true;
  for (const auto& [key, value] : json.items()) {
    text += first ? "\n" : ",\n";
    text.append(indent + 2, ' ');
    if (json.is_object()) text += io::DumpJson(Json(key), -1) + ": ";
    AppendPretty(value, indent + 2, text);
    first = false;
  }
  text += '\n';
  text.append(indent, ' ');
  text += json.is_array() ? ']' : '}';
}

}  // namespace

Result<std::string> WriteHeadShard(const SourceModel& source, const fs::path& path) {
  const TensorFinder finder(source.tensors);
  std::vector<FoundTensor> found;  // what was rearranged must live until it is written
  std::vector<io::NamedTensor> tensors;
  for (const OuterTensor& outer : source.outer) {
    Result<FoundTensor> tensor = finder.RequireWeight(outer.name, outer.shape);
    if (!tensor.ok()) return tensor.error();
    const DType dtype = outer.shape.size() > 1 ? NarrowestExact(tensor->view) : tensor->view.dtype;
    if (dtype != tensor->view.dtype) {
      tensor->owned = Narrow(tensor->view, dtype);
      tensor->view = {.dtype = dtype, .shape = outer.shape, .data = tensor->owned.data()};
    }
    tensors.push_back({outer.name, tensor->view});
    found.push_back(*std::move(tensor));
  }
  return io::WriteSafetensors(path, tensors, {{"format", "pt"}});
}

Status CopySideFiles(const io::SideFiles& source, const fs::path& to) {
  for (const std::string_view name : kSideFiles) {
    if (!source.Has(name)) continue;
    const Result<std::string> bytes = source.Read(name, kMaxSideFileBytes);
    if (!bytes.ok()) return bytes.error();
    if (Status status = io::WriteFileAtomically(to / name, *bytes); !status.ok()) return status;
  }
  return {};
}

Status WriteConfig(const io::Checkpoint& source, const QuantizationConfig& config,
                   const fs::path& path) {
  Json json = source.config();
  json["quantization_config"] = ToJson(config);
  return io::WriteFileAtomically(path, PrettyJson(json));
}

std::string PrettyJson(const Json& json) {
  std::string text;
  AppendPretty(json, 0, text);
  return text + "\n";
}

}  // namespace atom::artifact
