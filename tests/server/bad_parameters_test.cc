// Good JSON that asks for what cannot be served, sent to a running server: the answer names the
// parameter. And what looks as bad but is served.
#include "tests/server/refusals.h"

namespace atom::server {
namespace {

using nlohmann::json;

std::string Completion(const std::string& fields) {
  return Post("/v1/completions", R"({"prompt": "x", )" + fields + "}");
}
std::string Chat(const std::string& fields) {
  return Post("/v1/chat/completions",
              R"({"messages": [{"role": "user", "content": "x"}], )" + fields + "}");
}
std::string Prompt(const std::string& prompt) {
  return Post("/v1/completions", "{\"prompt\": " + prompt + "}");
}
std::string WithSchema(const std::string& schema) {
  return Completion(
      R"("response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": )" +
      schema + "}}");
}
std::string WithPattern(const std::string& pattern) {
  return WithSchema(json{{"type", "string"}, {"pattern", pattern}}.dump());
}
std::string Array(int count, const std::string& value) {
  std::string array = "[" + value;
  for (int i = 1; i < count; ++i) array += "," + value;
  return array + "]";
}

/// "n" at -1, and so on: all but what means something.
std::vector<BadRequest> Counts() {
  const std::map<std::string, std::vector<std::string>> meant = {
      {"n", {}},           {"best_of", {}},       {"max_tokens", {"0"}}, {"min_tokens", {"0"}},
      {"logprobs", {"0"}}, {"top_k", {"0", "-1"}}};
  std::vector<BadRequest> table;
  for (const auto& [name, good] : meant) {
    for (const char* value :
         {"-1", "0", "2147483648", "9223372036854775808", "-9223372036854775809", "1.5", "\"1\"",
          "[]", "{}", "true", "1e300"}) {
      if (std::ranges::find(good, value) != good.end()) continue;
      const std::string field = fmt::format("\"{}\": {}", name, value);
      table.push_back({.name = field, .bytes = Completion(field), .param = name});
    }
  }
  return table;
}

std::vector<BadRequest> Fields() {
  std::vector<BadRequest> table;
  const std::vector<std::pair<std::string, std::vector<std::string>>> fields = {
      {"temperature", {"-1", "1e30", "\"1\"", "[]"}},
      {"top_p", {"-0.1", "2", "-0.5", "\"1\""}},
      {"min_p", {"-0.1", "1.5"}},
      {"repetition_penalty", {"0", "-1", "1e30"}},
      {"presence_penalty", {"-2.5", "3"}},
      {"seed", {"true", "1.5", "9223372036854775808", "\"1\""}},
      {"stop",
       {"\"\"", "[\"x\", \"\"]", "7", "[7]", "{}", Array(10'000, "\"x\""),
        "\"" + std::string(1 << 20, 'x') + "\""}},
      {"stop_token_ids", {"[-1]", "[260]", "[2147483648]", "[1.5]", "7", Array(100'000, "5")}},
      {"logit_bias",
       {"{\"-1\": 1}", "{\"x\": 1}", "{\"1.5\": 1}", "{\"260\": 1}", "{\"2147483648\": 1}",
        "{\"\": 1}", "{\"1\": null}", "{\"1\": 1e30}", "[]"}},
      {"min_tokens", {"5, \"max_tokens\": 4", "50"}},
      {"suffix", {"\"x\""}},
      {"stream_options", {"{\"include_usage\": true}"}},
  };
  for (const auto& [name, values] : fields) {
    for (const std::string& value : values) {
      const std::string field = fmt::format("\"{}\": {}", name, value);
      table.push_back({.name = field.substr(0, 60), .bytes = Completion(field), .param = name});
    }
  }
  json biases = json::object();
  for (int i = 0; i < 200'000; ++i) biases[std::to_string(i)] = 1;
  table.push_back({.name = "200,000 biases",
                   .bytes = Completion("\"logit_bias\": " + biases.dump()),
                   .param = "logit_bias"});
  for (int i = 200'000; i < 1'000'000; ++i) biases[std::to_string(i)] = 1;
  table.push_back({.name = "1,000,000 biases",
                   .bytes = Completion("\"logit_bias\": " + biases.dump()),
                   .status = 413,
                   .decided_after = 200});
  table.push_back({.name = "unknown model",
                   .bytes = Completion(R"("model": "gpt-4")"),
                   .status = 404,
                   .param = "model"});
  table.push_back({.name = "unknown parameter", .bytes = Completion(R"("temprature": 1)")});
  return table;
}

std::vector<BadRequest> Prompts() {
  const auto bad = [](const std::string& name, const std::string& prompt,
                      const std::string& param = "prompt") {
    return BadRequest{.name = name, .bytes = Prompt(prompt), .param = param};
  };
  return {
      bad("no prompt", "null"),
      bad("no prompts", "[]"),
      bad("a prompt of no ids", "[[]]"),
      bad("an empty one", "\"\", \"add_special_tokens\": false"),
      bad("100,000 prompts", Array(100'000, "\"x\"")),
      bad("100,000 prompts of ids", Array(100'000, "[5]")),
      bad("100,000 ids", Array(100'000, "5")),
      bad("an id beyond the vocabulary", "[5, 260]"),
      bad("id 2^31", "[2147483648]"),
      bad("id -1", "[-1]"),
      bad("longer than the context", "\"" + std::string(70, 'x') + "\""),
      bad("much longer", "\"" + std::string(4 << 20, 'x') + "\""),
      bad("no room for the answer", "\"" + std::string(40, 'x') + "\", \"max_tokens\": 40",
          "max_tokens"),
      bad("more answers than may be", Array(100, "\"x\"") + ", \"n\": 2", "n"),
  };
}

std::vector<BadRequest> Chats() {
  const auto messages = [](const std::string& name, const std::string& list,
                           const std::string& param) {
    return BadRequest{.name = name,
                      .bytes = Post("/v1/chat/completions", "{\"messages\": " + list + "}"),
                      .param = param};
  };
  const std::string tool = R"({"type": "function", "function": {"name": "f", "parameters":
      {"type": "object", "properties": {"a": {"$ref": "#"}}}}})";
  return {
      messages("no messages", "[]", "messages"),
      messages("100,000 messages", Array(100'000, R"({"role": "user", "content": "x"})"),
               "messages"),
      messages("unknown role", R"([{"role": "king", "content": "x"}])", "messages[0].role"),
      messages("no role", R"([{"content": "x"}])", "messages[0].role"),
      messages("no content", R"([{"role": "user"}])", "messages[0].content"),
      messages("an image",
               R"([{"role": "user", "content": [{"type": "image_url", "image_url": {"url":
                  "http://127.0.0.1:1/"}}]}])",
               "messages[0].content"),
      messages("longer than the context",
               R"([{"role": "user", "content": ")" + std::string(100'000, 'x') + "\"}]", "prompt"),
      {"a tool that refers to itself", Chat("\"tools\": [" + tool + "]"), 400, "tools"},
      {"1,000 tools", Chat("\"tools\": " + Array(1000, tool)), 400, "tools"},
      {"a template of one's own", Chat(R"("chat_template": "{{ 1 }}")")},
      {"template variables that are taken", Chat(R"("chat_template_kwargs": {"messages": 1})"), 400,
       "chat_template_kwargs"},
      {"logprobs of 129 tokens", Chat(R"("logprobs": true, "top_logprobs": 129)"), 400,
       "top_logprobs"},
  };
}

std::vector<BadRequest> Schemas() {
  const auto bad = [](const std::string& name, const std::string& bytes,
                      const std::string& param = "response_format") {
    return BadRequest{.name = name, .bytes = bytes, .param = param};
  };
  const std::string outer = "response_format.json_schema";
  return {
      bad("a reference to itself", WithSchema(R"({"$ref": "#"})")),
      bad("two that refer to each other",
          WithSchema(R"({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"},
                      "b": {"$ref": "#/$defs/a"}}})")),
      bad("a reference to elsewhere", WithSchema(R"({"$ref": "http://127.0.0.1:1/"})")),
      bad("^{2}x", WithPattern("^{2}x")),
      bad("(?<=x)", WithPattern("(?<=x)")),
      bad("60,000 parentheses", WithPattern(std::string(60'000, '('))),
      bad("unclosed class with a quote", WithPattern("[\"a")),
      bad("unclosed group with a quote", WithPattern("(\"a")),
      bad("counts of counts", WithPattern("((a{1000}){1000}){1000}")),
      bad("exponential", WithPattern("^(.*a.{20})$")),
      bad("an enum of 100,000", WithSchema("{\"enum\": " + Array(100'000, "1") + "}"), outer),
      bad("an enum of 15,000 equals", WithSchema("{\"enum\": " + Array(15'000, "\"x\"") + "}")),
      bad("a schema as text", WithSchema(R"("{\"type\": \"string")"), outer),
      bad("deep", WithSchema([] {
            std::string schema = "{}";
            for (int i = 0; i < 50; ++i) schema = "{\"not\": " + schema + "}";
            return schema;
          }())),
      bad("unknown form", Completion(R"("response_format": {"type": "grammar"})"),
          "response_format.type"),
      bad("a form that may not end",
          Completion(R"("response_format": {"type": "json_object"}, "ignore_eos": true)")),
  };
}

std::vector<BadRequest> All() {
  std::vector<BadRequest> all = Counts();
  for (const auto& table : {Fields(), Prompts(), Chats(), Schemas()}) {
    all.insert(all.end(), table.begin(), table.end());
  }
  return all;
}

TEST(BadParametersTest, EachIsRefusedByName) { ExpectEachRefused(All()); }

TEST(BadParametersTest, EachIsRefusedQuickly) { ExpectRefusedQuickly(All()); }

TEST(BadParametersTest, OddButGoodOnesAreServed) {
  const RunningService service;
  std::vector<std::string> requests = {
      Prompt("\"\""),
      Prompt("\"<s></s><unk><s>\""),
      Prompt("[1, 2, 0]"),
      Prompt(Array(128, "\"x\"") + ", \"max_tokens\": 1"),
      Completion(R"("stop": [], "logit_bias": {}, "stop_token_ids": [])"),
      Completion(R"("seed": 9223372036854775807, "temperature": 1e-30)"),
      Completion(R"("logit_bias": {"5": -100, "6": 100})"),
      Completion(R"("stop": ")" + std::string(1024, 'x') + "\""),
      Completion(R"("max_tokens": 0, "min_tokens": 0, "logprobs": 0, "top_k": 0)"),
      Completion(R"("min_tokens": 5)"),
      Post("/v1/chat/completions",
           R"({"messages": [{"role": "user", "content": "</s><s>[INST]"}], "min_tokens": 3})"),
      Chat(R"("tools": [], "tool_choice": "none")"),
      WithPattern("(a+)+b"),
      WithPattern("\""),
      WithSchema(R"({"type": "object", "properties": {"a": {"$ref": "#"}}})")};
  for (const char* name : {"n", "best_of", "max_tokens", "min_tokens", "logprobs", "top_k",
                           "temperature", "top_p", "stop", "logit_bias", "seed"}) {
    requests.push_back(Completion(fmt::format("\"{}\": null", name)));
  }
  requests.push_back(Completion(R"("top_k": -1)"));
  for (const std::string& request : requests) {
    const std::string reply = service.Ask(request);
    EXPECT_EQ(StatusOf(reply), 200) << request.substr(0, 300) << "\n" << reply;
  }
  EXPECT_TRUE(Soon([&] { return service.engine.stats().running == 0; }));
}

}  // namespace
}  // namespace atom::server
