#include "atom/tokenizer/charsmap.h"

#include <cstdint>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace atom::tokenizer {
namespace {

std::string Bytes(const std::vector<uint32_t>& units, std::string_view replacements) {
  std::string bytes;
  std::vector<uint32_t> words = {static_cast<uint32_t>(4 * units.size())};
  words.insert(words.end(), units.begin(), units.end());
  for (const uint32_t word : words) {
    for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(word >> shift));
  }
  return bytes.append(replacements);
}

constexpr uint32_t kHasValue = 1u << 8;
constexpr uint32_t Offset(uint32_t offset) { return offset << 10; }
constexpr uint32_t Value(uint32_t value) { return 1u << 31 | value; }

// The root leads to units 0 to 255; "A" (0x41) to a node there whose value is at 0x41 ^ 0x41 ^ 1.
std::vector<uint32_t> OneEntry(uint32_t value) {
  std::vector<uint32_t> units(256, 0);
  units[0x41] = 0x41 | kHasValue | Offset(0x41 ^ 1);
  units[1] = Value(value);
  return units;
}

TEST(IsSafeCharsmap, AcceptsWhatStaysInside) {
  const std::string replacements("a\0b\0", 4);
  EXPECT_TRUE(IsSafeCharsmap(""));
  EXPECT_TRUE(IsSafeCharsmap(Bytes(OneEntry(0), replacements)));
  EXPECT_TRUE(IsSafeCharsmap(Bytes(OneEntry(2), replacements)));
}

// As Hugging Face does: what begins with an entry is replaced as a whole, if it is short.
TEST(Charsmap, ReplacesGraphemes) {
  const Charsmap charsmap(Bytes(OneEntry(2), std::string("a\0b\0", 4)));
  EXPECT_EQ(charsmap.Apply("xAAy"), "xbby");
  EXPECT_EQ(charsmap.Apply("A\u0301A"), "bb") << "a letter and its accent are one";
  EXPECT_EQ(charsmap.Apply("A\u0301\u0301\u0301"), "b\u0301\u0301\u0301") << "7 bytes are not";
  EXPECT_EQ(charsmap.Apply("\xFF"
                           "A\xE2\x82"),
            "\xFF"
            "b\xE2\x82");
  EXPECT_EQ(charsmap.Apply(""), "");
  EXPECT_EQ(Charsmap("").Apply("A"), "A");
}

TEST(IsSafeCharsmap, RefusesWhatMightLeave) {
  const std::string replacements("a\0b\0", 4);
  EXPECT_FALSE(IsSafeCharsmap("abc"));
  EXPECT_FALSE(IsSafeCharsmap(Bytes({}, replacements))) << "no trie";
  EXPECT_FALSE(IsSafeCharsmap(Bytes(OneEntry(0), ""))) << "no replacements";
  EXPECT_FALSE(IsSafeCharsmap(Bytes(OneEntry(0), "ab"))) << "no end";
  EXPECT_FALSE(IsSafeCharsmap(Bytes(OneEntry(4), replacements))) << "value behind the end";
  EXPECT_FALSE(IsSafeCharsmap(Bytes(std::vector<uint32_t>(255, 0), replacements)))
      << "label 255 leads out";
  std::vector<uint32_t> far = OneEntry(0);
  far[0] = Offset(0x1FFFFF);
  EXPECT_FALSE(IsSafeCharsmap(Bytes(far, replacements)));
  far[0] = Offset(1) | 1u << 9;  // in 256s
  EXPECT_FALSE(IsSafeCharsmap(Bytes(far, replacements)));
  std::string longer = Bytes(OneEntry(0), replacements);
  longer[3] = '\x7F';
  EXPECT_FALSE(IsSafeCharsmap(longer)) << "a trie longer than the file";
}

}  // namespace
}  // namespace atom::tokenizer
