#include "atom/chat/chat_template.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>

#include "atom/chat/chat_format.h"
#include "atom/io/quote.h"

namespace atom::chat {

struct ChatTemplateRow {
  std::string_view name;
  ChatFormat format;
  bool alternates;  ///< user and assistant take turns, the user begins
  bool needs_eos;
  std::array<std::string_view, 3> needed;  ///< special tokens without which it makes no sense
  std::string_view end_of_turn;
};

namespace {

constexpr std::array<ChatTemplateRow, 7> kTemplates = {{
    {"plain", FormatPlain, false, false, {}, ""},
    {"llama-3",
     FormatLlama3,
     false,
     false,
     {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
     "<|eot_id|>"},
    {"chatml", FormatChatMl, false, false, {}, "<|im_end|>"},
    {"llama-2", FormatLlama2, true, true, {}, ""},
    {"mistral", FormatMistral, true, true, {}, ""},
    {"mistral-v3", FormatMistralV3, true, true, {"[INST]", "[/INST]", ""}, ""},
    {"zephyr", FormatZephyr, false, true, {}, ""},
}};
constexpr const ChatTemplateRow* kPlain = kTemplates.data();

Status CheckRoles(std::span<const ChatMessage> messages, const ChatTemplateRow& row,
                  const ChatOptions& options) {
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
  if (messages.back().role == "user" || !options.add_generation_prompt) return {};
  return MakeError("a conversation ends with the role {}, expected user", messages.back().role);
}

Status CheckTokens(const tokenizer::Tokenizer& tokenizer, const ChatTemplateRow& row) {
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

Result<std::vector<tokenizer::TextPart>> RenderRow(const ChatTemplateRow& row,
                                                   const tokenizer::Tokenizer& tokenizer,
                                                   std::span<const ChatMessage> messages,
                                                   const ChatOptions& options) {
  const Status roles = CheckRoles(messages, row, options);
  if (!roles.ok()) return roles.error();
  const Status tokens = CheckTokens(tokenizer, row);
  if (!tokens.ok()) return tokens.error();
  ChatFrame frame{.bos = {}, .eos = {}, .add_generation_prompt = options.add_generation_prompt};
  if (tokenizer.adds_bos() && tokenizer.bos_id()) {
    frame.bos = tokenizer.TokenBytes(*tokenizer.bos_id());
  }
  if (!tokenizer.eos_ids().empty()) frame.eos = tokenizer.TokenBytes(tokenizer.eos_ids().front());
  return row.format(messages, frame);
}

// Cuts off what the template wrote behind the last message's text, and spaces at its end that the
// template does not keep.
Status EndWithMessage(const std::string& content, std::vector<tokenizer::TextPart>& parts) {
  constexpr std::string_view kSpaces = " \t\n\v\f\r";
  const size_t first = content.find_first_not_of(kSpaces);
  if (first == content.npos) return MakeError("the last message has no text to go on with");
  const std::string_view text = std::string_view(content).substr(first);
  const std::string_view stripped = text.substr(0, text.find_last_not_of(kSpaces) + 1);
  while (!parts.empty()) {
    std::string& last = parts.back().text;
    const size_t at = parts.back().trusted ? last.npos : last.rfind(stripped);
    if (at != last.npos) {
      const bool keeps_spaces = std::string_view(last).substr(at).starts_with(text);
      last.resize(at + (keeps_spaces ? text.size() : stripped.size()));
      return {};
    }
    parts.pop_back();
  }
  return MakeError(
      "the template does not write the last message's text as it is, so that an "
      "answer could go on with it");
}

std::vector<int32_t> EndIdsOfRow(const ChatTemplateRow& row,
                                 const tokenizer::Tokenizer& tokenizer) {
  const std::optional<int32_t> end = tokenizer.FindToken(row.end_of_turn);
  return end && tokenizer.IsSpecial(*end) ? std::vector<int32_t>{*end} : std::vector<int32_t>{};
}

}  // namespace

std::string ChatTemplate::KnownNames() {
  std::string names;
  for (const ChatTemplateRow& row : kTemplates) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", row.name);
  }
  return names;
}

std::string_view ChatTemplate::name() const {
  const auto* row = std::get_if<const ChatTemplateRow*>(&kind_);
  return row == nullptr ? "the model's own" : (*row)->name;
}

Result<ChatTemplate> ChatTemplate::FromName(std::string_view name) {
  for (const ChatTemplateRow& row : kTemplates) {
    if (row.name == name) return ChatTemplate(&row);
  }
  return MakeError("chat template {} is not known; known are {}", io::Quote(name), KnownNames());
}

Result<ChatTemplate> ChatTemplate::Load(const std::filesystem::path& model_dir) {
  Result<std::optional<ModelTemplate>> own = ModelTemplate::Find(model_dir);
  if (!own.ok()) {
    return MakeError("{}; --template chooses one by name", own.error().message);
  }
  if (!own->has_value()) return ChatTemplate(kPlain);
  return ChatTemplate(**std::move(own));
}

Result<std::vector<int32_t>> ChatTemplate::Render(const tokenizer::Tokenizer& tokenizer,
                                                  std::span<const ChatMessage> messages,
                                                  const ChatOptions& options) const {
  const auto* own = std::get_if<ModelTemplate>(&kind_);
  const auto* const* row = std::get_if<const ChatTemplateRow*>(&kind_);
  Result<std::vector<tokenizer::TextPart>> parts =
      own == nullptr ? RenderRow(**row, tokenizer, messages, options)
                     : own->Render(tokenizer, messages, options);
  if (!parts.ok()) return parts.error();
  if (options.continue_final_message) {
    const Status ended = EndWithMessage(messages.back().content, *parts);
    if (!ended.ok()) return ended.error();
  }
  const bool is_text = own == nullptr && *row == kPlain;
  return tokenizer.EncodeParts(*parts, /*add_bos=*/is_text);
}

std::vector<int32_t> ChatTemplate::StopIds(const tokenizer::Tokenizer& tokenizer) const {
  const auto* own = std::get_if<ModelTemplate>(&kind_);
  const std::vector<int32_t> ends =
      own == nullptr ? EndIdsOfRow(*std::get<const ChatTemplateRow*>(kind_), tokenizer)
                     : own->EndIds(tokenizer);
  std::vector<int32_t> ids = tokenizer.eos_ids();
  for (const int32_t end : ends) {
    if (std::find(ids.begin(), ids.end(), end) == ids.end()) ids.push_back(end);
  }
  return ids;
}

}  // namespace atom::chat
