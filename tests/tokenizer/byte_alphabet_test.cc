#include "atom/tokenizer/byte_alphabet.h"

#include <gtest/gtest.h>

namespace atom::tokenizer {
namespace {

TEST(FromByteAlphabet, KnowsGpt2sSpellings) {
  EXPECT_EQ(FromByteAlphabet("Ġthe"), " the");
  EXPECT_EQ(FromByteAlphabet("Ċ"), "\n");
  EXPECT_EQ(FromByteAlphabet("ĉ"), "\t");
  EXPECT_EQ(FromByteAlphabet("Ã©"), "é");
  EXPECT_EQ(FromByteAlphabet("ðŁ¦Ļ"), "🦙");
  EXPECT_EQ(FromByteAlphabet("Ń"), "\xAD") << "the soft hyphen, the last of those moved";
  EXPECT_EQ(FromByteAlphabet("Ā"), std::string(1, '\0')) << "zero, the first";
  EXPECT_EQ(FromByteAlphabet(""), "");
}

TEST(ToByteAlphabet, IsTheInverse) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  EXPECT_EQ(FromByteAlphabet(ToByteAlphabet(all)), all);
  EXPECT_EQ(ToByteAlphabet(" the\n"), "ĠtheĊ");
}

TEST(FromByteAlphabet, RefusesOthers) {
  EXPECT_EQ(FromByteAlphabet(" the"), std::nullopt) << "a space is spelled Ġ";
  EXPECT_EQ(FromByteAlphabet("\u00ad"), std::nullopt);
  EXPECT_EQ(FromByteAlphabet("▁the"), std::nullopt);
  EXPECT_EQ(FromByteAlphabet("a\xFF"), std::nullopt);
}

}  // namespace
}  // namespace atom::tokenizer
