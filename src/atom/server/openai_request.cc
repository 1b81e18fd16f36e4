#include "atom/server/openai_request.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "atom/server/answer_fields.h"
#include "atom/server/conversation_fields.h"
#include "atom/server/neutral_fields.h"

namespace atom::server {
namespace {

constexpr io::IntRange kTokenCounts = {0, std::numeric_limits<int32_t>::max()};

// "prompt": a text, texts, ids, or lists of ids.
std::vector<Prompt> ReadPrompts(RequestFields& fields, const ApiLimits& limits) {
  const io::Json* json = fields.Find("prompt");
  if (json == nullptr) {
    fields.Fail("prompt", "expected a text, token ids, or an array of either");
    return {};
  }
  if (json->is_string()) return {json->get<std::string>()};
  if (!json->is_array() || json->empty()) {
    fields.RefuseValue("prompt", "a text, token ids, or an array of either", *json);
    return {};
  }
  if (json->front().is_number()) return {ReadTokenIds(fields, "prompt", *json)};
  if (static_cast<int64_t>(json->size()) > limits.choices) {
    fields.Fail("prompt",
                fmt::format("expected at most {} prompts, found {}", limits.choices, json->size()));
    return {};
  }
  std::vector<Prompt> prompts;
  for (const io::Json& one : *json) {
    if (one.is_string()) {
      prompts.emplace_back(one.get<std::string>());
    } else if (one.is_array()) {
      prompts.emplace_back(ReadTokenIds(fields, "prompt", one));
    } else {
      fields.RefuseValue("prompt", "texts or arrays of token ids", one);
      return {};
    }
  }
  return prompts;
}

void CheckFanOut(RequestFields& fields, const CompletionRequest& request, const ApiLimits& limits) {
  if (request.best_of < request.options.n) {
    fields.Fail("best_of", fmt::format("expected at least n = {}, found {}", request.options.n,
                                       request.best_of));
  }
  if (request.best_of > request.options.n && request.options.stream) {
    fields.Fail("best_of", "a stream cannot choose the best of several answers");
  }
  if (static_cast<int64_t>(request.prompts.size()) * request.best_of > limits.choices) {
    fields.Fail("n", fmt::format("expected at most {} answers to all prompts, found {} times {}",
                                 limits.choices, request.prompts.size(), request.best_of));
  }
}

void ReadChatLogprobs(RequestFields& fields, const ApiLimits& limits, AnswerOptions& options) {
  const bool wanted = fields.Bool("logprobs", false);
  const std::optional<int64_t> top = fields.Int("top_logprobs", {0, limits.logprobs});
  if (top.has_value() && *top > 0 && !wanted) {
    fields.Fail("top_logprobs", "is for requests with \"logprobs\": true");
  }
  if (wanted) options.logprobs = static_cast<int32_t>(top.value_or(0));
}

}  // namespace

OrApiError<CompletionRequest> ParseCompletionRequest(std::string_view body,
                                                     const ApiLimits& limits) {
  const OrApiError<io::Json> json = ParseBody(body);
  if (const auto* error = std::get_if<ApiError>(&json)) return *error;
  RequestFields fields(std::get<io::Json>(json));
  CompletionRequest request;
  request.options = ReadAnswerOptions(fields, body, limits);
  request.options.max_tokens = fields.Int("max_tokens", kTokenCounts);
  const io::Json* logprobs = fields.Find("logprobs");
  const bool none = logprobs != nullptr && *logprobs == false;  // as chat requests have it
  if (!none) {
    request.options.logprobs =
        static_cast<int32_t>(fields.Int("logprobs", {0, limits.logprobs}).value_or(-1));
  }
  request.best_of = fields.Int("best_of", {1, limits.choices}).value_or(request.options.n);
  request.echo = fields.Bool("echo", false);
  request.add_special_tokens = fields.Bool("add_special_tokens", true);
  ReadNeutralCompletionFields(fields);
  request.prompts = ReadPrompts(fields, limits);
  CheckFanOut(fields, request, limits);
  fields.RefuseOthers();
  if (fields.error().has_value()) return *fields.error();
  return request;
}

OrApiError<ChatRequest> ParseChatRequest(std::string_view body, const ApiLimits& limits) {
  const OrApiError<io::Json> json = ParseBody(body);
  if (const auto* error = std::get_if<ApiError>(&json)) return *error;
  RequestFields fields(std::get<io::Json>(json));
  ChatRequest request;
  request.options = ReadAnswerOptions(fields, body, limits);
  const std::optional<int64_t> old_name = fields.Int("max_tokens", kTokenCounts);
  const std::optional<int64_t> new_name = fields.Int("max_completion_tokens", kTokenCounts);
  request.options.max_tokens = new_name.has_value() ? new_name : old_name;
  ReadChatLogprobs(fields, limits, request.options);
  ReadNeutralChatFields(fields);
  request.conversation = ReadConversation(fields, body, limits);
  fields.RefuseOthers();
  if (fields.error().has_value()) return *fields.error();
  return request;
}

OrApiError<TokenizeRequest> ParseTokenizeRequest(std::string_view body, const ApiLimits& limits) {
  const OrApiError<io::Json> json = ParseBody(body);
  if (const auto* error = std::get_if<ApiError>(&json)) return *error;
  RequestFields fields(std::get<io::Json>(json));
  TokenizeRequest request;
  request.model = fields.String("model").value_or("");
  request.prompt = fields.String("prompt");
  request.with_strings = fields.Bool("return_token_strs", false);
  ReadNeutralFields(fields);
  if (!request.prompt.has_value()) {
    ReadNeutralChatFields(fields);
    request.conversation = ReadConversation(fields, body, limits);
  } else {
    request.add_special_tokens = fields.Bool("add_special_tokens", true);
    if (fields.Find("messages") != nullptr) {
      fields.Fail("messages", "expected either a prompt or messages");
    }
  }
  fields.RefuseOthers();
  if (fields.error().has_value()) return *fields.error();
  return request;
}

OrApiError<DetokenizeRequest> ParseDetokenizeRequest(std::string_view body) {
  const OrApiError<io::Json> json = ParseBody(body);
  if (const auto* error = std::get_if<ApiError>(&json)) return *error;
  RequestFields fields(std::get<io::Json>(json));
  DetokenizeRequest request;
  request.model = fields.String("model").value_or("");
  if (const io::Json* tokens = fields.Array("tokens")) {
    request.tokens = ReadTokenIds(fields, "tokens", *tokens);
  } else {
    fields.Fail("tokens", "expected an array of token ids");
  }
  fields.RefuseOthers();
  if (fields.error().has_value()) return *fields.error();
  return request;
}

}  // namespace atom::server
