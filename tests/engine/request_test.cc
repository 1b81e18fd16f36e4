// What a request may ask for.
#include "atom/engine/request.h"

#include <functional>
#include <gtest/gtest.h>
#include <limits>

namespace atom::engine {
namespace {

constexpr RequestLimits kLimits{.vocabulary = 100, .context = 32};

Request Plain() {
  Request request;
  request.prompt = {1, 2, 3};
  return request;
}

TEST(CheckRequest, AcceptsWhatIsAtTheEdge) {
  EXPECT_TRUE(CheckRequest(Plain(), kLimits).ok());
  Request request = Plain();
  request.prompt.assign(32, 99);
  request.sampling = {.temperature = 0.0f, .top_p = 0.0f, .min_p = 1.0f};
  request.sampling.logit_bias = {{0, -100.0f}, {99, 100.0f}};
  request.sampling.presence_penalty = -2.0f;
  request.stop = {.max_tokens = 0, .token_ids = {99}, .strings = {"x"}};
  request.logprobs = 32;
  request.prompt_logprobs = 0;
  request.prompt_logprobs_from = 31;
  const Status status = CheckRequest(request, kLimits);
  EXPECT_TRUE(status.ok()) << status.error().message;
}

TEST(CheckRequest, NamesWhatIsOutOfRange) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<std::pair<std::string, std::function<void(Request&)>>> cases = {
      {"the prompt is empty", [](Request& r) { r.prompt.clear(); }},
      {"33 tokens, the context holds 32", [](Request& r) { r.prompt.assign(33, 1); }},
      {"the prompt: expected tokens of a vocabulary of 100, found 100",
       [](Request& r) { r.prompt[1] = 100; }},
      {"found -1", [](Request& r) { r.prompt[1] = -1; }},
      {"temperature", [](Request& r) { r.sampling.temperature = -0.1f; }},
      {"temperature", [&](Request& r) { r.sampling.temperature = nan; }},
      {"temperature", [&](Request& r) { r.sampling.temperature = infinity; }},
      {"top_k", [](Request& r) { r.sampling.top_k = -1; }},
      {"top_p", [](Request& r) { r.sampling.top_p = 1.1f; }},
      {"min_p", [](Request& r) { r.sampling.min_p = -0.1f; }},
      {"repetition_penalty", [](Request& r) { r.sampling.repetition_penalty = 0.0f; }},
      {"presence_penalty", [](Request& r) { r.sampling.presence_penalty = 2.1f; }},
      {"frequency_penalty", [&](Request& r) { r.sampling.frequency_penalty = nan; }},
      {"logit_bias: expected tokens",
       [](Request& r) {
         r.sampling.logit_bias = {{100, 1}};
       }},
      {"logit_bias of token 5",
       [&](Request& r) {
         r.sampling.logit_bias = {{5, infinity}};
       }},
      {"found 5 twice",
       [](Request& r) {
         r.sampling.logit_bias = {{5, 1}, {5, 1}};
       }},
      {"max_tokens", [](Request& r) { r.stop.max_tokens = -1; }},
      {"min_tokens: expected 0 to 16, found 17", [](Request& r) { r.stop.min_tokens = 17; }},
      {"stop tokens", [](Request& r) { r.stop.token_ids = {100}; }},
      {"stop: ",
       [](Request& r) {
         r.stop.strings = {"a", ""};
       }},
      {"logprobs: expected -1 to 32, found 33", [](Request& r) { r.logprobs = 33; }},
      {"prompt_logprobs", [](Request& r) { r.prompt_logprobs = -2; }},
      {"prompt_logprobs_from: expected 0 to 2, found 3",
       [](Request& r) { r.prompt_logprobs_from = 3; }},
      {"prompt_logprobs_from", [](Request& r) { r.prompt_logprobs_from = -1; }},
      {"timeout", [](Request& r) { r.timeout_seconds = -1.0; }},
  };
  for (const auto& [message, spoil] : cases) {
    Request request = Plain();
    spoil(request);
    const Status status = CheckRequest(request, kLimits);
    ASSERT_FALSE(status.ok()) << message;
    EXPECT_NE(status.error().message.find(message), std::string::npos) << status.error().message;
  }
}

}  // namespace
}  // namespace atom::engine
