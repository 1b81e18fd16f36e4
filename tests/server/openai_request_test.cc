// Bodies of requests: what is read out of good ones, and which parameter is named in bad ones.
#include "atom/server/openai_request.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace atom::server {
namespace {

using nlohmann::json;

struct BadField {
  std::string name;
  std::string value;  // JSON
};

template <class Request>
std::string ParamOf(const OrApiError<Request>& parsed) {
  const auto* error = std::get_if<ApiError>(&parsed);
  if (error == nullptr) return "accepted";
  EXPECT_EQ(error->status, 400);
  EXPECT_FALSE(error->message.empty());
  EXPECT_LT(error->message.size(), 600u);
  EXPECT_EQ(error->message.find('\n'), std::string::npos);
  EXPECT_NE(error->message.back(), '.');
  return error->param;
}

std::string CompletionParam(const std::string& fields) {
  return ParamOf(ParseCompletionRequest(R"({"prompt": "x", )" + fields + "}", {}));
}
std::string ChatParam(const std::string& fields) {
  return ParamOf(
      ParseChatRequest(R"({"messages": [{"role": "user", "content": "x"}], )" + fields + "}", {}));
}
CompletionRequest Completion(const std::string& body) {
  auto parsed = ParseCompletionRequest(body, {});
  const auto* error = std::get_if<ApiError>(&parsed);
  EXPECT_EQ(error, nullptr) << error->message;
  return error == nullptr ? std::get<CompletionRequest>(std::move(parsed)) : CompletionRequest{};
}

TEST(OpenAiRequestTest, ReadsEveryParameterOfACompletion) {
  const CompletionRequest request = Completion(R"({
      "model": "m", "prompt": ["a", "b"], "n": 2, "best_of": 3, "echo": true, "logprobs": 5,
      "max_tokens": 7, "min_tokens": 3, "temperature": 0.5, "top_p": 0.25, "top_k": 40,
      "min_p": 0.125, "seed": 9007199254740993, "presence_penalty": -2, "frequency_penalty": 2,
      "repetition_penalty": 1.5, "logit_bias": {"17": -100, "3": 1.5}, "stop": ["x", "yz"],
      "stop_token_ids": [4, 5], "include_stop_str_in_output": true, "ignore_eos": true,
      "priority": -3, "add_special_tokens": false, "user": "someone", "suffix": null})");
  EXPECT_EQ(request.options.model, "m");
  ASSERT_EQ(request.prompts.size(), 2u);
  EXPECT_EQ(std::get<std::string>(request.prompts[1]), "b");
  EXPECT_EQ(request.options.n, 2);
  EXPECT_EQ(request.best_of, 3);
  EXPECT_TRUE(request.echo);
  EXPECT_FALSE(request.add_special_tokens);
  EXPECT_EQ(request.options.logprobs, 5);
  EXPECT_EQ(request.options.max_tokens, 7);
  EXPECT_EQ(request.options.priority, -3);
  const engine::Sampling& sampling = request.options.sampling;
  EXPECT_EQ(sampling.temperature, 0.5f);
  EXPECT_EQ(sampling.top_p, 0.25f);
  EXPECT_EQ(sampling.top_k, 40);
  EXPECT_EQ(sampling.min_p, 0.125f);
  EXPECT_EQ(sampling.seed, 9007199254740993u);  // more than a double can tell
  EXPECT_EQ(sampling.presence_penalty, -2.0f);
  EXPECT_EQ(sampling.frequency_penalty, 2.0f);
  EXPECT_EQ(sampling.repetition_penalty, 1.5f);
  ASSERT_EQ(sampling.logit_bias.size(), 2u);
  EXPECT_EQ(sampling.logit_bias[0].id, 17);
  EXPECT_EQ(sampling.logit_bias[0].value, -100.0f);
  EXPECT_EQ(request.options.stop.strings, (std::vector<std::string>{"x", "yz"}));
  EXPECT_EQ(request.options.stop.token_ids, (std::vector<int32_t>{4, 5}));
  EXPECT_EQ(request.options.stop.min_tokens, 3);
  EXPECT_TRUE(request.options.stop.ignore_eos);
  EXPECT_TRUE(request.options.stop.include_string);
}

TEST(OpenAiRequestTest, DefaultsAreThoseOfTheApi) {
  const CompletionRequest request = Completion(R"({"prompt": "x"})");
  EXPECT_EQ(request.options.n, 1);
  EXPECT_EQ(request.best_of, 1);
  EXPECT_FALSE(request.options.max_tokens.has_value());
  EXPECT_EQ(request.options.logprobs, -1);
  EXPECT_EQ(request.options.sampling.temperature, 1.0f);
  EXPECT_EQ(request.options.sampling.top_p, 1.0f);
  EXPECT_EQ(request.options.sampling.top_k, 0);
  EXPECT_FALSE(request.options.sampling.seed.has_value());
  EXPECT_EQ(Completion(R"({"prompt": "x", "top_k": -1})").options.sampling.top_k, 0);
  EXPECT_EQ(Completion(R"({"prompt": "x", "max_tokens": -0})").options.max_tokens, 0);
  // A null is as good as nothing, also under a name that nobody knows.
  EXPECT_EQ(Completion(R"({"prompt": "x", "n": null, "new": null})").options.n, 1);
}

TEST(OpenAiRequestTest, PromptsInFourForms) {
  EXPECT_EQ(Completion(R"({"prompt": "x"})").prompts.size(), 1u);
  EXPECT_EQ(Completion(R"({"prompt": ["x", "y"]})").prompts.size(), 2u);
  const auto ids = Completion(R"({"prompt": [1, 2]})").prompts;
  ASSERT_EQ(ids.size(), 1u);
  EXPECT_EQ(std::get<std::vector<int32_t>>(ids[0]), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(Completion(R"({"prompt": [[1], [2, 3]]})").prompts.size(), 2u);
}

TEST(OpenAiRequestTest, NumbersOutOfRangeAreNamed) {
  const std::vector<std::string> never = {
      "-7",   "1.5", "\"1\"", "[]", "{}", "true", "9223372036854775808", "99999999999999999999",
      "1e300"};
  for (const char* name : {"n", "best_of", "max_tokens", "min_tokens", "logprobs", "top_k"}) {
    for (const std::string& value : never) {
      EXPECT_EQ(CompletionParam(fmt::format("\"{}\": {}", name, value)), name) << value;
    }
    EXPECT_EQ(CompletionParam(fmt::format("\"{}\": 4294967296", name)), name);
  }
  for (const BadField& bad : std::vector<BadField>{
           {"n", "0"},
           {"n", "129"},
           {"best_of", "0"},
           {"logprobs", "21"},
           {"top_k", "2147483648"},
           {"seed", "1.5"},
           {"seed", "9223372036854775808"},
           {"temperature", "-1"},
           {"temperature", "1e30"},
           {"temperature", "\"hot\""},
           {"top_p", "-0.1"},
           {"top_p", "2"},
           {"min_p", "-0.1"},
           {"repetition_penalty", "0"},
           {"presence_penalty", "2.1"},
           {"frequency_penalty", "[]"},
           {"priority", "1e10"},
           {"echo", "1"},
           {"stream", "\"yes\""},
           {"suffix", "\"x\""},
           {"stop", "\"\""},
           {"stop", "7"},
           {"stop", "[\"x\", 7]"},
           {"stop_token_ids", "[-1]"},
           {"stop_token_ids", "[1.5]"},
           {"stop_token_ids", "7"},
           {"logit_bias", "[]"},
           {"logit_bias", "{\"x\": 1}"},
           {"logit_bias", "{\"-1\": 1}"},
           {"logit_bias", "{\"1\": 101}"},
           {"logit_bias", "{\"1\": \"x\"}"},
           {"logit_bias", "{\"99999999999\": 1}"},
           {"model", "7"},
           {"response_format", "\"json\""},
           {"stream_options", "7"},
           {"stream_options", "{\"include_usage\": true}"},
       }) {
    EXPECT_EQ(CompletionParam(fmt::format("\"{}\": {}", bad.name, bad.value)), bad.name)
        << bad.value;
  }
}

TEST(OpenAiRequestTest, NothingFansOutBeyondTheLimits) {
  json many = json::array();
  for (int i = 0; i < 100000; ++i) many.push_back("x");
  EXPECT_EQ(ParamOf(ParseCompletionRequest(json{{"prompt", many}}.dump(), {})), "prompt");
  const json fan = {{"prompt", {"a", "b"}}, {"n", 100}};
  EXPECT_EQ(ParamOf(ParseCompletionRequest(fan.dump(), {})), "n");
  EXPECT_EQ(CompletionParam(R"("n": 3, "best_of": 2)"), "best_of");
  EXPECT_EQ(CompletionParam(R"("best_of": 2, "stream": true)"), "best_of");
  EXPECT_EQ(CompletionParam("\"stop\": " + json(std::vector<std::string>(10000, "x")).dump()),
            "stop");
  EXPECT_EQ(CompletionParam("\"stop\": \"" + std::string(1 << 20, 'x') + "\""), "stop");
  EXPECT_EQ(CompletionParam("\"stop_token_ids\": " + json(std::vector<int>(129, 1)).dump()),
            "stop_token_ids");
  json biases = json::object();
  for (int i = 0; i < 2000; ++i) biases[std::to_string(i)] = 1;
  EXPECT_EQ(CompletionParam("\"logit_bias\": " + biases.dump()), "logit_bias");
  json words = json::array();
  for (int i = 0; i < 20000; ++i) words.push_back("word");
  EXPECT_EQ(CompletionParam(R"("response_format": {"type": "json_schema", "json_schema": {"name":
      "x", "schema": {"enum": )" +
                            words.dump() + "}}}"),
            "response_format.json_schema");
}

TEST(OpenAiRequestTest, ASchemaKeepsItsOrder) {
  const CompletionRequest request = Completion(
      R"({"prompt": "x", "response_format": {"json_schema": {"name": "s", "schema": {"z": 1, "a": 2}},
      "type": "json_schema"}})");
  EXPECT_EQ(request.options.format.schema, R"({"z": 1, "a": 2})");
}

TEST(OpenAiRequestTest, BodiesThatAreNoObjects) {
  const std::string deep(100000, '[');
  const std::string nul("{\"prompt\": \"a\0b\"}", 17);
  for (const std::string& body :
       {std::string(), std::string("x"), std::string("null"), std::string("[]"), std::string("7"),
        std::string("{\"prompt\": \"x\""), std::string("{\"prompt\": \"x\"} x"),
        std::string("\xEF\xBB\xBF{\"prompt\": \"x\"}"), std::string("{\"prompt\": \"\xFF\"}"),
        std::string("{\"prompt\": \"\\ud800\"}"), std::string("{\"prompt\": \"\\udc00x\"}"), nul,
        std::string("{\"prompt\": \"x\", \"prompt\": \"y\"}"),
        std::string("{\"prompt\": \"x\", \"temperature\": 1e999}"),
        std::string("{\"prompt\": \"x\", \"temperature\": NaN}"),
        std::string("{\"prompt\": \"x\", \"temperature\": -Infinity}"),
        std::string("{\"prompt\": \"x\", \"n\": 01}"), "{\"prompt\": " + deep,
        "{\"prompt\": " + deep + std::string(100000, ']') + "}"}) {
    EXPECT_EQ(ParamOf(ParseCompletionRequest(body, {})), "") << body.substr(0, 60);
    EXPECT_EQ(ParamOf(ParseChatRequest(body, {})), "") << body.substr(0, 60);
    EXPECT_EQ(ParamOf(ParseTokenizeRequest(body, {})), "") << body.substr(0, 60);
    EXPECT_EQ(ParamOf(ParseDetokenizeRequest(body)), "") << body.substr(0, 60);
  }
}

TEST(OpenAiRequestTest, PromptsThatAreNone) {
  for (const char* prompt :
       {"null", "7", "true", "{}", "[]", "[null]", "[\"x\", 7]", "[1, \"x\"]", "[[1], \"x\", {}]",
        "[[\"x\"]]", "[1.5]", "[-1]", "[2147483648]", "[[[1]]]"}) {
    EXPECT_EQ(ParamOf(ParseCompletionRequest(fmt::format(R"({{"prompt": {}}})", prompt), {})),
              "prompt")
        << prompt;
  }
  EXPECT_EQ(ParamOf(ParseCompletionRequest("{}", {})), "prompt");
}

TEST(OpenAiRequestTest, ConversationsAndTheirFaults) {
  auto parsed = ParseChatRequest(R"({"messages": [
      {"role": "developer", "content": "be brief"},
      {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
      {"role": "assistant", "content": "c", "refusal": null}, {"role": "user", "content": "d"}],
      "logprobs": true, "top_logprobs": 3, "max_tokens": 1, "max_completion_tokens": 2,
      "tools": [], "tool_choice": "none"})",
                                 {});
  ASSERT_TRUE(std::holds_alternative<ChatRequest>(parsed)) << std::get<ApiError>(parsed).message;
  const auto& request = std::get<ChatRequest>(parsed);
  const std::vector<chat::ChatMessage>& messages = request.conversation.messages;
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[0].role, "system");
  EXPECT_EQ(messages[1].content, "ab");
  EXPECT_EQ(request.options.logprobs, 3);
  EXPECT_EQ(request.options.max_tokens, 2);

  const auto message_param = [](const std::string& list) {
    return ParamOf(ParseChatRequest("{\"messages\": " + list + "}", {}));
  };
  EXPECT_EQ(message_param("[]"), "messages");
  EXPECT_EQ(message_param("7"), "messages");
  EXPECT_EQ(message_param("[7]"), "messages");
  EXPECT_EQ(message_param(R"([{"role": "king", "content": "x"}])"), "messages[0].role");
  EXPECT_EQ(message_param(R"([{"content": "x"}])"), "messages[0].role");
  EXPECT_EQ(message_param(R"([{"role": "user"}])"), "messages[0].content");
  EXPECT_EQ(message_param(R"([{"role": "user", "content": 7}])"), "messages[0].content");
  EXPECT_EQ(message_param(R"([{"role": "user", "content": [{"type": "image_url"}]}])"),
            "messages[0].content");
  EXPECT_EQ(message_param(R"([{"role": "tool", "content": "x"}])"), "messages[0].role");
  EXPECT_EQ(ChatParam(R"("top_logprobs": 3)"), "top_logprobs");
  EXPECT_EQ(ChatParam(R"("logprobs": 3)"), "logprobs");
  EXPECT_EQ(ChatParam(R"("tools": [{"type": "function"}])"), "tools");
  EXPECT_EQ(ChatParam(R"("tool_choice": "required")"), "tool_choice");
  EXPECT_EQ(ChatParam(R"("modalities": ["text", "audio"])"), "modalities");
  EXPECT_EQ(ChatParam(R"("response_format": {"type": "yaml"})"), "response_format.type");
  EXPECT_EQ(ChatParam(R"("response_format": {"type": "json_schema"})"),
            "response_format.json_schema");
}

// What clients and their frameworks send by themselves, and what would change the answer.
TEST(OpenAiRequestTest, FieldsThatChangeNothingPass) {
  for (const char* field : {R"("use_beam_search": false)",
                            R"("length_penalty": 1)",
                            R"("length_penalty": 1.0)",
                            R"("early_stopping": false)",
                            R"("skip_special_tokens": true)",
                            R"("bad_words": [])",
                            R"("spaces_between_special_tokens": true)",
                            R"("request_id": "x")",
                            R"("metadata": {})",
                            R"("stream_options": {"include_usage": false})",
                            R"("logit_bias": null)",
                            R"("repeat_penalty": 1.0)",
                            R"("num_beams": 1)",
                            R"("top_n_sigma": -1)",
                            R"("n_probs": 0)",
                            R"("grammar": "")",
                            R"("structured_outputs": {})",
                            R"("parallel_tool_calls": true)",
                            R"("top_logprobs": 0)",
                            R"("suffix": "")"}) {
    EXPECT_EQ(CompletionParam(field), "accepted") << field;
    EXPECT_EQ(ChatParam(field), "accepted") << field;
  }
  EXPECT_EQ(CompletionParam(R"("logprobs": false)"), "accepted");
  const std::string tool = R"([{"type": "function", "function": {"name": "f"}}])";
  for (const std::string& field :
       {std::string(R"("reasoning_effort": "low")"), std::string(R"("verbosity": "high")"),
        std::string(R"("modalities": ["text"])"), std::string(R"("echo": false)"),
        "\"tool_choice\": \"none\", \"tools\": " + tool,
        "\"function_call\": \"none\", \"functions\": " + tool}) {
    EXPECT_EQ(ChatParam(field), "accepted") << field;
  }
  struct Changing {
    std::string field;
    std::string param;
  };
  for (const Changing& changing :
       std::vector<Changing>{{R"("use_beam_search": true)", "use_beam_search"},
                             {R"("length_penalty": 2)", "length_penalty"},
                             {R"("bad_words": ["x"])", "bad_words"},
                             {R"("repeat_penalty": 1.1)", "repeat_penalty"},
                             {R"("grammar": "root ::= x")", "grammar"},
                             {R"("suffix": "x")", "suffix"},
                             {R"("reasoning_effort": "maximal")", "reasoning_effort"},
                             {R"("verbosity": 3)", "verbosity"},
                             {R"("echo": true)", "echo"},
                             {R"("best_of": 2)", "best_of"},
                             {"\"tools\": " + tool, "tools"},
                             {"\"tool_choice\": \"auto\", \"tools\": " + tool, "tools"}}) {
    EXPECT_EQ(ChatParam(changing.field), changing.param) << changing.field;
  }
  EXPECT_EQ(CompletionParam(R"("logprobs": true)"), "logprobs");
}

TEST(OpenAiRequestTest, HabitsOfClients) {
  const CompletionRequest request = Completion(
      R"({"prompt": "x", "max_tokens": 8.0, "n": 2.0, "seed": -1, "top_p": 0, "stop": null})");
  EXPECT_EQ(request.options.max_tokens, 8);
  EXPECT_EQ(request.options.n, 2);
  EXPECT_FALSE(request.options.sampling.seed.has_value());
  EXPECT_EQ(request.options.sampling.top_p, 0.0f);
  EXPECT_EQ(Completion(R"({"prompt": "x", "seed": -2})").options.sampling.seed, ~uint64_t{1});
  EXPECT_EQ(CompletionParam(R"("max_tokens": 8.5)"), "max_tokens");
  EXPECT_FALSE(
      Completion(R"({"prompt": "x", "skip_special_tokens": false})").options.skip_special_tokens);

  const auto parsed = ParseChatRequest(R"({"messages": [
      {"role": "user", "content": "a", "name": "me"},
      {"type": "message", "role": "assistant", "content": null, "reasoning_content": "hm",
       "tool_calls": [], "refusal": null, "reasoning_details": [], "cache_control": {"type": "x"},
       "metadata": {"a": "b"}},
      {"role": "user", "content": "b"}]})",
                                       {});
  ASSERT_TRUE(std::holds_alternative<ChatRequest>(parsed)) << std::get<ApiError>(parsed).message;
  const auto& messages = std::get<ChatRequest>(parsed).conversation.messages;
  EXPECT_EQ(messages[1].content, "");
  ASSERT_EQ(messages[1].fields.size(), 1u);
  EXPECT_EQ(messages[1].fields[0].first.bytes(), "reasoning_content");
  // The sentence says in which message.
  const auto unknown = ParseChatRequest(
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "user", "text": "b"}]})", {});
  ASSERT_TRUE(std::holds_alternative<ApiError>(unknown));
  EXPECT_EQ(std::get<ApiError>(unknown).message.find("messages[1]"), 0u);
}

TEST(OpenAiRequestTest, WhatATemplateIsTold) {
  const auto read = [](const std::string& fields) {
    return ParseChatRequest(R"({"messages": [{"role": "user", "content": "x"}], )" + fields + "}",
                            {});
  };
  auto parsed = read(R"("reasoning_effort": "low",
                        "chat_template_kwargs": {"z": true, "a": {"b": [1, "<s>"]}})");
  ASSERT_TRUE(std::holds_alternative<ChatRequest>(parsed)) << std::get<ApiError>(parsed).message;
  const chat::ChatOptions& options = std::get<ChatRequest>(parsed).conversation.options;
  EXPECT_TRUE(options.add_generation_prompt);
  ASSERT_EQ(options.variables.size(), 3u);
  EXPECT_EQ(options.variables[0].first.bytes(), "reasoning_effort");
  EXPECT_EQ(options.variables[1].first.bytes(), "z");  // in the body's order
  parsed = read(R"("continue_final_message": true)");
  ASSERT_TRUE(std::holds_alternative<ChatRequest>(parsed));
  EXPECT_FALSE(std::get<ChatRequest>(parsed).conversation.options.add_generation_prompt);

  EXPECT_EQ(ChatParam(R"("continue_final_message": true, "add_generation_prompt": true)"),
            "add_generation_prompt");
  for (const char* name : {"messages", "bos_token", "chat_template", "add_generation_prompt"}) {
    EXPECT_EQ(ChatParam(fmt::format(R"("chat_template_kwargs": {{"{}": "x"}})", name)),
              "chat_template_kwargs");
  }
  EXPECT_EQ(ChatParam("\"chat_template_kwargs\": {\"x\": \"" + std::string(65536, 'x') + "\"}"),
            "chat_template_kwargs");
  EXPECT_EQ(ChatParam(R"("chat_template_kwargs": [])"), "chat_template_kwargs");
}

TEST(OpenAiRequestTest, UnknownParametersAreRefusedByName) {
  const auto parsed = ParseCompletionRequest(R"({"prompt": "x", "temprature": 1})", {});
  ASSERT_TRUE(std::holds_alternative<ApiError>(parsed));
  EXPECT_NE(std::get<ApiError>(parsed).message.find("'temprature'"), std::string::npos);
  EXPECT_EQ(CompletionParam(R"("max_completion_tokens": 3)"), "");  // the other endpoint's
}

TEST(OpenAiRequestTest, TokenizingAndBack) {
  const auto tokenize = ParseTokenizeRequest(R"({"prompt": "x", "add_special_tokens": false})", {});
  ASSERT_TRUE(std::holds_alternative<TokenizeRequest>(tokenize));
  EXPECT_FALSE(std::get<TokenizeRequest>(tokenize).add_special_tokens);
  // What chat requests may have, so that both count the same tokens.
  const auto tokenizes = [](const std::string& fields) {
    return ParamOf(ParseTokenizeRequest(
        R"({"messages": [{"role": "user", "content": "x"}], )" + fields + "}", {}));
  };
  EXPECT_EQ(tokenizes(R"("user": "me", "tools": [], "add_special_tokens": false)"), "accepted");
  EXPECT_EQ(tokenizes(R"("add_special_tokens": true)"), "add_special_tokens");
  EXPECT_EQ(tokenizes(R"("tools": [{"type": "function"}])"), "tools");
  EXPECT_EQ(ParamOf(ParseTokenizeRequest("{}", {})), "messages");
  EXPECT_EQ(ParamOf(ParseTokenizeRequest(R"({"prompt": "x", "messages": []})", {})), "messages");
  EXPECT_EQ(ParamOf(ParseDetokenizeRequest("{}")), "tokens");
  EXPECT_EQ(ParamOf(ParseDetokenizeRequest(R"({"tokens": [1, "2"]})")), "tokens");
}

}  // namespace
}  // namespace atom::server
