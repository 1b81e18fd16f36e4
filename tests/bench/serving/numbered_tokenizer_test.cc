#include "atom/bench/serving/numbered_tokenizer.h"

#include <gtest/gtest.h>

namespace atom::bench {
namespace {

TEST(NumberedTokenizerTest, EveryTokenHasText) {
  const auto tokenizer = MakeNumberedTokenizer(300);
  EXPECT_EQ(tokenizer->vocab_size(), 300);
  const std::vector<int32_t> ids = {7, 0, 299};
  EXPECT_EQ(tokenizer->Decode(ids), "w7 w0 w299");
}

}  // namespace
}  // namespace atom::bench
