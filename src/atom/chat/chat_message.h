// A conversation as it is handed to a chat template: its messages, and what else a template can be
// told.
#pragma once

#include <ctime>
#include <optional>
#include <string>

#include "atom/chat/jinja/data.h"
#include "atom/chat/jinja/render_state.h"

namespace atom::chat {

struct ChatMessage {
  std::string role;  ///< "system", "user", "assistant", "tool", …: a word
  std::string content;
  /// More of the message (tool_calls, name, …), or in place of `content`. Only a template that the
  /// model brings sees it.
  jinja::Data::Dict fields = {};
};

/// How a conversation ends, and what only a template that the model brings can use.
struct ChatOptions {
  bool add_generation_prompt = true;  ///< end with what begins the assistant's answer
  /// End where the last message's text does, so that the answer goes on with it.
  bool continue_final_message = false;
  jinja::Data tools = {};            ///< a list of JSON schemas, or none
  jinja::Data::Dict variables = {};  ///< more of the template's, as chat_template_kwargs has them
  std::optional<std::tm> now = {};   ///< what strftime_now tells; without it, it is not defined
  jinja::Limits limits = {};
};

}  // namespace atom::chat
