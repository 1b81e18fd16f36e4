// Chat templates: how the turns of a conversation become one text for the model. Hugging Face
// models carry theirs as a Jinja program; here the few that Llama-like models share are written
// out, and a program is recognized by its distinctive marks. A wrong template makes a good model
// look bad, so an unknown one is refused.
//
// Promises: only the template's own words can be special tokens: what a user writes is text, also
// if it spells <|eot_id|> or [INST]. The conversation ends where the model is to answer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/text/tokenizer.h"

namespace atom::text {

struct ChatMessage {
  std::string role;  ///< "system", "user" or "assistant"
  std::string content;
};

struct ChatTemplateRow;  // of the table in chat_template.cc

class ChatTemplate {
 public:
  /// The template of a model directory: chat_template.jinja, or "chat_template" of
  /// tokenizer_config.json; "plain" if it has none. An Error if it is not a known one.
  static Result<ChatTemplate> Load(const std::filesystem::path& model_dir);

  /// The known template that the Jinja program `jinja` is. `source` starts the error's sentence.
  static Result<ChatTemplate> Recognize(std::string_view jinja, const std::string& source);

  /// By name, for a --template flag.
  static Result<ChatTemplate> FromName(std::string_view name);

  /// "plain, llama-2, …"
  static std::string KnownNames();

  std::string_view name() const;

  /// The ids of the conversation, bos included where the template has one, up to where the
  /// assistant's answer begins. An Error if the roles are not in an order that the template can
  /// express, or if `tokenizer` lacks a token that it needs.
  Result<std::vector<int32_t>> Render(const Tokenizer& tokenizer,
                                      std::span<const ChatMessage> messages) const;

  /// What ends the assistant's answer: the tokenizer's eos and the template's end of turn.
  std::vector<int32_t> StopIds(const Tokenizer& tokenizer) const;

 private:
  ChatTemplate(const ChatTemplateRow* row, std::optional<bool> writes_bos)
      : row_(row), writes_bos_(writes_bos) {}

  const ChatTemplateRow* row_;      // never null
  std::optional<bool> writes_bos_;  // nullopt: if the tokenizer adds one
};

}  // namespace atom::text
