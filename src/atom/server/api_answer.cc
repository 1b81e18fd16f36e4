#include "atom/server/api_answer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "atom/core/check.h"
#include "atom/server/logprobs_json.h"
#include "atom/tokenizer/unicode.h"

namespace atom::server {
namespace {

std::string Event(const io::Json& json) { return "data: " + io::DumpJson(json, -1) + "\n\n"; }

io::Json FinishJson(const std::optional<engine::FinishReason>& finish) {
  return finish.has_value() ? io::Json(engine::Name(*finish)) : io::Json(nullptr);
}

double MeanLogprob(std::span<const engine::TokenOutput> tokens) {
  double sum = 0.0;
  for (const engine::TokenOutput& token : tokens) sum += token.logprob;
  return tokens.empty() ? 0.0 : sum / static_cast<double>(tokens.size());
}

}  // namespace

ApiAnswer::ApiAnswer(AnswerShape shape, const tokenizer::Tokenizer& tokenizer, std::string id,
                     int64_t created)
    : shape_(std::move(shape)),
      tokenizer_(tokenizer),
      id_(std::move(id)),
      created_(created),
      choices_(static_cast<size_t>(shape_.prompts * shape_.best_of)),
      unfinished_(choices_.size()) {}

std::string_view ApiAnswer::EchoOf(size_t index) const {
  if (shape_.echo.empty()) return {};
  return shape_.echo[index / static_cast<size_t>(shape_.best_of)];
}

std::vector<engine::TokenOutput> ApiAnswer::Listed(const engine::Output& output) const {
  std::vector<engine::TokenOutput> tokens = output.tokens;
  if (!shape_.echo.empty() && output.end_token) tokens.push_back(*output.end_token);
  return tokens;
}

std::string ApiAnswer::Add(size_t index, const engine::Output& output) {
  Choice& choice = choices_.at(index);
  if (choice.finish.has_value()) return "";
  choice.counts = {.prompt = output.prompt_tokens,
                   .cached = output.cached_tokens,
                   .output = output.output_tokens};
  choice.finish = output.finish;
  if (output.finish.has_value()) --unfinished_;
  if (output.finish == engine::FinishReason::kError) {
    error_ = output.error.empty() ? "the engine failed" : output.error;
  }
  if (shape_.stream) return AddToStream(index, output);
  const auto append = [](std::vector<engine::TokenOutput>& to,
                         const std::vector<engine::TokenOutput>& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  append(choice.prompt, output.prompt);
  choice.text += output.text;
  // Also for choosing the best of several.
  if (shape_.logprobs >= 0 || shape_.best_of > shape_.n) append(choice.tokens, Listed(output));
  return "";
}

io::Json ApiAnswer::LogprobsJson(std::span<const engine::TokenOutput> prompt,
                                 std::span<const engine::TokenOutput> tokens,
                                 int64_t& offset) const {
  if (shape_.logprobs < 0) return nullptr;
  if (shape_.chat) return ChatLogprobs(tokens, tokenizer_);
  io::Json logprobs = CompletionLogprobs(prompt, true, tokenizer_, offset);
  Append(logprobs, CompletionLogprobs(tokens, false, tokenizer_, offset));
  return logprobs;
}

std::string ApiAnswer::AddToStream(size_t index, const engine::Output& output) {
  Choice& choice = choices_[index];
  io::Json chunk = Envelope(true);
  if (shape_.include_usage) chunk["usage"] = nullptr;
  io::Json& one = chunk["choices"].emplace_back(io::Json::object());
  one["index"] = index;
  one["finish_reason"] = nullptr;
  one["logprobs"] = nullptr;
  std::string events;
  std::string text = output.text;
  if (!choice.started && shape_.chat) {
    one["delta"] = {{"role", "assistant"}, {"content", ""}};
    events += Event(chunk);
  }
  if (!choice.started) text.insert(0, EchoOf(index));
  choice.started = true;

  const std::vector<engine::TokenOutput> tokens = Listed(output);
  const bool lists = shape_.logprobs >= 0 && !(tokens.empty() && output.prompt.empty());
  if (text.empty() && !lists && !output.finish.has_value()) return events;
  if (shape_.chat) {
    one["delta"] = text.empty() ? io::Json::object() : io::Json{{"content", text}};
  } else {
    one["text"] = tokenizer::ToValidUtf8(text);
  }
  if (lists) one["logprobs"] = LogprobsJson(output.prompt, tokens, choice.offset);
  one["finish_reason"] = FinishJson(output.finish);
  return events + Event(chunk);
}

std::string ApiAnswer::End() const {
  ATOM_CHECK(done(), "{} choices have not finished", unfinished_);
  std::string events;
  if (!error_.empty()) {
    events += "data: " + ErrorJson({.status = 500, .message = error_}) + "\n\n";
  } else if (shape_.include_usage) {
    io::Json chunk = Envelope(true);
    chunk["usage"] = UsageJson();
    events += Event(chunk);
  }
  return events + "data: [DONE]\n\n";
}

std::vector<size_t> ApiAnswer::Shown(size_t prompt) const {
  const auto made = static_cast<size_t>(shape_.best_of);
  std::vector<size_t> order(made);
  std::iota(order.begin(), order.end(), prompt * made);
  if (shape_.best_of > shape_.n) {
    std::stable_sort(order.begin(), order.end(), [this](size_t a, size_t b) {
      return MeanLogprob(choices_[a].tokens) > MeanLogprob(choices_[b].tokens);
    });
  }
  order.resize(static_cast<size_t>(shape_.n));
  return order;
}

io::Json ApiAnswer::ChoiceJson(size_t index, const Choice& choice) const {
  int64_t offset = 0;
  io::Json json = {{"index", index},
                   {"finish_reason", FinishJson(choice.finish)},
                   {"logprobs", LogprobsJson(choice.prompt, choice.tokens, offset)}};
  if (shape_.chat) {
    json["message"] = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
  }
  return json;
}

std::string ApiAnswer::Body() const {
  ATOM_CHECK(done(), "{} choices have not finished", unfinished_);
  io::Json body = Envelope(false);
  size_t index = 0;
  for (size_t prompt = 0; prompt < static_cast<size_t>(shape_.prompts); ++prompt) {
    for (const size_t made : Shown(prompt)) {
      io::Json json = ChoiceJson(index++, choices_[made]);
      if (!shape_.chat) json["text"] = std::string(EchoOf(made)) + choices_[made].text;
      body["choices"].push_back(std::move(json));
    }
  }
  body["usage"] = UsageJson();
  return io::DumpJson(body, -1);
}

io::Json ApiAnswer::Envelope(bool chunk) const {
  const char* object = !shape_.chat ? "text_completion"
                       : chunk      ? "chat.completion.chunk"
                                    : "chat.completion";
  return {{"id", id_},
          {"object", object},
          {"created", created_},
          {"model", shape_.model},
          {"choices", io::Json::array()}};
}

ApiAnswer::Counts ApiAnswer::counts() const {
  Counts counts;
  for (size_t i = 0; i < choices_.size(); ++i) {
    counts.output += choices_[i].counts.output;
    if (i % static_cast<size_t>(shape_.best_of) != 0) continue;  // one prompt, counted once
    counts.prompt += choices_[i].counts.prompt;
    counts.cached += choices_[i].counts.cached;
  }
  return counts;
}

io::Json ApiAnswer::UsageJson() const {
  const Counts all = counts();
  return {{"prompt_tokens", all.prompt},
          {"completion_tokens", all.output},
          {"total_tokens", all.prompt + all.output},
          {"prompt_tokens_details", {{"cached_tokens", all.cached}}}};
}

std::string ApiAnswer::FinishNames() const {
  std::string names;
  for (const std::string_view name : engine::kFinishReasonNames) {
    const bool has = std::any_of(choices_.begin(), choices_.end(), [name](const Choice& choice) {
      return choice.finish.has_value() && engine::Name(*choice.finish) == name;
    });
    if (has) names += (names.empty() ? "" : ",") + std::string(name);
  }
  return names;
}

}  // namespace atom::server
