#include "atom/server/prepare.h"

#include <nlohmann/json.hpp>

#include "atom/core/check.h"
#include "atom/io/json.h"
#include "atom/server/logprobs_json.h"
#include "atom/tokenizer/unicode.h"

namespace atom::server {
namespace {

Prepared Checked(OrApiError<AnswerPlan> planned, const EnginePort& engine) {
  if (const auto* error = std::get_if<ApiError>(&planned)) return *error;
  AnswerPlan& plan = std::get<AnswerPlan>(planned);
  for (const engine::Request& request : plan.requests) {
    if (Status s = engine.Validate(request); !s.ok()) return ApiError{.message = s.error().message};
  }
  return std::move(plan);
}

Prepared Tokenize(const TokenizeRequest& request, const ServedModel& model) {
  if (auto error = CheckModel(request.model, model)) return *error;
  std::vector<int32_t> tokens;
  if (request.prompt.has_value()) {
    auto encoded = EncodePrompt(*request.prompt, request.add_special_tokens, model);
    if (const auto* error = std::get_if<ApiError>(&encoded)) return *error;
    tokens = std::get<std::vector<int32_t>>(std::move(encoded));
  } else {
    auto rendered = RenderChat(request.conversation, model);
    if (const auto* error = std::get_if<ApiError>(&rendered)) return *error;
    tokens = std::get<std::vector<int32_t>>(std::move(rendered));
  }
  io::Json body = {{"count", tokens.size()}, {"max_model_len", model.context}, {"tokens", tokens}};
  body["token_strs"] = nullptr;
  if (request.with_strings) {
    body["token_strs"] = io::Json::array();
    for (const int32_t id : tokens) body["token_strs"].push_back(TokenName(*model.tokenizer, id));
  }
  return HttpReply{.body = io::DumpJson(body, -1)};
}

Prepared Detokenize(const DetokenizeRequest& request, const ServedModel& model) {
  if (auto error = CheckModel(request.model, model)) return *error;
  for (const int32_t id : request.tokens) {
    if (id < model.vocab_size) continue;
    return ApiError{
        .message = fmt::format("tokens: expected ids below {}, found {}", model.vocab_size, id),
        .param = "tokens"};
  }
  const io::Json body = {
      {"prompt", tokenizer::ToValidUtf8(model.tokenizer->Decode(request.tokens))}};
  return HttpReply{.body = io::DumpJson(body, -1)};
}

io::Json ModelJson(const ServedModel& model) {
  return {{"id", model.name},
          {"object", "model"},
          {"created", model.created},
          {"owned_by", "atom"},
          {"root", model.name},
          {"parent", nullptr},
          {"max_model_len", model.context}};
}

}  // namespace

Prepared Prepare(Endpoint endpoint, std::string_view body, const ApiLimits& limits,
                 const ServedModel& model, const EnginePort& engine) {
  if (endpoint == Endpoint::kCompletions) {
    const auto request = ParseCompletionRequest(body, limits);
    if (const auto* error = std::get_if<ApiError>(&request)) return *error;
    return Checked(PlanCompletion(std::get<CompletionRequest>(request), limits, model), engine);
  }
  if (endpoint == Endpoint::kChat) {
    const auto request = ParseChatRequest(body, limits);
    if (const auto* error = std::get_if<ApiError>(&request)) return *error;
    return Checked(PlanChat(std::get<ChatRequest>(request), limits, model), engine);
  }
  if (endpoint == Endpoint::kTokenize) {
    const auto request = ParseTokenizeRequest(body, limits);
    if (const auto* error = std::get_if<ApiError>(&request)) return *error;
    return Tokenize(std::get<TokenizeRequest>(request), model);
  }
  ATOM_CHECK(endpoint == Endpoint::kDetokenize, "endpoint {}", static_cast<int>(endpoint));
  const auto request = ParseDetokenizeRequest(body);
  if (const auto* error = std::get_if<ApiError>(&request)) return *error;
  return Detokenize(std::get<DetokenizeRequest>(request), model);
}

HttpReply ModelsReply(const ServedModel& model) {
  const io::Json body = {{"object", "list"}, {"data", io::Json::array({ModelJson(model)})}};
  return {.body = io::DumpJson(body, -1)};
}

HttpReply ModelReply(std::string_view path, const ServedModel& model) {
  const std::string name(path.substr(kModelPath.size()));
  if (auto error = CheckModel(name, model)) return ErrorReply(*error);
  return {.body = io::DumpJson(ModelJson(model), -1)};
}

HttpReply TokenizerInfoReply(const ServedModel& model) {
  const tokenizer::Tokenizer& tokenizer = *model.tokenizer;
  const std::vector<int32_t> ends = tokenizer.eos_ids();
  io::Json body = {{"tokenizer_class", tokenizer.kind()},
                   {"bos_token", nullptr},
                   {"eos_token", nullptr},
                   {"model_max_length", model.context}};
  if (const auto bos = tokenizer.bos_id()) body["bos_token"] = TokenName(tokenizer, *bos);
  if (!ends.empty()) body["eos_token"] = TokenName(tokenizer, ends.front());
  return {.body = io::DumpJson(body, -1)};
}

}  // namespace atom::server
