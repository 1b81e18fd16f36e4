#include "atom/bench/serving/request_lengths.h"

#include <cmath>
#include <gtest/gtest.h>

namespace atom::bench {
namespace {

constexpr int kDraws = 200'000;

TEST(RequestLengthsTest, HasTheMomentsOfThePublishedDistribution) {
  PublishedLengths published(1, 2048);
  double prompts = 0.0;
  double squares = 0.0;
  double outputs = 0.0;
  int64_t at_most_median = 0;
  for (int i = 0; i < kDraws; ++i) {
    const RequestLengths lengths = published.Next();
    ASSERT_GE(lengths.prompt, 1);
    ASSERT_GE(lengths.output, 2);
    ASSERT_LT(lengths.total(), 2048 + 2);
    const auto prompt = static_cast<double>(lengths.prompt);
    prompts += prompt;
    squares += prompt * prompt;
    outputs += static_cast<double>(lengths.output);
    at_most_median += lengths.prompt <= 16 ? 1 : 0;
  }
  // 18 exp(0.8 z) − 1 has the mean 18 exp(0.32) − 1 = 23.79 and the variance
  // (18 exp(0.32))² (exp(0.64) − 1) = 550.7; cutting fractions off takes half a token. Five
  // standard errors of the mean are 0.27; half of all draws lie below the median, 17.
  const double mean = prompts / kDraws;
  EXPECT_NEAR(mean, 23.79 - 0.5, 0.30);
  EXPECT_NEAR(squares / kDraws - mean * mean, 550.7, 60.0);
  EXPECT_NEAR(static_cast<double>(at_most_median) / kDraws, 0.5, 0.01);
  // In all uniform below 2048, but at least prompt + 2.
  EXPECT_NEAR(outputs / kDraws, 1023.5 - 23.3, 8.0);
}

TEST(RequestLengthsTest, ScaleMultipliesBothAndLeavesAToken) {
  PublishedLengths whole(3, 2048);
  PublishedLengths scaled(3, 2048, 0.1);
  for (int i = 0; i < 1000; ++i) {
    const RequestLengths a = whole.Next();
    const RequestLengths b = scaled.Next();
    EXPECT_EQ(b.prompt, std::max<int64_t>(std::llround(0.1 * static_cast<double>(a.prompt)), 1));
    EXPECT_EQ(b.output, std::max<int64_t>(std::llround(0.1 * static_cast<double>(a.output)), 1));
  }
}

TEST(RequestLengthsTest, TheSeedDecides) {
  PublishedLengths a(5, 512), b(5, 512), c(6, 512);
  bool differs = false;
  for (int i = 0; i < 20; ++i) {
    const RequestLengths drawn = a.Next();
    EXPECT_EQ(drawn, b.Next());
    differs = differs || !(drawn == c.Next());
  }
  EXPECT_TRUE(differs);
}

TEST(RequestLengthsTest, ABusyServerHoldsLongerRequests) {
  PublishedLengths fresh(1, 2048);
  StationaryRequests stationary(2, {.max_length = 2048});
  double mean = 0.0;
  double square = 0.0;
  double met = 0.0;
  double age = 0.0;
  for (int i = 0; i < kDraws; ++i) {
    const auto output = static_cast<double>(fresh.Next().output);
    mean += output / kDraws;
    square += output * output / kDraws;
    const AgedRequest aged = stationary.Next();
    ASSERT_GE(aged.done, 0);
    ASSERT_LT(aged.done, aged.lengths.output);
    met += static_cast<double>(aged.lengths.output) / kDraws;
    age += static_cast<double>(aged.done) / static_cast<double>(aged.lengths.output) / kDraws;
  }
  EXPECT_NEAR(met, square / mean, 8.0);  // the mean of lengths weighed by length
  EXPECT_NEAR(age, 0.5, 0.01);
}

TEST(FixedLengthsTest, AreReadAndAged) {
  EXPECT_EQ(ParseLengths("1000/200").value(), (RequestLengths{.prompt = 1000, .output = 200}));
  for (const char* wrong :
       {"", "1000", "1000/", "/5", "0/5", "5/0", "5/-1", "5/6/7", "5,6", "9/x", "99999999999/1"}) {
    const Result<RequestLengths> lengths = ParseLengths(wrong);
    ASSERT_FALSE(lengths.ok()) << wrong;
    EXPECT_NE(lengths.error().message.find("1000/1000"), std::string::npos);
  }
  const LengthsPlan plan{.fixed = RequestLengths{.prompt = 100, .output = 60}};
  EXPECT_EQ(plan.Longest(), 160);
  StationaryRequests requests(1, plan);
  int64_t done = 0;
  for (int i = 0; i < 1000; ++i) {
    const AgedRequest request = requests.Next();
    EXPECT_EQ(request.lengths, *plan.fixed);
    EXPECT_TRUE(request.done >= 0 && request.done < 60);
    done += request.done;
  }
  EXPECT_NEAR(static_cast<double>(done) / 1000, 29.5, 3.0);
  // Prompts of 100 to 159 tokens: 7 to 10 pages of 16.
  EXPECT_NEAR(MeanPages(plan, 16), 8.57, 0.1);
  EXPECT_NEAR(MeanPages({}, 16), 43.5, 1.5);  // two thirds of the longest half are done
}

}  // namespace
}  // namespace atom::bench
