#include "atom/server/logprobs_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "atom/tokenizer/unicode.h"

namespace atom::server {
namespace {

/// JSON has no infinity: what the API shows for a probability of zero.
constexpr double kLeastLogprob = -9999.0;

double Finite(float logprob) {
  return std::isfinite(logprob) ? static_cast<double>(logprob) : kLeastLogprob;
}

bool IsUtf8(const std::string& bytes) { return tokenizer::ToValidUtf8(bytes) == bytes; }

int64_t Characters(const std::string& text) {
  int64_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

io::Json ChatToken(int32_t id, float logprob, const tokenizer::Tokenizer& tokenizer) {
  const std::string bytes = tokenizer.TokenBytes(id);
  io::Json values = io::Json::array();
  for (const char c : bytes) values.push_back(static_cast<unsigned char>(c));
  return {
      {"token", tokenizer::ToValidUtf8(bytes)}, {"logprob", Finite(logprob)}, {"bytes", values}};
}

}  // namespace

std::string TokenName(const tokenizer::Tokenizer& tokenizer, int32_t id) {
  const std::string bytes = tokenizer.TokenBytes(id);
  if (IsUtf8(bytes)) return bytes;
  std::string name = "bytes:";
  for (const char c : bytes) name += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return name;
}

io::Json CompletionLogprobs(std::span<const engine::TokenOutput> tokens, bool start_of_prompt,
                            const tokenizer::Tokenizer& tokenizer, int64_t& offset) {
  io::Json logprobs = {{"tokens", io::Json::array()},
                       {"token_logprobs", io::Json::array()},
                       {"top_logprobs", io::Json::array()},
                       {"text_offset", io::Json::array()}};
  for (size_t i = 0; i < tokens.size(); ++i) {
    const engine::TokenOutput& token = tokens[i];
    const bool unknown = start_of_prompt && i == 0;
    const std::string name = TokenName(tokenizer, token.id);
    io::Json top = nullptr;
    if (!unknown) {
      // Two tokens may have one name; the likelier comes first and stays.
      top = io::Json::object();
      for (const kernels::TokenValue& one : token.top) {
        top.emplace(TokenName(tokenizer, one.id), Finite(one.value));
      }
      top.emplace(name, Finite(token.logprob));
    }
    logprobs["tokens"].push_back(name);
    logprobs["token_logprobs"].push_back(unknown ? io::Json() : io::Json(Finite(token.logprob)));
    logprobs["top_logprobs"].push_back(std::move(top));
    logprobs["text_offset"].push_back(offset);
    const bool space = offset == 0 && tokenizer.strips_space() && name.starts_with(' ');
    if (!tokenizer.IsSpecial(token.id)) {
      offset += Characters(tokenizer.TokenBytes(token.id)) - (space ? 1 : 0);
    }
  }
  return logprobs;
}

void Append(io::Json& logprobs, const io::Json& more) {
  for (const auto& [key, values] : more.items()) {
    for (const io::Json& value : values) logprobs[key].push_back(value);
  }
}

io::Json ChatLogprobs(std::span<const engine::TokenOutput> tokens,
                      const tokenizer::Tokenizer& tokenizer) {
  io::Json content = io::Json::array();
  for (const engine::TokenOutput& token : tokens) {
    io::Json one = ChatToken(token.id, token.logprob, tokenizer);
    io::Json top = io::Json::array();
    for (const kernels::TokenValue& other : token.top) {
      top.push_back(ChatToken(other.id, other.value, tokenizer));
    }
    one["top_logprobs"] = std::move(top);
    content.push_back(std::move(one));
  }
  return {{"content", std::move(content)}};
}

}  // namespace atom::server
