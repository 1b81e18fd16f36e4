#include "atom/bench/tokenizer_bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/bench/serving/numbered_tokenizer.h"

namespace atom::bench {
namespace {

TEST(TokenizerBench, MeasuresEncodingAndDecoding) {
  const auto tokenizer = MakeNumberedTokenizer(100);
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "w" + std::to_string(i % 100) + " ";
  const Result<TokenizerRow> row = MeasureTokenizer("numbered", *tokenizer, text, 3);
  ASSERT_TRUE(row.ok()) << row.error().message;
  EXPECT_EQ(row->bytes, std::ssize(text));
  EXPECT_EQ(row->tokens, std::ssize(*tokenizer->Encode(text, {.add_bos = false})));
  EXPECT_EQ(row->encode_seconds.size(), 3u);
  EXPECT_EQ(row->decode_seconds.size(), 3u);
  EXPECT_GT(row->EncodeMegabytes(), 0.0);
  EXPECT_EQ(ToJson(*row).at("tokenizer"), "numbered");
  EXPECT_THAT(TableLine(*row), testing::StartsWith("| numbered | "));
}

// Speeds are those of the median.
TEST(TokenizerBench, TheMedianCounts) {
  TokenizerRow row;
  row.bytes = 4'000'000;
  row.encode_seconds = {9.0, 2.0, 1.0};
  row.decode_seconds = {0.5};
  EXPECT_DOUBLE_EQ(row.EncodeMegabytes(), 2.0);
  EXPECT_DOUBLE_EQ(row.DecodeMegabytes(), 8.0);
}

}  // namespace
}  // namespace atom::bench
