// One answer in the making: takes the engine's Outputs for each of its choices and writes them in
// the form of the OpenAI API, as events of a stream or as one body. Knows neither sockets nor
// engine.
//
//   stream   Add → "data: {…}\n\n" …   then End → usage, "data: [DONE]\n\n"
//   body     Add …                     then Body → {"choices": […], "usage": {…}}
#pragma once

#include <string>
#include <vector>

#include "atom/engine/request.h"
#include "atom/io/json.h"
#include "atom/server/answer_plan.h"
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
  std::string Add(size_t index, const engine::Output& output);
  bool done() const { return unfinished_ == 0; }
  /// What went wrong inside, if something did.
  const std::string& error() const { return error_; }

  /// REQUIRES: done(), and a stream.
  std::string End() const;
  /// REQUIRES: done(), and no stream.
  std::string Body() const;

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
    bool started = false;
    std::string text;                         // of a body
    std::vector<engine::TokenOutput> prompt;  // of a body, as are the tokens
    std::vector<engine::TokenOutput> tokens;
    int64_t offset = 0;  // characters whose tokens have been written
    std::optional<engine::FinishReason> finish;
    Counts counts;
  };

  std::string AddToStream(size_t index, const engine::Output& output);
  io::Json ChoiceJson(size_t index, const Choice& choice) const;
  io::Json LogprobsJson(std::span<const engine::TokenOutput> prompt,
                        std::span<const engine::TokenOutput> tokens, int64_t& offset) const;
  /// Of one prompt, the choices to show, best first if they were to be chosen.
  std::vector<size_t> Shown(size_t prompt) const;
  io::Json Envelope(bool chunk) const;
  io::Json UsageJson() const;
  std::string_view EchoOf(size_t index) const;
  /// The tokens to list. With `echo` the list is of all that was computed, the end-of-text token
  /// too: evaluation harnesses ask for one token and drop the last entry, whatever it is.
  std::vector<engine::TokenOutput> Listed(const engine::Output& output) const;

  const AnswerShape shape_;
  const tokenizer::Tokenizer& tokenizer_;
  const std::string id_;
  const int64_t created_;
  std::vector<Choice> choices_;
  size_t unfinished_;
  std::string error_;
};

}  // namespace atom::server
