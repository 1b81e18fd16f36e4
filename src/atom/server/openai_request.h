// The bodies of requests, parsed into plain structs: JSON under limits, each field of the right
// type and in range, unknown ones refused. Nothing here knows the model, so that any bytes can be
// parsed anywhere; what the model has to say is answer_plan.h's.
//
// docs/serving.md lists what is accepted, ignored and refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "atom/chat/chat_template.h"
#include "atom/engine/request.h"
#include "atom/server/api_error.h"

namespace atom::server {

/// How far one request may fan out, and how much it may say. Checked before anything is made of it.
struct ApiLimits {
  int64_t choices = 128;  ///< prompts times the answers to each
  int64_t stop_strings = 16;
  int64_t stop_bytes = 1024;  ///< of one stop string
  int64_t stop_ids = 128;
  int64_t logit_biases = 1024;
  int64_t logprobs = 20;  ///< likeliest tokens of each position
  int64_t messages = 4096;
  int64_t schema_bytes = int64_t{64} << 10;
  int64_t template_bytes = int64_t{64} << 10;  ///< of the template's variables, as JSON
  /// Log-probabilities of one body, in all its answers: about 50 bytes of JSON each.
  int64_t logprob_entries = int64_t{1} << 22;
};

enum class FormatKind { kText, kJsonObject, kJsonSchema };

struct ResponseFormat {
  FormatKind kind = FormatKind::kText;
  std::string schema;  ///< JSON text, for kJsonSchema
};

/// What both kinds of request say about the answer.
struct AnswerOptions {
  std::string model;  ///< empty: the one that is served
  int64_t n = 1;      ///< answers to each prompt
  bool stream = false;
  bool include_usage = false;         ///< at the end of a stream
  std::optional<int64_t> max_tokens;  ///< absent: the endpoint's default
  engine::Sampling sampling;
  engine::StopConditions stop;  ///< max_tokens is not set yet
  int32_t logprobs = -1;
  int32_t priority = 0;
  bool skip_special_tokens = true;  ///< else they are spelled in the text
  ResponseFormat format;
};

using Prompt = std::variant<std::string, std::vector<int32_t>>;

struct CompletionRequest {
  AnswerOptions options;
  std::vector<Prompt> prompts;
  int64_t best_of = 1;  ///< at least n
  bool echo = false;
  bool add_special_tokens = true;  ///< bos, where the tokenizer adds one
};

/// A conversation and what else its template is told.
struct Conversation {
  std::vector<chat::ChatMessage> messages;
  chat::ChatOptions options;
};

struct ChatRequest {
  AnswerOptions options;
  Conversation conversation;
};

struct TokenizeRequest {
  std::string model;
  std::optional<std::string> prompt;  ///< or
  Conversation conversation;
  bool add_special_tokens = true;
  bool with_strings = false;
};

struct DetokenizeRequest {
  std::string model;
  std::vector<int32_t> tokens;
};

OrApiError<CompletionRequest> ParseCompletionRequest(std::string_view body,
                                                     const ApiLimits& limits);
OrApiError<ChatRequest> ParseChatRequest(std::string_view body, const ApiLimits& limits);
OrApiError<TokenizeRequest> ParseTokenizeRequest(std::string_view body, const ApiLimits& limits);
OrApiError<DetokenizeRequest> ParseDetokenizeRequest(std::string_view body);

}  // namespace atom::server
