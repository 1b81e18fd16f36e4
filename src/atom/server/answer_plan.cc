#include "atom/server/answer_plan.h"

#include <ctime>

#include "atom/core/rng.h"
#include "atom/io/quote.h"
#include "atom/server/constraint.h"

namespace atom::server {
namespace {

/// The API's default for /v1/completions.
constexpr int64_t kCompletionTokens = 16;

OrApiError<std::vector<int32_t>> PromptTokens(const Prompt& prompt, bool add_special_tokens,
                                              const ServedModel& model) {
  std::vector<int32_t> tokens;
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&prompt)) {
    tokens = *ids;
  } else {
    auto encoded = EncodePrompt(std::get<std::string>(prompt), add_special_tokens, model);
    if (const auto* error = std::get_if<ApiError>(&encoded)) return *error;
    tokens = std::get<std::vector<int32_t>>(std::move(encoded));
  }
  if (tokens.empty()) {
    return ApiError{.message = "prompt: expected at least one token, found none",
                    .param = "prompt"};
  }
  for (const int32_t id : tokens) {
    if (id < model.vocab_size) continue;
    return ApiError{.message = fmt::format("prompt: expected token ids below {}, found {}",
                                           model.vocab_size, id),
                    .param = "prompt"};
  }
  return tokens;
}

/// The most tokens of an answer to a prompt of `prompt` tokens.
OrApiError<int64_t> AnswerLength(const AnswerOptions& options, int64_t prompt,
                                 std::optional<int64_t> fallback, const ServedModel& model) {
  const int64_t room = model.context - prompt;
  const int64_t wanted = options.max_tokens.value_or(fallback.value_or(std::max<int64_t>(room, 1)));
  if (wanted > room) {
    return ApiError{
        .message = fmt::format("the context holds {} tokens, expected at most that many, found {} "
                               "in the prompt and {} of the answer",
                               model.context, prompt, wanted),
        .param = prompt >= model.context ? "prompt" : "max_tokens",
        .code = "context_length_exceeded"};
  }
  if (options.stop.min_tokens > wanted) {
    return ApiError{.message = fmt::format("min_tokens: expected at most max_tokens = {}, found {}",
                                           wanted, options.stop.min_tokens),
                    .param = "min_tokens"};
  }
  return wanted;
}

std::optional<ApiError> CheckIds(const AnswerOptions& options, const ServedModel& model) {
  const auto outside = [&model](int32_t id) { return id >= model.vocab_size; };
  for (const kernels::TokenValue& bias : options.sampling.logit_bias) {
    if (outside(bias.id)) {
      return ApiError{.message = fmt::format("logit_bias: expected token ids below {}, found {}",
                                             model.vocab_size, bias.id),
                      .param = "logit_bias"};
    }
  }
  for (const int32_t id : options.stop.token_ids) {
    if (outside(id)) {
      return ApiError{
          .message = fmt::format("stop_token_ids: expected token ids below {}, found {}",
                                 model.vocab_size, id),
          .param = "stop_token_ids"};
    }
  }
  return std::nullopt;
}

engine::Request OneRequest(const AnswerOptions& options, const std::vector<int32_t>& prompt,
                           int64_t max_tokens, int64_t choice) {
  engine::Request request;
  request.prompt = prompt;
  request.sampling = options.sampling;
  if (request.sampling.seed) request.sampling.seed = SeedOf(*request.sampling.seed, choice);
  request.stop = options.stop;
  request.stop.max_tokens = max_tokens;
  request.priority = options.priority;
  request.logprobs = options.logprobs;
  request.skip_special_tokens = options.skip_special_tokens;
  return request;
}

AnswerShape ShapeOf(const AnswerOptions& options, const ServedModel& model) {
  AnswerShape shape;
  shape.model = model.name;
  shape.n = shape.best_of = options.n;
  shape.stream = options.stream;
  shape.include_usage = options.include_usage;
  shape.logprobs = options.logprobs;
  shape.skip_special_tokens = options.skip_special_tokens;
  return shape;
}

/// A body's log-probabilities are held until it is whole.
std::optional<ApiError> CheckLogprobs(const AnswerOptions& options, int64_t tokens,
                                      const ApiLimits& limits) {
  if (options.logprobs < 0 || tokens <= limits.logprob_entries / (options.logprobs + 1)) {
    return std::nullopt;
  }
  return ApiError{
      .message = fmt::format("logprobs: expected at most {} of them, found {} tokens in all "
                             "answers and {} for each: ask for fewer answers or tokens",
                             limits.logprob_entries, tokens, options.logprobs + 1),
      .param = "logprobs"};
}

}  // namespace

uint64_t SeedOf(uint64_t seed, int64_t choice) {
  if (choice == 0) return seed;
  return Rng(seed ^ Rng(static_cast<uint64_t>(choice)).Next()).Next();
}

std::optional<ApiError> CheckModel(const std::string& name, const ServedModel& model) {
  if (name.empty() || name == model.name) return std::nullopt;
  return ApiError{.status = 404,
                  .message = fmt::format("model: expected {}, found {}", io::Quote(model.name),
                                         io::Quote(name)),
                  .param = "model",
                  .code = "model_not_found"};
}

OrApiError<std::vector<int32_t>> EncodePrompt(const std::string& text, bool add_special_tokens,
                                              const ServedModel& model) {
  const tokenizer::Tokenizer& tokenizer = *model.tokenizer;
  Result<std::vector<int32_t>> encoded =
      tokenizer.Encode(text, {.add_bos = false, .parse_special = true});
  if (!encoded.ok()) return ApiError{.message = encoded.error().message, .param = "prompt"};
  std::vector<int32_t> tokens = *std::move(encoded);
  const std::vector<int32_t>& start = tokenizer.start_ids();
  const bool begun = !tokens.empty() && !start.empty() && tokens.front() == start.front();
  if (add_special_tokens && !begun) tokens.insert(tokens.begin(), start.begin(), start.end());
  return tokens;
}

OrApiError<std::vector<int32_t>> RenderChat(const Conversation& conversation,
                                            const ServedModel& model) {
  chat::ChatOptions options = conversation.options;
  const std::time_t now = std::time(nullptr);
  gmtime_r(&now, &options.now.emplace());
  Result<std::vector<int32_t>> tokens =
      model.chat_template->Render(*model.tokenizer, conversation.messages, options);
  if (!tokens.ok()) return ApiError{.message = tokens.error().message, .param = "messages"};
  return std::move(tokens).value();
}

OrApiError<AnswerPlan> PlanCompletion(const CompletionRequest& request, const ApiLimits& limits,
                                      const ServedModel& model) {
  const AnswerOptions& options = request.options;
  if (auto error = CheckModel(options.model, model)) return *error;
  if (auto error = CheckIds(options, model)) return *error;
  AnswerPlan plan = {.shape = ShapeOf(options, model), .requests = {}};
  plan.shape.prompts = static_cast<int64_t>(request.prompts.size());
  plan.shape.best_of = request.best_of;
  const int64_t count = plan.shape.prompts * request.best_of;
  auto constraints = MakeConstraints(options, model, count);
  if (const auto* error = std::get_if<ApiError>(&constraints)) return *error;

  int64_t listed = 0;  // tokens whose log-probabilities are shown
  for (const Prompt& prompt : request.prompts) {
    auto tokens = PromptTokens(prompt, request.add_special_tokens, model);
    if (const auto* error = std::get_if<ApiError>(&tokens)) return *error;
    const auto& ids = std::get<std::vector<int32_t>>(tokens);
    auto length = AnswerLength(options, static_cast<int64_t>(ids.size()), kCompletionTokens, model);
    if (const auto* error = std::get_if<ApiError>(&length)) return *error;
    const auto prompt_tokens = static_cast<int64_t>(ids.size());
    listed += request.best_of * ((request.echo ? prompt_tokens : 0) + std::get<int64_t>(length));
    if (auto error = CheckLogprobs(options, listed, limits)) return *error;
    if (request.echo) {
      const auto* text = std::get_if<std::string>(&prompt);
      plan.shape.echo.push_back(text != nullptr ? *text : model.tokenizer->Decode(ids));
    }
    for (int64_t i = 0; i < request.best_of; ++i) {
      engine::Request one = OneRequest(options, ids, std::get<int64_t>(length), i);
      // Of a prompt with several answers, once.
      if (request.echo && i == 0) one.prompt_logprobs = options.logprobs;
      // The best is chosen by the log-probability of its tokens.
      if (request.best_of > options.n) one.logprobs = std::max(one.logprobs, 0);
      one.constraint = std::move(std::get<0>(constraints)[plan.requests.size()]);
      plan.requests.push_back(std::move(one));
    }
  }
  return plan;
}

OrApiError<AnswerPlan> PlanChat(const ChatRequest& request, const ApiLimits& limits,
                                const ServedModel& model) {
  const AnswerOptions& options = request.options;
  if (auto error = CheckModel(options.model, model)) return *error;
  if (auto error = CheckIds(options, model)) return *error;
  if (options.max_tokens == 0) {
    return ApiError{.message = "max_tokens: expected at least 1, found 0", .param = "max_tokens"};
  }
  auto tokens = RenderChat(request.conversation, model);
  if (const auto* error = std::get_if<ApiError>(&tokens)) return *error;
  const auto& ids = std::get<std::vector<int32_t>>(tokens);
  auto length = AnswerLength(options, static_cast<int64_t>(ids.size()), std::nullopt, model);
  if (const auto* error = std::get_if<ApiError>(&length)) return *error;
  if (auto error = CheckLogprobs(options, options.n * std::get<int64_t>(length), limits)) {
    return *error;
  }
  auto constraints = MakeConstraints(options, model, options.n);
  if (const auto* error = std::get_if<ApiError>(&constraints)) return *error;

  AnswerPlan plan = {.shape = ShapeOf(options, model), .requests = {}};
  plan.shape.chat = true;
  for (int64_t i = 0; i < options.n; ++i) {
    engine::Request one = OneRequest(options, ids, std::get<int64_t>(length), i);
    const std::vector<int32_t> ends = model.chat_template->StopIds(*model.tokenizer);
    if (!options.stop.ignore_eos) {
      one.stop.token_ids.insert(one.stop.token_ids.end(), ends.begin(), ends.end());
    }
    one.constraint = std::move(std::get<0>(constraints)[static_cast<size_t>(i)]);
    plan.requests.push_back(std::move(one));
  }
  return plan;
}

}  // namespace atom::server
