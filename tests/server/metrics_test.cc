#include "atom/server/metrics.h"

#include <gtest/gtest.h>

namespace atom::server {
namespace {

using std::chrono::milliseconds;

TEST(HistogramTest, BucketsAreCumulativeAndInclusive) {
  Histogram histogram(std::array{0.1, 1.0, 10.0});
  for (const double value : {0.05, 0.1, 0.5, 1.0, 10.5}) histogram.Observe(value);
  std::string text;
  histogram.Write("x", "m=\"y\"", text);
  EXPECT_EQ(text,
            "x_bucket{m=\"y\",le=\"0.1\"} 2\nx_bucket{m=\"y\",le=\"1\"} 4\n"
            "x_bucket{m=\"y\",le=\"10\"} 4\nx_bucket{m=\"y\",le=\"+Inf\"} 5\n"
            "x_sum{m=\"y\"} 12.15\nx_count{m=\"y\"} 5\n");
}

TEST(MetricsTest, TimesOfOneRequest) {
  Metrics metrics("a\"b");
  const RequestClock::TimePoint start{};
  RequestClock clock(start);
  metrics.OnAccepted();
  engine::Output output;
  output.prompt_tokens = 30;
  metrics.OnOutput(output, start + milliseconds(10), clock);  // no token yet
  output.output_tokens = 1;
  metrics.OnOutput(output, start + milliseconds(50), clock);
  output.output_tokens = 3;  // two at once
  output.finish = engine::FinishReason::kStop;
  metrics.OnOutput(output, start + milliseconds(250), clock);
  EXPECT_EQ(metrics.accepted(), 1);
  EXPECT_EQ(metrics.finished(), 1);
  const std::string text =
      metrics.Text({.drafts = 4, .draft_tokens = 9, .accepted_tokens = 5, .accepted_at = {3, 2}});
  const auto has = [&text](const std::string& line) {
    return text.find("\n" + line + "\n") != std::string::npos;
  };
  const std::string label = "{model_name=\"a\\\"b\"}";
  EXPECT_TRUE(has("vllm:time_to_first_token_seconds_sum" + label + " 0.05")) << text;
  EXPECT_TRUE(has("vllm:inter_token_latency_seconds_count" + label + " 2"));
  EXPECT_TRUE(has("vllm:inter_token_latency_seconds_sum" + label + " 0.2"));
  EXPECT_TRUE(has("vllm:e2e_request_latency_seconds_sum" + label + " 0.25"));
  EXPECT_TRUE(has("vllm:request_prompt_tokens_sum" + label + " 30"));
  EXPECT_TRUE(has("vllm:request_generation_tokens_sum" + label + " 3"));
  EXPECT_TRUE(has("vllm:request_success_total{model_name=\"a\\\"b\",finished_reason=\"stop\"} 1"));
  EXPECT_TRUE(has("vllm:request_success_total{model_name=\"a\\\"b\",finished_reason=\"abort\"} 0"));
  EXPECT_TRUE(has("vllm:spec_decode_num_drafts_total" + label + " 4"));
  EXPECT_TRUE(has("vllm:spec_decode_num_draft_tokens_total" + label + " 9"));
  EXPECT_TRUE(has("vllm:spec_decode_num_accepted_tokens_total" + label + " 5"));
  EXPECT_TRUE(
      has("vllm:spec_decode_num_accepted_tokens_per_pos_total"
          "{model_name=\"a\\\"b\",position=\"1\"} 2"));
}

TEST(MetricsTest, EveryNameIsDeclaredOnce) {
  const std::string text = Metrics("m").Text({});
  std::map<std::string, int> declared;
  size_t at = 0;
  while ((at = text.find("# TYPE ", at)) != std::string::npos) {
    at += 7;
    ++declared[text.substr(at, text.find(' ', at) - at)];
  }
  EXPECT_GT(declared.size(), 15u);
  for (const auto& [name, count] : declared) EXPECT_EQ(count, 1) << name;
}

}  // namespace
}  // namespace atom::server
