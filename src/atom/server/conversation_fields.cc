#include "atom/server/conversation_fields.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "atom/io/json_text.h"
#include "atom/io/quote.h"
#include "atom/server/neutral_fields.h"

namespace atom::server {
namespace {

using chat::jinja::Data;
using chat::jinja::Origin;

/// Variables that a template is given anyway; the first two have parameters of their own.
constexpr auto kReserved = std::to_array<std::string_view>(
    {"add_generation_prompt", "continue_final_message", "messages", "tools", "documents",
     "chat_template", "tokenize", "bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
     "cls_token", "mask_token", "additional_special_tokens"});

/// A message's text: a string, or parts that are all text.
std::string ReadContent(RequestFields& fields, const io::Json* content) {
  if (content == nullptr) {
    fields.Fail("content", "expected a text");
    return "";
  }
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) {
    fields.RefuseValue("content", "a string or an array of text parts", *content);
    return "";
  }
  std::string text;
  for (const io::Json& part : *content) {
    const bool is_text = part.is_object() && part.value("type", io::Json()) == "text" &&
                         part.contains("text") && part.at("text").is_string();
    if (!is_text) {
      fields.Fail("content", "expected parts of the type text, each with its \"text\"");
      return "";
    }
    text += part.at("text").get_ref<const std::string&>();
  }
  return text;
}

chat::ChatMessage ReadMessage(RequestFields& fields) {
  chat::ChatMessage message;
  message.role = fields.String("role").value_or("");
  if (message.role == "developer") message.role = "system";  // its newer name
  const bool assistant = message.role == "assistant";
  if (message.role != "system" && message.role != "user" && !assistant) {
    fields.Fail("role", "expected system, developer, user or assistant");
  }
  // An answer without a text comes back as null.
  const io::Json* content = fields.Find("content");
  if (content != nullptr || !assistant) message.content = ReadContent(fields, content);
  // What the model thought, as other servers give it back: the template decides what to tell of it.
  for (const std::string_view key : {"reasoning_content", "reasoning"}) {
    const std::optional<std::string> thought = fields.String(key);
    if (thought) chat::jinja::Set(message.fields, key, Data::User(*thought));
  }
  ReadNeutralMessageFields(fields);
  fields.RefuseOthers();
  return message;
}

std::vector<chat::ChatMessage> ReadMessages(RequestFields& fields, const ApiLimits& limits) {
  std::vector<chat::ChatMessage> messages;
  const io::Json* array = fields.Array("messages");
  if (array == nullptr || array->empty()) {
    fields.Fail("messages", "expected at least one message");
    return messages;
  }
  if (static_cast<int64_t>(array->size()) > limits.messages) {
    fields.Fail("messages", fmt::format("expected at most {} messages, found {}", limits.messages,
                                        array->size()));
    return messages;
  }
  for (size_t i = 0; i < array->size() && !fields.error().has_value(); ++i) {
    const io::Json& json = (*array)[i];
    if (!json.is_object()) {
      fields.RefuseValue("messages", "objects", json);
      break;
    }
    RequestFields inner(json, fmt::format("messages[{}].", i));
    messages.push_back(ReadMessage(inner));
    fields.Adopt(inner);
  }
  return messages;
}

// Tools are known, so that asking for none is no error, nor is forbidding those that there are.
void RefuseTools(RequestFields& fields) {
  struct Pair {
    std::string_view tools;
    std::string_view choice;
  };
  for (const Pair& pair : {Pair{"tools", "tool_choice"}, Pair{"functions", "function_call"}}) {
    const io::Json* choice = fields.Find(pair.choice);
    const bool forbidden = choice != nullptr && *choice == "none";
    if (choice != nullptr && !forbidden && *choice != "auto") {
      fields.Fail(pair.choice, "tools are not supported, expected none or auto");
    }
    const io::Json* tools = fields.Array(pair.tools);
    if (tools != nullptr && !tools->empty() && !forbidden) {
      fields.Fail(pair.tools, fmt::format("tools are not supported, expected none or \"{}\": "
                                          "\"none\"",
                                          pair.choice));
    }
  }
}

void ReadEffort(RequestFields& fields, Data::Dict& variables) {
  constexpr auto kEfforts =
      std::to_array<std::string_view>({"none", "minimal", "low", "medium", "high", "xhigh"});
  const std::optional<std::string> effort = fields.String("reasoning_effort");
  if (!effort) return;
  if (std::ranges::find(kEfforts, *effort) == kEfforts.end()) {
    fields.RefuseValue("reasoning_effort", "none, minimal, low, medium, high or xhigh");
  }
  chat::jinja::Set(variables, "reasoning_effort", Data::User(*effort));
}

void ReadVariables(RequestFields& fields, std::string_view body, const ApiLimits& limits,
                   Data::Dict& variables) {
  constexpr const char* kKey = "chat_template_kwargs";
  const io::Json* object = fields.Object(kKey);
  if (object == nullptr) return;
  for (const std::string_view name : kReserved) {
    if (object->contains(name)) {
      return fields.Fail(kKey, fmt::format("{} is not for it to set", io::Quote(name)));
    }
  }
  const std::string_view text = io::FindJsonText(body, kKey).value();
  if (static_cast<int64_t>(text.size()) > limits.template_bytes) {
    return fields.Fail(kKey, fmt::format("expected at most {} bytes, found {}",
                                         limits.template_bytes, text.size()));
  }
  const Result<Data> data = Data::FromJson(text, kKey, Origin::kUser);
  if (!data.ok()) return fields.Fail(kKey, data.error().message);
  for (const auto& [name, value] : std::get<Data::Dict>(data->value())) {
    chat::jinja::Set(variables, name.bytes(), value);
  }
}

}  // namespace

Conversation ReadConversation(RequestFields& fields, std::string_view body,
                              const ApiLimits& limits) {
  Conversation conversation;
  chat::ChatOptions& options = conversation.options;
  conversation.messages = ReadMessages(fields, limits);
  options.continue_final_message = fields.Bool("continue_final_message", false);
  options.add_generation_prompt =
      fields.Bool("add_generation_prompt", !options.continue_final_message);
  if (options.continue_final_message && options.add_generation_prompt) {
    fields.Fail("add_generation_prompt",
                "expected false beside continue_final_message: an answer goes on or begins");
  }
  RefuseTools(fields);
  ReadEffort(fields, options.variables);
  ReadVariables(fields, body, limits, options.variables);
  return conversation;
}

}  // namespace atom::server
