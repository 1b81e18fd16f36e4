// The fields that /v1/completions and /v1/chat/completions share: sampling, stopping, streaming,
// the form of the answer.
#pragma once

#include "atom/server/openai_request.h"
#include "atom/server/request_fields.h"

namespace atom::server {

/// Reads all shared fields but those for logprobs and the most tokens, and ignores what OpenAI's
/// clients send that changes nothing here.
AnswerOptions ReadAnswerOptions(RequestFields& fields, std::string_view body,
                                const ApiLimits& limits);

/// A body that must be a JSON object.
OrApiError<io::Json> ParseBody(std::string_view body);

/// An array of token ids; each is 0 or more and fits int32.
std::vector<int32_t> ReadTokenIds(RequestFields& fields, std::string_view key,
                                  const io::Json& array);

}  // namespace atom::server
