#include "atom/bench/serving/serve_bench.h"

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

TEST(ServeBenchTest, TheReportSaysWhatWasAskedFor) {
  ServeOptions options;
  options.target.url = {.host = "::1", .port = 81, .path = "/x"};
  options.load.concurrency = 4;
  options.goals = {.first = 0.5, .gap = 0.025};
  const LoadReport report{.model = "m", .requests = 7};
  const nlohmann::json published = ToJson(options, report);
  EXPECT_EQ(published.at("bench"), "serve");
  EXPECT_EQ(published.at("model"), "m");
  EXPECT_EQ(published.at("url"), "http://[::1]:81/x");
  EXPECT_EQ(published.at("requests"), 7);
  EXPECT_EQ(published.at("load"), nlohmann::json::parse(
                                      R"({"lengths": "published", "scale": 1.0, "concurrency": 4,
                                          "rate": 0.0, "shared_prefixes": 0, "seed": 0,
                                          "slo_ttft_ms": 500.0, "slo_itl_ms": 25.0})"));
  options.load.fixed = RequestLengths{32, 16};
  const nlohmann::json fixed = ToJson(options, report).at("load");
  EXPECT_EQ(fixed.at("lengths"), "fixed");
  EXPECT_EQ(fixed.at("fixed"), nlohmann::json::parse("[32, 16]"));
  EXPECT_FALSE(fixed.contains("scale"));
  options.load.trace = {{0.0, {3, 4}}};
  options.load.rate_scale = 2.0;
  const nlohmann::json trace = ToJson(options, report).at("load");
  EXPECT_EQ(trace.at("lengths"), "trace");
  EXPECT_EQ(trace.at("rate_scale"), 2.0);
}

}  // namespace
}  // namespace atom::bench
