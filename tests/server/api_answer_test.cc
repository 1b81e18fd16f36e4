// Answers written from outputs: bodies, streams, log-probabilities, the best of several.
#include "atom/server/api_answer.h"

#include <array>

#include "tests/server/running_service.h"

namespace atom::server {
namespace {

using nlohmann::json;

engine::TokenOutput Token(char letter, float logprob) {
  return {.id = 3 + letter, .logprob = logprob, .top = {{3 + 'z', -0.25f}}};
}

engine::Output Piece(std::string text, std::vector<engine::TokenOutput> tokens, int64_t count) {
  engine::Output output;
  output.text = std::move(text);
  output.tokens = std::move(tokens);
  output.prompt_tokens = 4;
  output.cached_tokens = 1;
  output.output_tokens = count;
  return output;
}
engine::Output Last(engine::Output output, engine::FinishReason reason) {
  output.finish = reason;
  return output;
}

std::vector<json> EventsOf(const std::string& text) {
  std::vector<json> events;
  size_t at = 0;
  for (size_t end = 0; (end = text.find("\n\n", at)) != std::string::npos; at = end + 2) {
    EXPECT_EQ(text.substr(at, 6), "data: ");
    const std::string data = text.substr(at + 6, end - at - 6);
    events.push_back(data == "[DONE]" ? json("[DONE]") : json::parse(data));
  }
  EXPECT_EQ(at, text.size());
  return events;
}

class AnswerTest : public ::testing::Test {
 protected:
  ApiAnswer Make(AnswerShape shape) const {
    shape.model = "m";
    return ApiAnswer(std::move(shape), *tokenizer_, "id-1", 7);
  }
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_ = ByteTokenizer();
};

TEST_F(AnswerTest, BodyOfACompletion) {
  ApiAnswer answer = Make({.logprobs = 1, .echo = {"ab"}});
  engine::Output first = Piece("c", {Token('c', -0.5f)}, 1);
  first.prompt = {{.id = 1, .top = {}},
                  {.id = 259, .logprob = -3.0f, .top = {}},
                  Token('a', -1.0f),
                  Token('b', -2.0f)};
  EXPECT_EQ(answer.Add(0, first), "");
  EXPECT_FALSE(answer.done());
  answer.Add(0, Last(Piece("d", {Token('d', -0.75f)}, 2), engine::FinishReason::kStop));
  ASSERT_TRUE(answer.done());
  const json body = json::parse(answer.Body());
  EXPECT_EQ(body["id"], "id-1");
  EXPECT_EQ(body["created"], 7);
  EXPECT_EQ(body["model"], "m");
  const json& choice = body["choices"][0];
  EXPECT_EQ(choice["text"], "abcd");
  EXPECT_EQ(choice["finish_reason"], "stop");
  const json& logprobs = choice["logprobs"];
  EXPECT_EQ(logprobs["tokens"], json({"<s>", "", "a", "b", "c", "d"}));
  EXPECT_EQ(logprobs["token_logprobs"], json({nullptr, -3.0, -1.0, -2.0, -0.5, -0.75}));
  EXPECT_EQ(logprobs["text_offset"], json({0, 0, 0, 1, 2, 3}));  // the first space is none
  EXPECT_EQ(logprobs["top_logprobs"][0], nullptr);
  EXPECT_EQ(logprobs["top_logprobs"][2], json({{"z", -0.25}, {"a", -1.0}}));
  EXPECT_EQ(body["usage"], json({{"prompt_tokens", 4},
                                 {"completion_tokens", 2},
                                 {"total_tokens", 6},
                                 {"prompt_tokens_details", {{"cached_tokens", 1}}}}));
}

TEST_F(AnswerTest, WithEchoTheEndOfTextTokenIsListedToo) {
  for (const bool echo : {true, false}) {
    for (const bool stream : {true, false}) {
      AnswerShape shape{.stream = stream, .logprobs = 1};
      if (echo) shape.echo = {"a"};
      ApiAnswer answer = Make(shape);
      engine::Output output = Last(Piece("", {}, 0), engine::FinishReason::kStop);
      if (echo) output.prompt = {{.id = 1, .top = {}}, Token('a', -1.0f)};
      output.end_token = engine::TokenOutput{.id = 2, .logprob = -0.5f, .top = {{2, -0.5f}}};
      const std::string events = answer.Add(0, output);
      const json choice = (stream ? EventsOf(events)[0] : json::parse(answer.Body()))["choices"][0];
      EXPECT_EQ(choice["text"], echo ? "a" : "");
      EXPECT_EQ(choice["finish_reason"], "stop");
      const json listed =
          choice["logprobs"].is_null() ? json::array() : choice["logprobs"]["token_logprobs"];
      EXPECT_EQ(listed, echo ? json({nullptr, -1.0, -0.5}) : json::array());
      if (echo) {
        EXPECT_EQ(choice["logprobs"]["tokens"], json({"<s>", "a", "</s>"}));
      }
    }
  }
}

TEST_F(AnswerTest, BestOfSeveralByMeanLogprob) {
  ApiAnswer answer = Make({.prompts = 2, .n = 1, .best_of = 2});
  answer.Add(0, Last(Piece("a", {Token('a', -2.0f)}, 1), engine::FinishReason::kStop));
  // More tokens, a smaller sum, but a better mean.
  answer.Add(1, Last(Piece("bbb", {Token('b', -1.0f), Token('b', -1.0f), Token('b', -1.0f)}, 3),
                     engine::FinishReason::kStop));
  answer.Add(2, Last(Piece("c", {Token('c', -0.5f)}, 1), engine::FinishReason::kLength));
  answer.Add(3, Last(Piece("d", {Token('d', -0.75f)}, 1), engine::FinishReason::kStop));
  const json body = json::parse(answer.Body());
  ASSERT_EQ(body["choices"].size(), 2u);
  EXPECT_EQ(body["choices"][0]["text"], "bbb");
  EXPECT_EQ(body["choices"][1]["text"], "c");
  EXPECT_EQ(body["choices"][1]["index"], 1);
  EXPECT_EQ(body["choices"][1]["logprobs"], nullptr);
  EXPECT_EQ(body["usage"]["prompt_tokens"], 8);  // each prompt once
  EXPECT_EQ(body["usage"]["completion_tokens"], 6);
  EXPECT_EQ(answer.FinishNames(), "stop,length");
}

TEST_F(AnswerTest, StreamOfAChat) {
  ApiAnswer answer = Make(
      {.chat = true, .n = 2, .best_of = 2, .stream = true, .include_usage = true, .logprobs = 1});
  const auto first = EventsOf(answer.Add(1, Piece("x", {Token('x', -0.5f)}, 1)));
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0]["object"], "chat.completion.chunk");
  EXPECT_EQ(first[0]["choices"][0]["delta"], json({{"role", "assistant"}, {"content", ""}}));
  EXPECT_EQ(first[1]["choices"][0]["index"], 1);
  EXPECT_EQ(first[1]["choices"][0]["delta"], json({{"content", "x"}}));
  EXPECT_TRUE(first[1].contains("usage") && first[1]["usage"].is_null());
  const json& token = first[1]["choices"][0]["logprobs"]["content"][0];
  EXPECT_EQ(token["token"], "x");
  EXPECT_EQ(token["bytes"], json({'x'}));
  EXPECT_EQ(token["logprob"], -0.5);
  EXPECT_EQ(token["top_logprobs"][0]["token"], "z");

  // A token whose text is held back is shown for its log-probability, and else not at all.
  const auto held = EventsOf(answer.Add(1, Piece("", {Token('y', -1.0f)}, 2)));
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(held[0]["choices"][0]["delta"], json::object());
  EXPECT_EQ(answer.Add(1, Piece("", {}, 2)), "");

  const auto last = EventsOf(answer.Add(1, Last(Piece("yz", {}, 3), engine::FinishReason::kStop)));
  EXPECT_EQ(last.back()["choices"][0]["finish_reason"], "stop");
  EXPECT_FALSE(answer.done());
  answer.Add(0, Last(Piece("", {}, 0), engine::FinishReason::kLength));
  const auto end = EventsOf(answer.End());
  ASSERT_EQ(end.size(), 2u);
  EXPECT_EQ(end[0]["choices"], json::array());
  EXPECT_EQ(end[0]["usage"]["completion_tokens"], 3);
  EXPECT_EQ(end[1], "[DONE]");
}

TEST_F(AnswerTest, StreamThatFailsSaysSo) {
  ApiAnswer answer = Make({.stream = true});
  answer.Add(0, Piece("x", {}, 1));
  engine::Output failed;
  failed.error = "out of paper";
  answer.Add(0, Last(std::move(failed), engine::FinishReason::kError));
  const auto end = EventsOf(answer.End());
  ASSERT_EQ(end.size(), 2u);
  EXPECT_EQ(end[0]["error"]["message"], "out of paper");
}

TEST_F(AnswerTest, APromptIsScoredOnceForAllItsAnswers) {
  for (const bool stream : {false, true}) {
    ApiAnswer answer = Make({.n = 2, .best_of = 2, .stream = stream, .logprobs = 1, .echo = {"a"}});
    std::string events = answer.Add(1, Piece("c", {Token('c', -0.5f)}, 1));
    EXPECT_EQ(events, "") << "before the prompt is scored";
    engine::Output first = Last(Piece("b", {Token('b', -0.25f)}, 1), engine::FinishReason::kStop);
    first.prompt = {{.id = 1, .top = {}}, Token('a', -1.0f)};
    EXPECT_EQ(answer.EventBytes(0, first) >= 3 * 32 * 2, stream) << "once for each answer";
    events += answer.Add(0, first);
    events += answer.Add(1, Last(Piece("", {}, 1), engine::FinishReason::kLength));
    std::array<json, 2> logprobs;
    if (stream) {
      for (const json& event : EventsOf(events)) {
        const json& choice = event["choices"][0];
        if (!choice["logprobs"].is_null()) logprobs.at(choice["index"]) = choice["logprobs"];
      }
    } else {
      const json body = json::parse(answer.Body());
      for (size_t i : {0, 1}) logprobs[i] = body["choices"][i]["logprobs"];
    }
    EXPECT_EQ(logprobs[0]["tokens"], json({"<s>", "a", "b"}));
    EXPECT_EQ(logprobs[1]["tokens"], json({"<s>", "a", "c"}));
    EXPECT_EQ(logprobs[1]["token_logprobs"], json({nullptr, -1.0, -0.5}));
    EXPECT_EQ(logprobs[1]["text_offset"], json({0, 0, 1}));
  }
}

TEST_F(AnswerTest, OffsetsLeadToTheirTokens) {
  // Spaces in front, a special token that the text spells, characters of several bytes.
  const std::string text = "  a</s> \u00e4z";
  const std::vector<int32_t> ids =
      *tokenizer_->Encode(text, {.add_bos = true, .parse_special = true});
  ApiAnswer answer = Make({.logprobs = 0, .echo = {text}});
  engine::Output output = Last(Piece("b", {Token('b', -1.0f)}, 1), engine::FinishReason::kLength);
  for (const int32_t id : ids) output.prompt.push_back({.id = id, .logprob = -1.0f, .top = {}});
  answer.Add(0, output);
  const json choice = json::parse(answer.Body())["choices"][0];
  const json& logprobs = choice["logprobs"];
  const auto all = choice["text"].get<std::string>();
  EXPECT_EQ(all, text + "b");
  ASSERT_EQ(logprobs["tokens"].size(), ids.size() + 1);
  int seen = 0;
  for (size_t i = 1; i < logprobs["tokens"].size(); ++i) {  // the bos is not in the text
    const auto token = logprobs["tokens"][i].get<std::string>();
    if (token.starts_with("bytes:")) continue;  // a part of a character
    size_t at = 0;
    for (int64_t skip = logprobs["text_offset"][i]; skip > 0; --skip) {
      at += (static_cast<unsigned char>(all[at]) & 0xE0) == 0xC0 ? 2 : 1;
    }
    EXPECT_EQ(all.substr(at, token.size()), token) << i;
    ++seen;
  }
  EXPECT_GE(seen, 6);
  EXPECT_EQ(logprobs["text_offset"].back(), 10);
}

TEST_F(AnswerTest, TimeThatIsOver) {
  ApiAnswer none = Make({});
  none.Add(0, Last(Piece("", {}, 0), engine::FinishReason::kTimeout));
  ASSERT_TRUE(none.error().has_value());
  EXPECT_EQ(none.error()->status, 503);
  ApiAnswer some = Make({});
  some.Add(0, Last(Piece("a", {Token('a', -1.0f)}, 1), engine::FinishReason::kTimeout));
  EXPECT_FALSE(some.error().has_value());
  EXPECT_EQ(json::parse(some.Body())["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(some.FinishNames(), "timeout");  // in the log
}

TEST_F(AnswerTest, TokensThatAreNoTextAndNoNumber) {
  ApiAnswer answer = Make({.logprobs = 0});
  engine::TokenOutput half{.id = 3 + 0xE2, .logprob = -INFINITY, .top = {}};
  answer.Add(0, Last(Piece("", {half}, 1), engine::FinishReason::kStop));
  const json body = json::parse(answer.Body());
  EXPECT_EQ(body["choices"][0]["logprobs"]["tokens"][0], "bytes:\\xe2");
  EXPECT_EQ(body["choices"][0]["logprobs"]["token_logprobs"][0], -9999.0);
}

}  // namespace
}  // namespace atom::server
