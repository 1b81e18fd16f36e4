// One answer in the making: takes the engine's Outputs for each of its choices and writes them in
// the form of the OpenAI API, as events of a stream or as one body. Knows neither sockets nor
// engine.
//
//   stream   Add → "data: {…}\n\n" …   then End → usage, "data: [DONE]\n\n"
//   body     Add …                     then Body → {"choices": […], "usage": {…}}
//
// A prompt with several answers is scored once, with the first: in a stream the others wait for it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "atom/engine/request.h"
#include "atom/server/answer_plan.h"
#include "atom/server/api_error.h"
#include "atom/server/logprobs_json.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::server {

class ApiAnswer {
 public:
  /// `id` is the answer's, "chatcmpl-…"; `created` is in seconds since 1970. `tokenizer` must
  /// outlive this.
  ApiAnswer(AnswerShape shape, const tokenizer::Tokenizer& tokenizer, std::string id,
            int64_t created);

  const AnswerShape& shape() const { return shape_; }
  /// What request `index` of the plan gave. Returns events to send, if this is a stream.
  /// Any thread, while nothing else is called.
  std::string Add(size_t index, const engine::Output& output);
  /// Bytes of the events of Add, about: what it takes time for. None of a body, which is written in
  /// the end.
  size_t EventBytes(size_t index, const engine::Output& output) const;
  bool done() const { return unfinished_ == 0; }
  /// What went wrong inside, if something did.
  const std::optional<ApiError>& error() const { return error_; }

  /// REQUIRES: done(), and a stream.
  std::string End() const;
  /// REQUIRES: done(), and no stream. Any thread, while nothing else is called.
  std::string Body() const;
  /// Bytes of the body, about: what Body takes time for.
  size_t BodyBytes() const;

  struct Counts {
    int64_t prompt = 0;
    int64_t cached = 0;
    int64_t output = 0;
  };
  Counts counts() const;
  /// The finish reasons of the choices: "stop", or "stop,length".
  std::string FinishNames() const;

 private:
  struct Choice {
    explicit Choice(TextOffsets text_offsets) : offsets(std::move(text_offsets)) {}

    bool started = false;
    std::string text;  // of a body
    TextOffsets offsets;
    CompletionLogprobs logprobs;  // of a body
    std::string chat_logprobs;    // likewise
    double logprob_sum = 0.0;
    int64_t logprob_count = 0;
    std::vector<engine::Output> waiting;  // of a stream, for the prompt's log-probabilities
    std::optional<engine::FinishReason> finish;
    Counts counts;
  };
  struct ScoredPrompt {
    bool known = false;                       // all that will be
    std::vector<engine::TokenOutput> tokens;  // of a body, written in the end
    CompletionLogprobs logprobs;              // of a stream
  };

  void TakeError(const engine::Output& output);
  void AddToBody(size_t index, const engine::Output& output);
  std::string AddToStream(size_t index, const engine::Output& output);
  std::string Chunk(const std::string& choice) const;
  void AppendChoice(size_t index, const Choice& choice, std::string_view echo,
                    const CompletionLogprobs* prompt, std::string& body) const;
  bool ScoresPrompts() const { return !shape_.echo.empty() && shape_.logprobs >= 0; }
  size_t PromptOf(size_t index) const { return index / static_cast<size_t>(shape_.best_of); }
  /// Of one prompt, the choices to show, best first if they were to be chosen.
  std::vector<size_t> Shown(size_t prompt) const;
  std::string Head(bool chunk) const;
  std::string UsageJson() const;
  std::string_view EchoOf(size_t index) const;
  /// The tokens to list. With `echo` the list is of all that was computed, the end-of-text token
  /// too: evaluation harnesses ask for one token and drop the last entry, whatever it is.
  std::vector<engine::TokenOutput> Listed(const engine::Output& output) const;

  const AnswerShape shape_;
  const tokenizer::Tokenizer& tokenizer_;
  const std::string id_;
  const int64_t created_;
  std::vector<Choice> choices_;
  std::vector<ScoredPrompt> prompts_;
  size_t unfinished_;
  std::optional<ApiError> error_;
};

}  // namespace atom::server
