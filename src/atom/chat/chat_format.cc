#include "atom/chat/chat_format.h"

#include <string_view>
#include <utility>

namespace atom::chat {
namespace {

class PartWriter {
 public:
  PartWriter& Template(std::string text) { return Add(std::move(text), true); }
  PartWriter& User(std::string_view text) { return Add(std::string(text), false); }
  std::vector<tokenizer::TextPart> Take() { return std::move(parts_); }

 private:
  PartWriter& Add(std::string text, bool trusted) {
    if (!text.empty()) parts_.push_back({std::move(text), trusted});
    return *this;
  }

  std::vector<tokenizer::TextPart> parts_;
};

constexpr std::string_view kSpaces = " \t\n\v\f\r";

std::string_view TrimEnd(std::string_view text) {
  const size_t last = text.find_last_not_of(kSpaces);
  return last == text.npos ? std::string_view() : text.substr(0, last + 1);
}

std::string_view Trim(std::string_view text) {
  text = TrimEnd(text);
  return text.substr(std::min(text.find_first_not_of(kSpaces), text.size()));
}

// Takes the system message off the front: its content, or nothing.
std::string TakeSystem(std::span<const ChatMessage>& messages) {
  if (messages.empty() || messages.front().role != "system") return {};
  std::string system = messages.front().content;
  messages = messages.subspan(1);
  return system;
}

}  // namespace

// A model that knows no turns continues the text, whose bos is the tokenizer's to add.
std::vector<tokenizer::TextPart> FormatPlain(std::span<const ChatMessage> messages,
                                             const ChatFrame&) {
  PartWriter writer;
  for (size_t i = 0; i < messages.size(); ++i) {
    writer.Template(i == 0 ? "" : "\n").User(messages[i].content);
  }
  return writer.Take();
}

// <s>[INST] <<SYS>>\nsystem\n<</SYS>>\n\nuser [/INST] assistant </s><s>[INST] user [/INST]
std::vector<tokenizer::TextPart> FormatLlama2(std::span<const ChatMessage> messages,
                                              const ChatFrame& frame) {
  PartWriter writer;
  const std::string system = TakeSystem(messages);
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string& content = messages[i].content;
    if (messages[i].role == "assistant") {
      writer.Template(" ").User(Trim(content)).Template(" " + frame.eos);
      continue;
    }
    writer.Template(frame.bos + "[INST] ");
    if (i == 0 && !system.empty()) {
      writer.Template("<<SYS>>\n").User(system).Template("\n<</SYS>>\n\n").User(TrimEnd(content));
    } else {
      writer.User(Trim(content));
    }
    writer.Template(" [/INST]");
  }
  return writer.Take();
}

// <|begin_of_text|> then, for each turn, <|start_header_id|>role<|end_header_id|>\n\ntext<|eot_id|>
std::vector<tokenizer::TextPart> FormatLlama3(std::span<const ChatMessage> messages,
                                              const ChatFrame& frame) {
  PartWriter writer;
  writer.Template(frame.bos);
  const auto header = [&](const std::string& role) {
    writer.Template("<|start_header_id|>" + role + "<|end_header_id|>\n\n");
  };
  for (const ChatMessage& message : messages) {
    header(message.role);
    writer.User(Trim(message.content)).Template("<|eot_id|>");
  }
  if (frame.add_generation_prompt) header("assistant");
  return writer.Take();
}

// <s>[INST] system\n\nuser [/INST] assistant</s> [INST] user [/INST]
std::vector<tokenizer::TextPart> FormatMistral(std::span<const ChatMessage> messages,
                                               const ChatFrame& frame) {
  PartWriter writer;
  const std::string system = TakeSystem(messages);
  writer.Template(frame.bos);
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string& content = messages[i].content;
    if (messages[i].role == "assistant") {
      writer.Template(" ").User(content).Template(frame.eos);
      continue;
    }
    writer.Template(i == 0 ? "[INST] " : " [INST] ");
    if (i == 0 && !system.empty()) writer.User(system).Template("\n\n");
    writer.User(content).Template(" [/INST]");
  }
  return writer.Take();
}

// <s>[INST] user[/INST] assistant</s>[INST] system\n\nuser[/INST], the brackets being tokens
std::vector<tokenizer::TextPart> FormatMistralV3(std::span<const ChatMessage> messages,
                                                 const ChatFrame& frame) {
  PartWriter writer;
  const std::string system = TakeSystem(messages);
  writer.Template(frame.bos);
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string& content = messages[i].content;
    if (messages[i].role == "assistant") {
      writer.Template(" ").User(content).Template(frame.eos);
      continue;
    }
    writer.Template("[INST] ");
    if (i + 1 == messages.size() && !system.empty()) writer.User(system).Template("\n\n");
    writer.User(content).Template("[/INST]");
  }
  return writer.Take();
}

// <|im_start|>role\ntext<|im_end|>\n for each turn
std::vector<tokenizer::TextPart> FormatChatMl(std::span<const ChatMessage> messages,
                                              const ChatFrame& frame) {
  PartWriter writer;
  writer.Template(frame.bos);
  for (const ChatMessage& message : messages) {
    writer.Template("<|im_start|>" + message.role + "\n")
        .User(message.content)
        .Template("<|im_end|>\n");
  }
  if (frame.add_generation_prompt) writer.Template("<|im_start|>assistant\n");
  return writer.Take();
}

// <|role|>\ntext</s>\n for each turn
std::vector<tokenizer::TextPart> FormatZephyr(std::span<const ChatMessage> messages,
                                              const ChatFrame& frame) {
  PartWriter writer;
  writer.Template(frame.bos);
  for (const ChatMessage& message : messages) {
    writer.Template("<|" + message.role + "|>\n").User(message.content).Template(frame.eos + "\n");
  }
  if (frame.add_generation_prompt) writer.Template("<|assistant|>\n");
  return writer.Take();
}

}  // namespace atom::chat
