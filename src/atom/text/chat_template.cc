#include "atom/text/chat_template.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "atom/io/json.h"
#include "atom/io/quote.h"
#include "atom/text/chat_format.h"

namespace atom::text {

struct ChatTemplateRow {
  std::string_view name;
  ChatFormat format;
  std::array<std::string_view, 2> marks;  ///< a program of this kind has all of them,
  std::array<std::string_view, 2> none;   ///< and none of these; "" stands for nothing
  bool alternates;                        ///< user and assistant take turns, the user begins
  bool needs_eos;
  std::array<std::string_view, 3> needed;  ///< special tokens without which it makes no sense
  std::string_view end_of_turn;
};

namespace {

constexpr int64_t kMaxTemplateBytes = int64_t{1} << 20;
constexpr std::string_view kHint = "choose one by name with --template";

// Recognized in this order: a mark that stands in several templates comes after the rarer ones.
constexpr std::array<ChatTemplateRow, 7> kTemplates = {{
    {"plain", FormatPlain, {}, {}, false, false, {}, ""},
    {"llama-3",
     FormatLlama3,
     {"<|start_header_id|>", "<|eot_id|>"},
     {},
     false,
     false,
     {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
     "<|eot_id|>"},
    {"chatml", FormatChatMl, {"<|im_start|>", ""}, {}, false, false, {}, "<|im_end|>"},
    {"llama-2", FormatLlama2, {"[INST]", "<<SYS>>"}, {}, true, true, {}, ""},
    {"mistral", FormatMistral, {"[INST]", " [/INST]"}, {"[SYSTEM_PROMPT]", ""}, true, true, {}, ""},
    {"mistral-v3",
     FormatMistralV3,
     {"[INST]", "[/INST]"},
     {"[SYSTEM_PROMPT]", ""},
     true,
     true,
     {"[INST]", "[/INST]", ""},
     ""},
    {"zephyr",
     FormatZephyr,
     {"<|user|>", "<|assistant|>"},
     {"<|end|>", "[gMASK]"},
     false,
     true,
     {},
     ""},
}};
constexpr const ChatTemplateRow& kPlain = kTemplates[0];

bool IsRecognized(const ChatTemplateRow& row, std::string_view jinja) {
  const auto has = [&](std::string_view mark) { return jinja.find(mark) != jinja.npos; };
  const bool all = std::all_of(row.marks.begin(), row.marks.end(), has);
  return &row != &kPlain && all &&
         std::none_of(row.none.begin(), row.none.end(),
                      [&](std::string_view mark) { return !mark.empty() && has(mark); });
}

// The program in tokenizer_config.json: a string, or a list of named ones with a "default".
Result<std::optional<std::string>> FindJinja(const io::Json& config, const std::string& source) {
  const auto field = config.find("chat_template");
  if (field == config.end() || !field->is_array()) {
    return io::OptionalString(config, "chat_template", source);
  }
  for (const io::Json& entry : *field) {
    const Result<std::string> name = io::RequireString(entry, "name", source);
    if (!name.ok()) return name.error();
    if (*name != "default") continue;
    Result<std::string> jinja = io::RequireString(entry, "template", source);
    if (!jinja.ok()) return jinja.error();
    return std::optional(*std::move(jinja));
  }
  return MakeError("{}: chat_template has no entry named default", source);
}

Status CheckRoles(std::span<const ChatMessage> messages, const ChatTemplateRow& row) {
  constexpr std::array<std::string_view, 3> kRoles = {"system", "user", "assistant"};
  if (messages.empty()) return MakeError("a conversation has no messages, expected one at least");
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string& role = messages[i].role;
    if (std::find(kRoles.begin(), kRoles.end(), role) == kRoles.end()) {
      return MakeError("message {} has the role {}, expected system, user or assistant", i,
                       io::Quote(role));
    }
    if (role == "system" && i > 0) {
      return MakeError("message {} has the role system, expected of the first message only", i);
    }
  }
  if (!row.alternates) return {};
  const size_t first = messages.front().role == "system" ? 1 : 0;
  for (size_t i = first; i < messages.size(); ++i) {
    const std::string_view expected = (i - first) % 2 == 0 ? "user" : "assistant";
    if (messages[i].role == expected) continue;
    return MakeError("message {} has the role {}, expected {}: in template {} they take turns", i,
                     messages[i].role, expected, row.name);
  }
  if (messages.back().role == "user") return {};
  return MakeError("a conversation ends with the role {}, expected user", messages.back().role);
}

Status CheckTokens(const Tokenizer& tokenizer, const ChatTemplateRow& row) {
  for (const std::string_view token : row.needed) {
    if (token.empty()) continue;
    const std::optional<int32_t> id = tokenizer.FindToken(token);
    if (id && tokenizer.IsSpecial(*id)) continue;
    return MakeError("chat template {} needs the special token {}, which the tokenizer lacks",
                     row.name, token);
  }
  if (row.needs_eos && tokenizer.eos_ids().empty()) {
    return MakeError("chat template {} needs an eos_token, and the tokenizer names none", row.name);
  }
  return {};
}

}  // namespace

std::string ChatTemplate::KnownNames() {
  std::string names;
  for (const ChatTemplateRow& row : kTemplates) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", row.name);
  }
  return names;
}

std::string_view ChatTemplate::name() const { return row_->name; }

Result<ChatTemplate> ChatTemplate::FromName(std::string_view name) {
  for (const ChatTemplateRow& row : kTemplates) {
    if (row.name == name) return ChatTemplate(&row, std::nullopt);
  }
  return MakeError("chat template {} is not known; known are {}", io::Quote(name), KnownNames());
}

Result<ChatTemplate> ChatTemplate::Recognize(std::string_view jinja, const std::string& source) {
  const bool writes_bos =
      jinja.find("bos_token") != jinja.npos || jinja.find("<|begin_of_text|>") != jinja.npos;
  for (const ChatTemplateRow& row : kTemplates) {
    if (IsRecognized(row, jinja)) return ChatTemplate(&row, writes_bos);
  }
  return MakeError("{}: its chat template is not known; known are {}; {}", source, KnownNames(),
                   kHint);
}

Result<ChatTemplate> ChatTemplate::Load(const std::filesystem::path& model_dir) {
  std::error_code ignored;
  const std::filesystem::path jinja_file = model_dir / "chat_template.jinja";
  if (std::filesystem::exists(jinja_file, ignored)) {
    const Result<std::string> jinja = io::ReadFile(jinja_file, kMaxTemplateBytes);
    if (!jinja.ok()) return jinja.error();
    return Recognize(*jinja, jinja_file.string());
  }
  const std::filesystem::path config_file = model_dir / "tokenizer_config.json";
  if (!std::filesystem::exists(config_file, ignored)) return ChatTemplate(&kPlain, std::nullopt);
  const Result<io::Json> config = io::ReadJsonFile(config_file);
  if (!config.ok()) return config.error();
  const Result<std::optional<std::string>> jinja = FindJinja(*config, config_file.string());
  if (!jinja.ok()) return jinja.error();
  if (!jinja->has_value()) return ChatTemplate(&kPlain, std::nullopt);
  return Recognize(**jinja, config_file.string());
}

Result<std::vector<int32_t>> ChatTemplate::Render(const Tokenizer& tokenizer,
                                                  std::span<const ChatMessage> messages) const {
  const Status roles = CheckRoles(messages, *row_);
  if (!roles.ok()) return roles.error();
  const Status tokens = CheckTokens(tokenizer, *row_);
  if (!tokens.ok()) return tokens.error();
  ChatEnds ends;
  if (writes_bos_.value_or(tokenizer.adds_bos()) && tokenizer.bos_id()) {
    ends.bos = tokenizer.TokenBytes(*tokenizer.bos_id());
  }
  if (!tokenizer.eos_ids().empty()) ends.eos = tokenizer.TokenBytes(tokenizer.eos_ids().front());
  return tokenizer.EncodeParts(row_->format(messages, ends));
}

std::vector<int32_t> ChatTemplate::StopIds(const Tokenizer& tokenizer) const {
  std::vector<int32_t> ids = tokenizer.eos_ids();
  const std::optional<int32_t> end = tokenizer.FindToken(row_->end_of_turn);
  if (end && tokenizer.IsSpecial(*end) && std::find(ids.begin(), ids.end(), *end) == ids.end()) {
    ids.push_back(*end);
  }
  return ids;
}

}  // namespace atom::text
