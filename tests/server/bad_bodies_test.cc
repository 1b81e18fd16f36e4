// Bodies that are no request, sent to a running server: JSON that is none, or that two readers
// would read in two ways. openai_request_test.cc holds the same against the parser alone.
#include "tests/server/refusals.h"

namespace atom::server {
namespace {

struct BadText {
  std::string name;
  std::string text;
};

std::vector<BadText> BadTexts() {
  const std::string deep(100'000, '[');
  const auto prompt = [](const std::string& value) { return "{\"prompt\": " + value + "}"; };
  return {
      {"nothing", ""},
      {"one byte", "{"},
      {"NUL", std::string(1, '\0')},
      {"null", "null"},
      {"an array", "[]"},
      {"a number", "1e5"},
      {"a text", "\"x\""},
      {"cut short", "{\"prompt\": \"x\""},
      {"more behind it", "{\"prompt\": \"x\"} {}"},
      {"byte order mark", "\xEF\xBB\xBF{\"prompt\": \"x\"}"},
      {"UTF-16", std::string("\xFF\xFE{\0\"\0x\0", 8)},
      {"bad UTF-8", prompt("\"\xFF\"")},
      {"overlong UTF-8", prompt("\"\xC0\xAF\"")},
      {"UTF-8 of a surrogate", prompt("\"\xED\xA0\x80\"")},
      {"UTF-8 cut short", prompt("\"\xE2\x82\"")},
      {"lone high surrogate", prompt("\"\\ud800\"")},
      {"lone low surrogate", prompt("\"\\udc00\"")},
      {"two high surrogates", prompt("\"\\ud800\\ud800\"")},
      {"NUL in a text", prompt(std::string("\"a\0b\"", 5))},
      {"line feed in a text", prompt("\"a\nb\"")},
      {"unclosed text", prompt("\"x")},
      {"deep arrays, open", prompt(deep)},
      {"deep arrays", prompt(deep + std::string(100'000, ']'))},
      {"a key twice", R"({"prompt": "x", "n": 1, "n": 100000})"},
      {"a key twice, spelled in two ways", R"({"prompt": "x", "\u0070rompt": "y"})"},
      {"1e999", R"({"prompt": "x", "temperature": 1e999})"},
      {"-1e999", R"({"prompt": "x", "temperature": -1e999})"},
      {"NaN", R"({"prompt": "x", "temperature": NaN})"},
      {"Infinity", R"({"prompt": "x", "temperature": -Infinity})"},
      {"leading zero", R"({"prompt": "x", "n": 01})"},
      {"hexadecimal", R"({"prompt": "x", "n": 0x1})"},
      {"comment", R"({"prompt": "x" /* y */})"},
      {"comma at the end", R"({"prompt": "x",})"},
  };
}

std::vector<BadRequest> Everywhere() {
  std::vector<BadRequest> table;
  for (const char* path : {"/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize"}) {
    for (const BadText& bad : BadTexts()) {
      table.push_back(
          {.name = fmt::format("{} to {}", bad.name, path), .bytes = Post(path, bad.text)});
    }
  }
  table.push_back({.name = "64 MB",
                   .bytes = Post("/v1/completions", std::string(64 << 20, ' ')),
                   .status = 413,
                   .decided_after = 200});
  table.push_back({.name = "8 MiB and a byte",
                   .bytes = Post("/tokenize", std::string((8 << 20) + 1, ' ')),
                   .status = 413,
                   .decided_after = 200});
  return table;
}

TEST(BadBodiesTest, EachIsRefused) { ExpectEachRefused(Everywhere()); }

TEST(BadBodiesTest, EachIsRefusedQuickly) { ExpectRefusedQuickly(Everywhere()); }

TEST(BadBodiesTest, OddButGoodOnesAreServed) {
  const RunningService service;
  for (const char* body :
       {R"({"prompt": "\ud83d\ude00", "max_tokens": 1})", R"({"prompt": "a\u0000b"})",
        R"({"prompt": "x", "temperature": -0, "max_tokens": -0})",
        R"({"prompt": "x", "temperature": -0.0, "top_k": -0})",
        R"({"prompt": "x", "temperature": 1e-999})", " {\"prompt\"\r\n:\t\"x\"} ",
        R"({"prompt": "x", "model": null, "whatever": null})"}) {
    EXPECT_EQ(StatusOf(service.Ask(Post("/v1/completions", body))), 200) << body;
  }
}

}  // namespace
}  // namespace atom::server
