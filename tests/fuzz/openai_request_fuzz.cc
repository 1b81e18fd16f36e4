// Any bytes as the body of a request: refused with a sentence, or a request within the limits.
#include <cmath>
#include <cstdint>

#include "atom/server/openai_request.h"

#include "error_sentence.h"

namespace {

using atom::server::ApiLimits;

void CheckOptions(const atom::server::AnswerOptions& options, const ApiLimits& limits) {
  ATOM_CHECK(options.n >= 1 && options.n <= limits.choices, "n = {}", options.n);
  ATOM_CHECK(options.logprobs >= -1 && options.logprobs <= limits.logprobs, "logprobs = {}",
             options.logprobs);
  ATOM_CHECK(options.max_tokens.value_or(0) >= 0, "max_tokens = {}", *options.max_tokens);
  const atom::engine::Sampling& sampling = options.sampling;
  ATOM_CHECK(sampling.temperature >= 0 && sampling.temperature <= 2, "{}", sampling.temperature);
  ATOM_CHECK(sampling.top_p >= 0 && sampling.top_p <= 1 && sampling.top_k >= 0, "{} {}",
             sampling.top_p, sampling.top_k);
  ATOM_CHECK(sampling.repetition_penalty > 0, "{}", sampling.repetition_penalty);
  for (const atom::kernels::TokenValue& bias : sampling.logit_bias) {
    ATOM_CHECK(bias.id >= 0 && std::isfinite(bias.value), "{}: {}", bias.id, bias.value);
  }
  const auto stops = static_cast<int64_t>(options.stop.strings.size());
  ATOM_CHECK(stops <= limits.stop_strings, "{} stop strings", stops);
  for (const std::string& stop : options.stop.strings) {
    ATOM_CHECK(!stop.empty() && static_cast<int64_t>(stop.size()) <= limits.stop_bytes, "{}",
               stop.size());
  }
}

void CheckIds(const std::vector<int32_t>& ids) {
  for (const int32_t id : ids) ATOM_CHECK(id >= 0, "id {}", id);
}

template <class Request, class Check>
void CheckParsed(const atom::server::OrApiError<Request>& parsed, const Check& check) {
  if (const auto* error = std::get_if<atom::server::ApiError>(&parsed)) {
    ATOM_CHECK(error->status == 400, "status {}", error->status);
    atom::fuzz::CheckSentence({error->message});
    ATOM_CHECK(!atom::server::ErrorJson(*error).empty(), "no JSON of {}", error->message);
  } else {
    check(std::get<Request>(parsed));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const ApiLimits limits;
  CheckParsed(atom::server::ParseCompletionRequest(body, limits),
              [&limits](const atom::server::CompletionRequest& request) {
                CheckOptions(request.options, limits);
                const auto prompts = static_cast<int64_t>(request.prompts.size());
                ATOM_CHECK(prompts >= 1 && prompts * request.best_of <= limits.choices,
                           "{} prompts, best of {}", prompts, request.best_of);
                ATOM_CHECK(request.best_of >= request.options.n, "{}", request.best_of);
                for (const atom::server::Prompt& prompt : request.prompts) {
                  const auto* ids = std::get_if<std::vector<int32_t>>(&prompt);
                  if (ids != nullptr) CheckIds(*ids);
                }
              });
  CheckParsed(atom::server::ParseChatRequest(body, limits),
              [&limits](const atom::server::ChatRequest& request) {
                CheckOptions(request.options, limits);
                ATOM_CHECK(!request.conversation.messages.empty(), "no messages");
              });
  CheckParsed(atom::server::ParseTokenizeRequest(body, limits),
              [](const atom::server::TokenizeRequest& request) {
                ATOM_CHECK(request.prompt.has_value() != !request.conversation.messages.empty(),
                           "both");
              });
  CheckParsed(atom::server::ParseDetokenizeRequest(body),
              [](const atom::server::DetokenizeRequest& request) { CheckIds(request.tokens); });
  return 0;
}
