#include "atom/server/api_answer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>
#include <utility>

#include "atom/core/check.h"
#include "atom/io/json.h"
#include "atom/tokenizer/unicode.h"

namespace atom::server {
namespace {

/// Of these tokens' log-probabilities, about.
size_t LogprobBytes(std::span<const engine::TokenOutput> tokens) {
  constexpr size_t kBytesOfLogprob = 32;
  size_t bytes = 0;
  for (const engine::TokenOutput& token : tokens) bytes += kBytesOfLogprob * (1 + token.top.size());
  return bytes;
}

std::string Quoted(const std::string& text) { return io::DumpJson(io::Json(text), -1); }

/// The API has no name for an answer that time cut off.
std::string FinishJson(const std::optional<engine::FinishReason>& finish) {
  if (!finish) return "null";
  const bool cut = *finish == engine::FinishReason::kTimeout;
  return fmt::format("\"{}\"", engine::Name(cut ? engine::FinishReason::kLength : *finish));
}

}  // namespace

ApiAnswer::ApiAnswer(AnswerShape shape, const tokenizer::Tokenizer& tokenizer, std::string id,
                     int64_t created)
    : shape_(std::move(shape)),
      tokenizer_(tokenizer),
      id_(std::move(id)),
      created_(created),
      prompts_(static_cast<size_t>(shape_.prompts)),
      unfinished_(static_cast<size_t>(shape_.prompts * shape_.best_of)) {
  choices_.reserve(unfinished_);
  for (size_t i = 0; i < unfinished_; ++i) {
    choices_.emplace_back(
        TextOffsets(tokenizer_, std::string(EchoOf(i)), shape_.skip_special_tokens));
  }
}

std::string_view ApiAnswer::EchoOf(size_t index) const {
  if (shape_.echo.empty()) return {};
  return shape_.echo[PromptOf(index)];
}

std::vector<engine::TokenOutput> ApiAnswer::Listed(const engine::Output& output) const {
  std::vector<engine::TokenOutput> tokens = output.tokens;
  if (!shape_.echo.empty() && output.end_token) tokens.push_back(*output.end_token);
  return tokens;
}

void ApiAnswer::TakeError(const engine::Output& output) {
  if (output.finish == engine::FinishReason::kError) {
    error_ = {.status = output.bad_request ? 400 : 500,
              .message = output.error.empty() ? "the engine failed" : output.error};
  } else if (output.finish == engine::FinishReason::kTimeout && output.output_tokens == 0) {
    error_ = {.status = 503,
              .message = "the time for this request was over before its answer began"};
  }
}

std::string ApiAnswer::Add(size_t index, const engine::Output& output) {
  Choice& choice = choices_.at(index);
  if (choice.finish.has_value()) return "";
  choice.counts = {.prompt = output.prompt_tokens,
                   .cached = output.cached_tokens,
                   .output = output.output_tokens};
  choice.finish = output.finish;
  if (output.finish.has_value()) --unfinished_;
  TakeError(output);
  if (!shape_.stream) {
    AddToBody(index, output);
    return "";
  }
  ScoredPrompt& prompt = prompts_[PromptOf(index)];
  if (!ScoresPrompts() || prompt.known) return AddToStream(index, output);
  if (index % static_cast<size_t>(shape_.best_of) != 0) {
    choice.waiting.push_back(output);
    return "";
  }
  prompt.known = true;
  prompt.logprobs.AddPrompt(output.prompt, tokenizer_, choice.offsets);
  std::string events = AddToStream(index, output);
  for (size_t i = index + 1; i < index + static_cast<size_t>(shape_.best_of); ++i) {
    for (const engine::Output& later : std::exchange(choices_[i].waiting, {})) {
      events += AddToStream(i, later);
    }
  }
  return events;
}

void ApiAnswer::AddToBody(size_t index, const engine::Output& output) {
  Choice& choice = choices_[index];
  choice.text += output.text;
  for (const engine::TokenOutput& token : output.tokens) {
    choice.logprob_sum += token.logprob;
    ++choice.logprob_count;
  }
  if (shape_.logprobs < 0) return;
  ScoredPrompt& prompt = prompts_[PromptOf(index)];
  prompt.tokens.insert(prompt.tokens.end(), output.prompt.begin(), output.prompt.end());
  if (shape_.chat) {
    AddChatLogprobs(output.tokens, tokenizer_, choice.chat_logprobs);
  } else {
    choice.logprobs.AddAnswer(Listed(output), tokenizer_, choice.offsets);
  }
}

std::string ApiAnswer::Chunk(const std::string& choice) const {
  return fmt::format("data: {}{}]{}}}\n\n", Head(true), choice,
                     shape_.include_usage ? R"(,"usage":null)" : "");
}

std::string ApiAnswer::AddToStream(size_t index, const engine::Output& output) {
  Choice& choice = choices_[index];
  const bool first = !std::exchange(choice.started, true);
  std::string events;
  std::string text = output.text;
  if (first && shape_.chat) {
    events += Chunk(fmt::format(R"({{"index":{},"delta":{{"role":"assistant","content":""}},)"
                                R"("logprobs":null,"finish_reason":null}})",
                                index));
  }
  const CompletionLogprobs* prompt = nullptr;
  if (first) {
    text.insert(0, EchoOf(index));
    if (ScoresPrompts()) prompt = &prompts_[PromptOf(index)].logprobs;
  }
  const std::vector<engine::TokenOutput> tokens = Listed(output);
  const bool lists = shape_.logprobs >= 0 && (!tokens.empty() || prompt != nullptr);
  if (text.empty() && !lists && !output.finish.has_value()) return events;
  std::string logprobs = "null";
  if (lists && shape_.chat) {
    std::string list;
    AddChatLogprobs(tokens, tokenizer_, list);
    logprobs = fmt::format(R"({{"content":[{}]}})", list);
  } else if (lists) {
    CompletionLogprobs answer;
    answer.AddAnswer(tokens, tokenizer_, choice.offsets);
    logprobs = answer.Json(prompt);
  }
  const std::string said =
      !shape_.chat   ? fmt::format(R"("text":{})", Quoted(tokenizer::ToValidUtf8(text)))
      : text.empty() ? std::string(R"("delta":{})")
                     : fmt::format(R"("delta":{{"content":{}}})", Quoted(text));
  return events + Chunk(fmt::format(R"({{"index":{},{},"logprobs":{},"finish_reason":{}}})", index,
                                    said, logprobs, FinishJson(output.finish)));
}

std::string ApiAnswer::End() const {
  ATOM_CHECK(done(), "{} choices have not finished", unfinished_);
  std::string events;
  if (error_) {
    events += "data: " + ErrorJson(*error_) + "\n\n";
  } else if (shape_.include_usage) {
    events += fmt::format("data: {}],\"usage\":{}}}\n\n", Head(true), UsageJson());
  }
  return events + "data: [DONE]\n\n";
}

std::vector<size_t> ApiAnswer::Shown(size_t prompt) const {
  const auto made = static_cast<size_t>(shape_.best_of);
  std::vector<size_t> order(made);
  std::iota(order.begin(), order.end(), prompt * made);
  const auto mean = [this](size_t index) {
    const Choice& choice = choices_[index];
    return choice.logprob_count == 0
               ? 0.0
               : choice.logprob_sum / static_cast<double>(choice.logprob_count);
  };
  if (shape_.best_of > shape_.n) {
    std::stable_sort(order.begin(), order.end(),
                     [&mean](size_t a, size_t b) { return mean(a) > mean(b); });
  }
  order.resize(static_cast<size_t>(shape_.n));
  return order;
}

void ApiAnswer::AppendChoice(size_t index, const Choice& choice, std::string_view echo,
                             const CompletionLogprobs* prompt, std::string& body) const {
  body += fmt::format(R"({{"index":{},"finish_reason":{},"logprobs":)", index,
                      FinishJson(choice.finish));
  if (shape_.logprobs < 0) {
    body += "null";
  } else if (shape_.chat) {
    body += R"({"content":[)" + choice.chat_logprobs + "]}";
  } else {
    body += choice.logprobs.Json(prompt);
  }
  if (shape_.chat) {
    body += R"(,"message":{"role":"assistant","content":)" + Quoted(choice.text) +
            R"(,"refusal":null}})";
  } else {
    body += R"(,"text":)" + Quoted(std::string(echo) + choice.text) + "}";
  }
}

std::string ApiAnswer::Body() const {
  ATOM_CHECK(done(), "{} choices have not finished", unfinished_);
  std::string body = Head(false);
  size_t index = 0;
  for (size_t prompt = 0; prompt < prompts_.size(); ++prompt) {
    const size_t first = prompt * static_cast<size_t>(shape_.best_of);
    CompletionLogprobs scored;
    TextOffsets offsets(tokenizer_, std::string(EchoOf(first)), shape_.skip_special_tokens);
    if (ScoresPrompts()) scored.AddPrompt(prompts_[prompt].tokens, tokenizer_, offsets);
    for (const size_t made : Shown(prompt)) {
      if (index > 0) body += ',';
      AppendChoice(index++, choices_[made], EchoOf(made), &scored, body);
    }
  }
  return body + R"(],"usage":)" + UsageJson() + "}";
}

size_t ApiAnswer::EventBytes(size_t index, const engine::Output& output) const {
  if (!shape_.stream) return 0;
  const Choice& choice = choices_.at(index);
  size_t bytes = output.text.size() + LogprobBytes(output.tokens);
  if (choice.started) return bytes;
  bytes += EchoOf(index).size() + LogprobBytes(output.prompt);
  if (!ScoresPrompts()) return bytes;
  // The first answer also writes what the others had to wait with: the prompt once more for each.
  const CompletionLogprobs& prompt = prompts_[PromptOf(index)].logprobs;
  const bool first = index % static_cast<size_t>(shape_.best_of) == 0;
  return (bytes + prompt.top_logprobs.size()) * (first ? static_cast<size_t>(shape_.best_of) : 1);
}

size_t ApiAnswer::BodyBytes() const {
  size_t bytes = 0;
  for (const ScoredPrompt& prompt : prompts_) bytes += LogprobBytes(prompt.tokens);
  for (const Choice& choice : choices_) {
    bytes += choice.text.size() + choice.chat_logprobs.size() + choice.logprobs.top_logprobs.size();
  }
  for (const std::string& echo : shape_.echo) bytes += echo.size();
  return bytes;
}

/// Up to the first choice.
std::string ApiAnswer::Head(bool chunk) const {
  const char* object = !shape_.chat ? "text_completion"
                       : chunk      ? "chat.completion.chunk"
                                    : "chat.completion";
  return fmt::format(R"({{"id":{},"object":"{}","created":{},"model":{},"choices":[)", Quoted(id_),
                     object, created_, Quoted(shape_.model));
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

std::string ApiAnswer::UsageJson() const {
  const Counts all = counts();
  return fmt::format(R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},)"
                     R"("prompt_tokens_details":{{"cached_tokens":{}}}}})",
                     all.prompt, all.output, all.prompt + all.output, all.cached);
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
