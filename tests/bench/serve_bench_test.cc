#include "atom/bench/serve_bench.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace atom::bench {
namespace {

TEST(ServeBenchTest, FindsTheModelAmongThoseServed) {
  const std::string body =
      R"({"object": "list", "data": [{"id": "a"}, {"id": "b", "max_model_len": 128}]})";
  EXPECT_EQ(ParseModels(body, "").value().model, "a");
  EXPECT_EQ(ParseModels(body, "").value().context, 0);
  EXPECT_EQ(ParseModels(body, "b").value().context, 128);
  EXPECT_NE(ParseModels(body, "c").error().message.find("'c'"), std::string::npos);
  for (const char* wrong :
       {"", "[]", "{}", R"({"data": 5})", R"({"data": []})", R"({"data": [{"id": 7}]})"}) {
    const Result<ServedName> served = ParseModels(wrong, "");
    ASSERT_FALSE(served.ok()) << wrong;
    EXPECT_NE(served.error().message.find("/v1/models"), std::string::npos) << wrong;
  }
}

TEST(ServeBenchTest, TheLengthIsForced) {
  const auto body = nlohmann::json::parse(CompletionBody("m", {5, 6}, 9));
  EXPECT_EQ(body, nlohmann::json::parse(
                      R"({"model": "m", "prompt": [5, 6], "max_tokens": 9, "ignore_eos": true,
                          "temperature": 0, "stream": true,
                          "stream_options": {"include_usage": true}})"));
}

}  // namespace
}  // namespace atom::bench
