#include "atom/io/gguf/gguf_config.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "atom/io/gguf/gguf_architecture.h"
#include "atom/io/gguf/gguf_rope.h"
#include "atom/io/quote.h"

namespace atom::io {
namespace {

// What all architectures say.
constexpr std::array kFields = {
    GgufField{"embedding_length", "hidden_size"},
    GgufField{"feed_forward_length", "intermediate_size"},
    GgufField{"block_count", "num_hidden_layers"},
    GgufField{"context_length", "max_position_embeddings"},
    GgufField{"attention.head_count", "num_attention_heads"},
    GgufField{"attention.head_count_kv", "num_key_value_heads", GgufField::Kind::kInt, false},
    GgufField{"attention.key_length", "head_dim", GgufField::Kind::kInt, false},
    GgufField{"vocab_size", "vocab_size", GgufField::Kind::kInt, false},
    GgufField{"attention.layer_norm_rms_epsilon", "rms_norm_eps", GgufField::Kind::kNumber},
    GgufField{"rope.freq_base", "rope_theta", GgufField::Kind::kNumber, false},
};

// Keys that the functions below read, or that change nothing for what is computed here.
constexpr std::array<std::string_view, 11> kOtherKeys = {
    "attention.value_length",   "rope.dimension_count",
    "rope.scaling.type",        "rope.scaling.factor",
    "rope.scale_linear",        "rope.scaling.original_context_length",
    "rope.scaling.finetuned",   "expert_count",
    "expert_used_count",        "attention.sliding_window",
    "rope.scaling.attn_factor",
};

bool IsKeyOf(std::span<const GgufField> fields, std::string_view key) {
  return std::any_of(fields.begin(), fields.end(),
                     [&](const GgufField& row) { return row.key == key; });
}

class ConfigWriter {
 public:
  ConfigWriter(const GgufFile& file, const GgufArchitecture& architecture)
      : file_(file), architecture_(architecture), config_(Json::object()) {}

  Result<Json> Write();

 private:
  std::string Key(std::string_view name) const {
    return fmt::format("{}.{}", architecture_.name, name);
  }
  Status RefuseUnknownKeys() const;
  Status WriteField(const GgufField& row);
  Status WriteVocabulary();
  Status CheckHeads() const;
  Status WritePhi3();
  Status CheckNoPhi3(int64_t head_dim) const;
  Status CheckEqual(std::string_view name, int64_t expected, std::string_view why) const;
  Status WriteSpecialTokens();
  bool Has(std::string_view tensor) const { return file_.FindTensor(tensor) != nullptr; }

  const GgufFile& file_;
  const GgufArchitecture& architecture_;
  Json config_;
};

Status ConfigWriter::RefuseUnknownKeys() const {
  const std::string prefix = Key("");
  for (auto key = file_.keys().lower_bound(prefix);
       key != file_.keys().end() && key->first.starts_with(prefix); ++key) {
    const std::string_view name = std::string_view(key->first).substr(prefix.size());
    const bool known = std::find(kOtherKeys.begin(), kOtherKeys.end(), name) != kOtherKeys.end() ||
                       IsKeyOf(kFields, name) || IsKeyOf(architecture_.fields, name);
    if (known) continue;
    return MakeError("{}: key {} is {}, which is not known and may mean another model",
                     file_.source(), Quote(key->first), key->second.Describe());
  }
  return {};
}

Status ConfigWriter::WriteField(const GgufField& row) {
  const std::string key = Key(row.key);
  if (row.required && file_.FindKey(key) == nullptr) {
    return MakeError("{}: key {} is missing", file_.source(), Quote(key));
  }
  if (row.kind == GgufField::Kind::kInt) {
    const Result<std::optional<int64_t>> value = OptionalInt(file_, key);
    if (!value.ok()) return value.error();
    if (value->has_value()) config_[row.field] = **value;
  } else {
    const Result<std::optional<double>> value = OptionalNumber(file_, key);
    if (!value.ok()) return value.error();
    if (value->has_value()) config_[row.field] = **value;
  }
  return {};
}

// Files before version 3 have no vocab_size: the table of tokens has as many rows.
Status ConfigWriter::WriteVocabulary() {
  const GgufTensor* embedding = file_.FindTensor("token_embd.weight");
  if (embedding == nullptr) {
    return MakeError("{}: tensor 'token_embd.weight' is missing", file_.source());
  }
  if (!config_.contains("vocab_size")) config_["vocab_size"] = embedding->shape.front();
  return {};
}

Status ConfigWriter::CheckEqual(std::string_view name, int64_t expected,
                                std::string_view why) const {
  const Result<std::optional<int64_t>> value = OptionalInt(file_, Key(name));
  if (!value.ok()) return value.error();
  if (value->value_or(expected) == expected) return {};
  return MakeError("{}: key {} is {}, expected {}: {}", file_.source(), Quote(Key(name)), **value,
                   expected, why);
}

Status ConfigWriter::CheckHeads() const {
  const auto heads = config_["num_attention_heads"].get<int64_t>();
  const int64_t head_dim = config_.contains("head_dim") ? config_["head_dim"].get<int64_t>()
                                                        : config_["hidden_size"].get<int64_t>() /
                                                              std::max<int64_t>(heads, 1);
  Status status = CheckEqual("attention.value_length", head_dim, "values are as wide as keys");
  if (status.ok() && !architecture_.mixture) {
    status = CheckEqual("expert_count", 0, "no mixtures of experts are known of this architecture");
  }
  return status.ok() && !architecture_.phi3 ? CheckNoPhi3(head_dim) : status;
}

Status ConfigWriter::CheckNoPhi3(int64_t head_dim) const {
  Status status = CheckEqual("rope.dimension_count", head_dim, "only whole heads are rotated");
  if (status.ok() && !IsKeyOf(architecture_.fields, "attention.sliding_window")) {
    status = CheckEqual("attention.sliding_window", 0, "no window is known of this architecture");
  }
  const std::string key = Key("rope.scaling.attn_factor");
  if (!status.ok() || file_.FindKey(key) == nullptr) return status;
  return MakeError("{}: key {} is known of Phi-3 alone", file_.source(), Quote(key));
}

// The window must be said: files from before it was a key mean 2,047 or none.
Status ConfigWriter::WritePhi3() {
  const std::string key = Key("attention.sliding_window");
  const Result<std::optional<int64_t>> window = OptionalInt(file_, key);
  if (!window.ok()) return window.error();
  if (!window->has_value()) {
    return MakeError("{}: key {} is missing, expected the window or 0", file_.source(), Quote(key));
  }
  config_["sliding_window"] = **window == 0 ? Json() : Json(**window);
  const Result<std::optional<int64_t>> original =
      OptionalInt(file_, Key("rope.scaling.original_context_length"));
  if (!original.ok()) return original.error();
  config_["original_max_position_embeddings"] =
      original->has_value() ? Json(**original) : config_["max_position_embeddings"];
  const Result<std::optional<int64_t>> rotated = OptionalInt(file_, Key("rope.dimension_count"));
  if (!rotated.ok()) return rotated.error();
  const auto heads = std::max<int64_t>(config_["num_attention_heads"].get<int64_t>(), 1);
  const int64_t head_dim = config_["hidden_size"].get<int64_t>() / heads;
  if (!rotated->has_value() || head_dim < 1 || **rotated == head_dim) return {};
  // The fraction that gives the number again when it is multiplied and cut off.
  config_["partial_rotary_factor"] =
      (static_cast<double>(**rotated) + 0.25) / static_cast<double>(head_dim);
  return {};
}

Status ConfigWriter::WriteSpecialTokens() {
  Json ends = Json::array();
  for (const std::string_view key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    const Result<std::optional<int64_t>> id = OptionalInt(file_, key);
    if (!id.ok()) return id.error();
    if (!id->has_value()) continue;
    const Json end = **id;
    if (std::find(ends.begin(), ends.end(), end) == ends.end()) ends.push_back(end);
  }
  if (!ends.empty()) config_["eos_token_id"] = ends.size() == 1 ? Json(ends[0]) : ends;
  const Result<std::optional<int64_t>> bos = OptionalInt(file_, "tokenizer.ggml.bos_token_id");
  if (!bos.ok()) return bos.error();
  if (bos->has_value()) config_["bos_token_id"] = **bos;
  return {};
}

Result<Json> ConfigWriter::Write() {
  Status status = CheckGgufTensors(file_, architecture_);
  if (status.ok()) status = RefuseUnknownKeys();
  for (const std::span<const GgufField> fields :
       {std::span<const GgufField>(kFields), architecture_.fields}) {
    for (const GgufField& row : fields) {
      if (status.ok()) status = WriteField(row);
    }
  }
  if (status.ok()) status = WriteVocabulary();
  if (status.ok()) status = CheckHeads();
  if (status.ok() && architecture_.phi3) status = WritePhi3();
  if (status.ok()) status = WriteSpecialTokens();
  if (!status.ok()) return status.error();
  const Result<Json> scaling = GgufRopeScaling(file_, architecture_);
  if (!scaling.ok()) return scaling.error();
  if (!scaling->is_null()) config_["rope_scaling"] = *scaling;
  config_["architectures"] = Json::array({architecture_.config_name});
  config_["model_type"] = architecture_.model_type;
  if (architecture_.complete != nullptr) {
    architecture_.complete(config_);
  } else {
    config_["hidden_act"] = "silu";
  }
  config_["tie_word_embeddings"] = !Has("output.weight");
  config_["attention_bias"] = Has("blk.0.attn_q.bias");
  config_["mlp_bias"] = Has("blk.0.ffn_up.bias");
  return std::move(config_);
}

}  // namespace

Result<Json> GgufConfig(const GgufFile& file) {
  const Result<const GgufArchitecture*> architecture = FindGgufArchitecture(file);
  if (!architecture.ok()) return architecture.error();
  return ConfigWriter(file, **architecture).Write();
}

}  // namespace atom::io
