// The conversation of a chat request, and what its template is told besides.
#pragma once

#include "atom/server/openai_request.h"
#include "atom/server/request_fields.h"

namespace atom::server {

/// "messages" (at least one, each with a role and a text), "add_generation_prompt",
/// "continue_final_message", "chat_template_kwargs" and "reasoning_effort". `body` is the text of
/// the JSON: the template's variables keep its order.
Conversation ReadConversation(RequestFields& fields, std::string_view body,
                              const ApiLimits& limits);

}  // namespace atom::server
