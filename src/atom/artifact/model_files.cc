#include "atom/artifact/model_files.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "atom/artifact/finite.h"
#include "atom/artifact/layer_tensors.h"
#include "atom/io/atomic_file.h"
#include "atom/io/safetensors.h"

namespace atom::artifact {
namespace {

namespace fs = std::filesystem;
using io::Json;

constexpr std::string_view kEmbedding = "model.embed_tokens.weight";
constexpr std::string_view kFinalNorm = "model.norm.weight";
constexpr std::string_view kLmHead = "lm_head.weight";

// Names as they are in published checkpoints.
constexpr std::array<std::string_view, 16> kSideFiles = {"tokenizer.json",
                                                         "tokenizer.model",
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

// The tensor as it stands in its shard, if it is a weight without NaN or infinity.
Result<io::NamedTensor> HeadTensor(const io::Checkpoint& source, std::string_view name) {
  for (const io::SafetensorsFile& shard : source.shards()) {
    const io::TensorInfo* info = shard.Find(name);
    if (info == nullptr) continue;
    const Result<TensorView> view = source.Tensor(name, info->shape);
    if (!view.ok()) return view.error();
    const Status finite = CheckFinite(*view, info->name, shard.source());
    if (!finite.ok()) return finite.error();
    return io::NamedTensor{info->name, *view};
  }
  return MakeError("{}: tensor '{}' is missing", source.dir().string(), name);
}

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

Result<std::string> WriteHeadShard(const io::Checkpoint& source, const fs::path& path) {
  const Result<std::optional<bool>> tied =
      io::OptionalBool(source.config(), "tie_word_embeddings", source.config_source());
  if (!tied.ok()) return tied.error();
  std::vector<std::string_view> names = {kEmbedding, kFinalNorm};
  if (!tied->value_or(false)) names.push_back(kLmHead);
  std::vector<io::NamedTensor> tensors;
  for (const std::string_view name : names) {
    Result<io::NamedTensor> tensor = HeadTensor(source, name);
    if (!tensor.ok()) return tensor.error();
    tensors.push_back(*std::move(tensor));
  }
  return io::WriteSafetensors(path, tensors, {{"format", "pt"}});
}

Status CopySideFiles(const fs::path& source, const fs::path& to) {
  for (const std::string_view name : kSideFiles) {
    std::error_code failed;
    if (!fs::exists(source / name, failed)) continue;
    const Result<std::string> bytes = io::ReadFile(source / name, kMaxSideFileBytes);
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
