// The chat template that a model brings: a Jinja program beside its weights, run in the sandbox of
// jinja/template.h with the variables that Hugging Face gives it. chat_template.h uses it where
// there is one.
//
// Promises: what messages and tools say is marked as a user's words; special tokens come from the
// program's own words and the tokenizer's names alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "atom/chat/chat_message.h"
#include "atom/chat/jinja/template.h"
#include "atom/core/result.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::chat {

class ModelTemplate {
 public:
  /// chat_template.jinja, or "chat_template" of tokenizer_config.json (of several the one named
  /// "default"); nullopt if the model has neither.
  static Result<std::optional<ModelTemplate>> Find(const std::filesystem::path& model_path);

  /// `source` starts the errors' sentences.
  static Result<ModelTemplate> Compile(std::string_view jinja, const std::string& source);

  /// The text of the conversation, cut into what the template and what users wrote.
  Result<std::vector<tokenizer::TextPart>> Render(const tokenizer::Tokenizer& tokenizer,
                                                  std::span<const ChatMessage> messages,
                                                  const ChatOptions& options) const;

  /// The special tokens that end a turn in models of today, as far as the program spells them.
  std::vector<int32_t> EndIds(const tokenizer::Tokenizer& tokenizer) const;

 private:
  ModelTemplate(jinja::Template program, std::vector<std::string_view> ends)
      : program_(std::move(program)), ends_(std::move(ends)) {}

  jinja::Data::Dict SpecialTokens(const tokenizer::Tokenizer& tokenizer) const;

  jinja::Template program_;
  std::vector<std::string_view> ends_;  // of the table in the .cc
  jinja::Data::Dict special_tokens_;    // bos_token, … of tokenizer_config.json; none where null
};

}  // namespace atom::chat
