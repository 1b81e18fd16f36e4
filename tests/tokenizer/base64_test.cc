#include "atom/tokenizer/base64.h"

#include <gtest/gtest.h>

namespace atom::tokenizer {
namespace {

TEST(DecodeBase64, ReadsTheVectorsOfTheStandard) {  // RFC 4648, 10
  EXPECT_EQ(DecodeBase64(""), "");
  EXPECT_EQ(DecodeBase64("Zg=="), "f");
  EXPECT_EQ(DecodeBase64("Zm8="), "fo");
  EXPECT_EQ(DecodeBase64("Zm9v"), "foo");
  EXPECT_EQ(DecodeBase64("Zm9vYmFy"), "foobar");
  EXPECT_EQ(DecodeBase64("//79"), "\xFF\xFE\xFD");
}

TEST(DecodeBase64, RefusesWhatIsNotExact) {
  for (const std::string_view bad : {"Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm9v=", "Zm 9v",
                                     "Z===", "====", "=Zg=", "Zm9\n", "Zm9-"}) {
    EXPECT_EQ(DecodeBase64(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace atom::tokenizer
