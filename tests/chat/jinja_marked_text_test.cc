#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <string>

#include "atom/chat/jinja/marked_text.h"

namespace atom::chat::jinja {
namespace {

// The origins, one letter a byte: t or u.
std::string OriginsOf(const MarkedText& text) {
  std::string origins;
  for (size_t i = 0; i < text.size(); ++i) {
    origins += text.OriginAt(i) == Origin::kUser ? 'u' : 't';
  }
  return origins;
}

// Against a text that has a letter for each byte's origin.
TEST(MarkedText, AppendKeepsEachBytesOrigin) {
  std::mt19937 random(1);
  const auto below = [&](size_t end) { return random() % end; };
  std::vector<MarkedText> texts(1);
  std::vector<std::string> origins(1);
  for (int round = 0; round < 2000; ++round) {
    MarkedText made;
    std::string expected;
    for (size_t pieces = below(4) + 1; pieces > 0; --pieces) {
      if (below(3) == 0) {
        const bool user = below(2) == 0;
        const std::string bytes(below(4), 'x');
        made.Append(bytes, user ? Origin::kUser : Origin::kTemplate);
        expected += std::string(bytes.size(), user ? 'u' : 't');
      } else {
        const size_t from = below(texts.size());
        const size_t pos = below(texts[from].size() + 1);
        const size_t count = below(30);
        made.Append(texts[from], pos, count);
        expected += origins[from].substr(pos, count);
      }
    }
    ASSERT_EQ(OriginsOf(made), expected);
    EXPECT_EQ(made.HasUserBytes(), expected.find('u') != expected.npos);
    texts.push_back(made);
    origins.push_back(expected);
  }
}

TEST(MarkedText, PartsChangeWithTheOrigin) {
  MarkedText text("ab", Origin::kTemplate);
  text.Append("c", Origin::kUser);
  text.Append("d", Origin::kUser);
  text.Append("", Origin::kTemplate);
  text.Append("e", Origin::kTemplate);
  const std::vector<tokenizer::TextPart> parts = text.Parts();
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].text + "|" + parts[1].text + "|" + parts[2].text, "ab|cd|e");
  EXPECT_TRUE(parts[0].trusted && !parts[1].trusted && parts[2].trusted);
  EXPECT_TRUE(MarkedText().Parts().empty());
}

}  // namespace
}  // namespace atom::chat::jinja
