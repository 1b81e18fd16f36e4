#include "atom/chat/model_template.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "atom/io/json.h"
#include "atom/io/quote.h"
#include "atom/io/side_files.h"

namespace atom::chat {
namespace {

using jinja::Data;

constexpr std::array<std::string_view, 6> kEndsOfTurns = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|eot|>", "<|end_of_turn|>", "<end_of_turn>"};
constexpr std::array<std::string_view, 7> kSpecialTokens = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

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

// A token is named by its text, or by an object that holds it.
Data TokenText(const io::Json& field) {
  const io::Json* text = &field;
  if (field.is_object() && field.contains("content")) text = &field.at("content");
  return text->is_string() ? Data::Own(text->get_ref<const std::string&>()) : Data();
}

Data::Dict ReadSpecialTokens(const io::Json& config) {
  Data::Dict tokens;
  for (const std::string_view name : kSpecialTokens) {
    const auto field = config.find(name);
    if (field != config.end()) jinja::Set(tokens, name, TokenText(*field));
  }
  const auto more = config.find("additional_special_tokens");
  if (more != config.end() && more->is_array()) {
    Data::List list;
    for (const io::Json& token : *more) list.push_back(TokenText(token));
    jinja::Set(tokens, "additional_special_tokens", Data(std::move(list)));
  }
  return tokens;
}

bool IsWord(std::string_view role) {
  const auto is_word_char = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  return !role.empty() && std::all_of(role.begin(), role.end(), is_word_char);
}

// A role is put into special tokens (<|user|>), so it is no user's word, and must be able to spell
// none by itself.
Result<Data> ToData(std::span<const ChatMessage> messages) {
  if (messages.empty()) return MakeError("a conversation has no messages, expected one at least");
  Data::List list;
  for (size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    if (!IsWord(message.role)) {
      return MakeError("message {} has the role {}, expected a word", i, io::Quote(message.role));
    }
    Data::Dict dict;
    jinja::Set(dict, "role", Data::Own(message.role));
    jinja::Set(dict, "content", Data::User(message.content));
    for (const auto& [name, value] : message.fields) {
      if (name.bytes() != "role") jinja::Set(dict, name.bytes(), value);
    }
    list.emplace_back(std::move(dict));
  }
  return Data(std::move(list));
}

}  // namespace

Result<ModelTemplate> ModelTemplate::Compile(std::string_view jinja, const std::string& source) {
  Result<jinja::Template> program = jinja::Template::Compile(jinja, source);
  if (!program.ok()) return program.error();
  std::vector<std::string_view> ends;
  for (const std::string_view end : kEndsOfTurns) {
    if (jinja.find(end) != jinja.npos) ends.push_back(end);
  }
  return ModelTemplate(*std::move(program), std::move(ends));
}

Result<std::optional<ModelTemplate>> ModelTemplate::Find(const std::filesystem::path& model_path) {
  constexpr std::string_view kTemplateFile = "chat_template.jinja";
  constexpr std::string_view kConfigFile = "tokenizer_config.json";
  const Result<io::SideFiles> files = io::SideFiles::Open(model_path);
  if (!files.ok()) return files.error();
  std::string source = files->Source(kTemplateFile);
  std::optional<std::string> jinja;
  if (files->Has(kTemplateFile)) {
    Result<std::string> text = files->Read(kTemplateFile, jinja::kMaxSourceBytes);
    if (!text.ok()) return text.error();
    jinja = *std::move(text);
  }
  Data::Dict special_tokens;
  if (files->Has(kConfigFile)) {
    const Result<std::string> text = files->Read(kConfigFile, io::kMaxJsonBytes);
    if (!text.ok()) return text.error();
    const Result<io::Json> config = io::ParseJson(*text, files->Source(kConfigFile));
    if (!config.ok()) return config.error();
    if (!jinja) {
      source = files->Source(kConfigFile);
      Result<std::optional<std::string>> found = FindJinja(*config, source);
      if (!found.ok()) return found.error();
      jinja = *std::move(found);
    }
    if (config->is_object()) special_tokens = ReadSpecialTokens(*config);
  }
  if (!jinja) return std::optional<ModelTemplate>();
  Result<ModelTemplate> made = Compile(*jinja, source);
  if (!made.ok()) return made.error();
  made->special_tokens_ = std::move(special_tokens);
  return std::optional(*std::move(made));
}

// Those of the configuration; bos and eos of the tokenizer where it does not speak of them.
Data::Dict ModelTemplate::SpecialTokens(const tokenizer::Tokenizer& tokenizer) const {
  Data::Dict tokens;
  if (tokenizer.bos_id()) {
    jinja::Set(tokens, "bos_token", Data::Own(tokenizer.TokenBytes(*tokenizer.bos_id())));
  }
  const std::vector<int32_t> eos_ids = tokenizer.eos_ids();
  if (!eos_ids.empty()) {
    jinja::Set(tokens, "eos_token", Data::Own(tokenizer.TokenBytes(eos_ids.front())));
  }
  for (const auto& [name, token] : special_tokens_) jinja::Set(tokens, name.bytes(), token);
  // Hugging Face leaves out what is null: such a variable is undefined, and writes nothing.
  std::erase_if(tokens, [](const auto& entry) {
    return std::holds_alternative<Data::None>(entry.second.value());
  });
  return tokens;
}

Result<std::vector<tokenizer::TextPart>> ModelTemplate::Render(
    const tokenizer::Tokenizer& tokenizer, std::span<const ChatMessage> messages,
    const ChatOptions& options) const {
  Result<Data> conversation = ToData(messages);
  if (!conversation.ok()) return conversation.error();
  Data::Dict context = SpecialTokens(tokenizer);
  for (const auto& [name, value] : options.variables) jinja::Set(context, name.bytes(), value);
  jinja::Set(context, "messages", *std::move(conversation));
  jinja::Set(context, "tools", options.tools);
  jinja::Set(context, "documents", Data());
  jinja::Set(context, "add_generation_prompt", Data(options.add_generation_prompt));
  const Result<jinja::MarkedText> text =
      program_.Render(context, {.limits = options.limits, .now = options.now});
  if (!text.ok()) return text.error();
  return text->Parts();
}

std::vector<int32_t> ModelTemplate::EndIds(const tokenizer::Tokenizer& tokenizer) const {
  std::vector<int32_t> ids;
  for (const std::string_view end : ends_) {
    const std::optional<int32_t> id = tokenizer.FindToken(end);
    if (id && tokenizer.IsSpecial(*id)) ids.push_back(*id);
  }
  return ids;
}

}  // namespace atom::chat
