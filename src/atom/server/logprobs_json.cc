#include "atom/server/logprobs_json.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

#include "atom/io/json.h"
#include "atom/tokenizer/unicode.h"

namespace atom::server {
namespace {

/// JSON has no infinity: what the API shows for a probability of zero.
constexpr double kLeastLogprob = -9999.0;

void AddComma(std::string& list) {
  if (!list.empty()) list += ',';
}

void AddNumber(float logprob, std::string& text) {
  const double finite = std::isfinite(logprob) ? static_cast<double>(logprob) : kLeastLogprob;
  fmt::format_to(std::back_inserter(text), "{}", finite);
}

/// With its quotes.
void AddString(std::string_view value, std::string& text) {
  const bool plain = std::ranges::all_of(
      value, [](char c) { return c >= ' ' && c < '\x7F' && c != '"' && c != '\\'; });
  if (plain) {
    text += '"';
    text += value;
    text += '"';
  } else {
    text += io::DumpJson(io::Json(value), -1);
  }
}

bool IsUtf8(const std::string& bytes) { return tokenizer::ToValidUtf8(bytes) == bytes; }

/// As it stands in the text, where a space may have been left out.
std::string NameInText(const tokenizer::Tokenizer& tokenizer, int32_t id, bool without_space) {
  std::string name = TokenName(tokenizer, id);
  if (without_space && name.starts_with(' ')) name.erase(0, 1);
  return name;
}

void AddChatToken(int32_t id, float logprob, const tokenizer::Tokenizer& tokenizer,
                  std::string& text) {
  const std::string bytes = tokenizer.TokenBytes(id);
  text += R"("token":)";
  AddString(tokenizer::ToValidUtf8(bytes), text);
  text += R"(,"logprob":)";
  AddNumber(logprob, text);
  text += R"(,"bytes":[)";
  for (size_t i = 0; i < bytes.size(); ++i) {
    fmt::format_to(std::back_inserter(text), "{}{}", i > 0 ? "," : "",
                   static_cast<unsigned char>(bytes[i]));
  }
  text += ']';
}

}  // namespace

std::string TokenName(const tokenizer::Tokenizer& tokenizer, int32_t id) {
  const std::string bytes = tokenizer.TokenBytes(id);
  if (IsUtf8(bytes)) return bytes;
  std::string name = "bytes:";
  for (const char c : bytes) name += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return name;
}

void CompletionLogprobs::AddPrompt(std::span<const engine::TokenOutput> prompt,
                                   const tokenizer::Tokenizer& tokenizer, TextOffsets& offsets) {
  for (size_t i = 0; i < prompt.size(); ++i) {
    Add(prompt[i], i == 0, offsets.NextOfPrompt(prompt[i].id), tokenizer);
  }
}

void CompletionLogprobs::AddAnswer(std::span<const engine::TokenOutput> answer,
                                   const tokenizer::Tokenizer& tokenizer, TextOffsets& offsets) {
  for (const engine::TokenOutput& token : answer) {
    Add(token, false, offsets.NextOfAnswer(token.id), tokenizer);
  }
}

void CompletionLogprobs::Add(const engine::TokenOutput& token, bool unknown,
                             const TextOffsets::Place& place,
                             const tokenizer::Tokenizer& tokenizer) {
  for (std::string* list : {&tokens, &token_logprobs, &top_logprobs, &text_offset}) {
    AddComma(*list);
  }
  const std::string name = NameInText(tokenizer, token.id, place.without_space);
  AddString(name, tokens);
  fmt::format_to(std::back_inserter(text_offset), "{}", place.offset);
  if (unknown) {
    token_logprobs += "null";
    top_logprobs += "null";
    return;
  }
  AddNumber(token.logprob, token_logprobs);
  // Two tokens may have one name; the likelier comes first and stays.
  std::vector<std::string> names;
  const auto add = [&](std::string one, float logprob) {
    if (std::ranges::find(names, one) != names.end()) return;
    if (!names.empty()) top_logprobs += ',';
    AddString(one, top_logprobs);
    top_logprobs += ':';
    AddNumber(logprob, top_logprobs);
    names.push_back(std::move(one));
  };
  top_logprobs += '{';
  for (const kernels::TokenValue& one : token.top) {
    add(NameInText(tokenizer, one.id, place.without_space), one.value);
  }
  add(name, token.logprob);
  top_logprobs += '}';
}

std::string CompletionLogprobs::Json(const CompletionLogprobs* before) const {
  const auto list = [&](std::string_view key, std::string CompletionLogprobs::*member) {
    const std::string_view first = before == nullptr ? std::string_view() : before->*member;
    const std::string_view second = this->*member;
    const char* comma = first.empty() || second.empty() ? "" : ",";
    return fmt::format(R"("{}":[{}{}{}])", key, first, comma, second);
  };
  return fmt::format("{{{},{},{},{}}}", list("tokens", &CompletionLogprobs::tokens),
                     list("token_logprobs", &CompletionLogprobs::token_logprobs),
                     list("top_logprobs", &CompletionLogprobs::top_logprobs),
                     list("text_offset", &CompletionLogprobs::text_offset));
}

void AddChatLogprobs(std::span<const engine::TokenOutput> tokens,
                     const tokenizer::Tokenizer& tokenizer, std::string& list) {
  for (const engine::TokenOutput& token : tokens) {
    AddComma(list);
    list += '{';
    AddChatToken(token.id, token.logprob, tokenizer, list);
    list += R"(,"top_logprobs":[)";
    for (size_t i = 0; i < token.top.size(); ++i) {
      list += i > 0 ? ",{" : "{";
      AddChatToken(token.top[i].id, token.top[i].value, tokenizer, list);
      list += '}';
    }
    list += "]}";
  }
}

}  // namespace atom::server
