// Chat templates: how the turns of a conversation become one text for the model. Models carry
// theirs as a Jinja program, which is run (model_template.h); for those that have none, and for a
// --template flag, the few that Llama-like models share are written out here by name. A wrong
// template makes a good model look bad, so a program that cannot be run exactly is refused.
//
// Promises: only the template's own words can be special tokens: what a user writes is text, also
// if it spells <|eot_id|> or [INST]. The conversation ends where the model is to answer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "atom/chat/chat_message.h"
#include "atom/chat/model_template.h"
#include "atom/core/result.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::chat {

struct ChatTemplateRow;  // of the table in chat_template.cc

class ChatTemplate {
 public:
  /// The template of a model directory; "plain" if it has none.
  static Result<ChatTemplate> Load(const std::filesystem::path& model_dir);

  /// By name, for a --template flag.
  static Result<ChatTemplate> FromName(std::string_view name);

  /// "plain, llama-2, …"
  static std::string KnownNames();

  /// Of one that the model brings "the model's own".
  std::string_view name() const;

  /// The ids of the conversation, bos included where the template has one, up to where the
  /// assistant's answer begins. An Error if the template cannot express the conversation, or if
  /// `tokenizer` lacks a token that it needs.
  Result<std::vector<int32_t>> Render(const tokenizer::Tokenizer& tokenizer,
                                      std::span<const ChatMessage> messages,
                                      const ChatOptions& options = {}) const;

  /// What ends the assistant's answer: the tokenizer's eos and the template's end of turn.
  std::vector<int32_t> StopIds(const tokenizer::Tokenizer& tokenizer) const;

 private:
  explicit ChatTemplate(std::variant<const ChatTemplateRow*, ModelTemplate> kind)
      : kind_(std::move(kind)) {}

  std::variant<const ChatTemplateRow*, ModelTemplate> kind_;  // the row is never null
};

}  // namespace atom::chat
