// The text of each chat template that has a name, as parts: the template's words, which may spell
// special tokens, and the users' words, which may not. chat_template.h chooses one and encodes what
// it writes.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "atom/chat/chat_message.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::chat {

/// What stands around the turns: how a tokenizer spells the ends of a text (empty if it has none,
/// or adds none), and whether what begins the assistant's answer comes last.
struct ChatFrame {
  std::string bos;
  std::string eos;
  bool add_generation_prompt = true;
};

/// Writes a conversation: an optional system message first, then the others.
using ChatFormat = std::vector<tokenizer::TextPart> (*)(std::span<const ChatMessage> messages,
                                                        const ChatFrame& frame);

std::vector<tokenizer::TextPart> FormatPlain(std::span<const ChatMessage> messages,
                                             const ChatFrame& frame);
std::vector<tokenizer::TextPart> FormatLlama2(std::span<const ChatMessage> messages,
                                              const ChatFrame& frame);
std::vector<tokenizer::TextPart> FormatLlama3(std::span<const ChatMessage> messages,
                                              const ChatFrame& frame);
std::vector<tokenizer::TextPart> FormatMistral(std::span<const ChatMessage> messages,
                                               const ChatFrame& frame);
std::vector<tokenizer::TextPart> FormatMistralV3(std::span<const ChatMessage> messages,
                                                 const ChatFrame& frame);
std::vector<tokenizer::TextPart> FormatChatMl(std::span<const ChatMessage> messages,
                                              const ChatFrame& frame);
std::vector<tokenizer::TextPart> FormatZephyr(std::span<const ChatMessage> messages,
                                              const ChatFrame& frame);

}  // namespace atom::chat
