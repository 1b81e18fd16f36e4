// Against what `xxh128sum` prints.
#include "atom/io/checksum.h"

#include <gmock/gmock.h>

#include "temp_folder.h"

namespace atom::io {
namespace {

std::string Pattern() {
  std::string bytes;
  for (int i = 0; i < 100000; ++i) bytes += static_cast<char>((i * 7 + 3) & 255);
  return bytes;
}

TEST(ChecksumTest, KnownValues) {
  EXPECT_EQ(ChecksumOf(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(ChecksumOf("abc"), "06b05ab6733a618578af5f94892f3950");
  EXPECT_EQ(ChecksumOf(Pattern()), "d9e155dd16e141d00c056f6fcc340974");
  EXPECT_EQ(Checksum().Hex(), "99aa06d3014798d86001c324468d497f");
}

TEST(ChecksumTest, PiecesDoNotMatter) {
  const std::string bytes = Pattern();
  for (const size_t piece : {1u, 7u, 256u, 99999u}) {
    Checksum checksum;
    for (size_t i = 0; i < bytes.size(); i += piece) {
      checksum.Update(std::string_view(bytes).substr(i, piece));
    }
    EXPECT_EQ(checksum.Hex(), ChecksumOf(bytes));
    EXPECT_EQ(checksum.Hex(), ChecksumOf(bytes)) << "Hex changes nothing";
  }
}

TEST(ChecksumTest, Files) {
  const TempFolder folder;
  const std::string bytes = Pattern() + std::string(3 << 20, 'z');
  const Result<std::string> sum = ChecksumOfFile(folder.Write("f", bytes));
  ASSERT_TRUE(sum.ok());
  EXPECT_EQ(*sum, ChecksumOf(bytes));
  EXPECT_EQ(*ChecksumOfFile(folder.Write("empty", "")), ChecksumOf(""));
  EXPECT_FALSE(ChecksumOfFile(folder / "absent").ok());
  EXPECT_FALSE(ChecksumOfFile(folder.path()).ok());
}

}  // namespace
}  // namespace atom::io
