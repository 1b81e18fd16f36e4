// Parameters of the API, and of servers that clients talk to as well, for something that this
// server does not have. Clients send them with the values that change nothing; those pass.
//
// Promises: a value that would change the answer is refused by name, never passed over.
#pragma once

#include "atom/server/request_fields.h"

namespace atom::server {

/// Those of all endpoints. What OpenAI's clients label requests with is passed over whole.
void ReadNeutralFields(RequestFields& fields);
void ReadNeutralCompletionFields(RequestFields& fields);
void ReadNeutralChatFields(RequestFields& fields);
/// Those of a message.
void ReadNeutralMessageFields(RequestFields& fields);

}  // namespace atom::server
