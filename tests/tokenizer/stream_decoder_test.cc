#include "atom/tokenizer/stream_decoder.h"

#include <gtest/gtest.h>
#include <random>

#include "tests/tokenizer/tokenizer_fixtures.h"

namespace atom::tokenizer {
namespace {

constexpr std::string_view kReplaced = "\xEF\xBF\xBD";

// One token a byte: what comes when.
TEST(StreamDecoder, HoldsCharactersBackUntilTheyAreWhole) {
  const auto tokenizer = MustLoad(ByteLevelJson({}, {"<end>"}));
  StreamDecoder stream(*tokenizer);
  EXPECT_EQ(stream.Push('a'), "a");
  EXPECT_EQ(stream.Push(0xF0), "");
  EXPECT_EQ(stream.Push(0x9F), "");
  EXPECT_EQ(stream.Push(0xA6), "");
  EXPECT_EQ(stream.Push(0x99), "🦙");
  EXPECT_EQ(stream.Push(0xE2), "");
  EXPECT_EQ(stream.Push('b'), std::string(kReplaced) + "b") << "never whole";
  EXPECT_EQ(stream.Push(0xFF), kReplaced);
  EXPECT_EQ(stream.Push(0xC3), "");
  EXPECT_EQ(stream.Push(256), std::string(kReplaced) + "<end>");
  EXPECT_EQ(stream.Push(9999), "") << "no such id";
  EXPECT_EQ(stream.Push(0xC3), "");
  EXPECT_EQ(stream.Finish(), kReplaced);
  EXPECT_EQ(stream.Finish(), "");
  StreamDecoder quiet(*tokenizer, {.keep_special = false});
  EXPECT_EQ(quiet.Push(256), "");
}

TEST(StreamDecoder, StripsTheAddedSpaceOnlyAtTheStart) {
  const auto tokenizer = MustLoad(MetaspaceJson({"▁", "a", "▁a"}), {{"bos_token", "<s>"}});
  const int32_t a = *tokenizer->FindToken("▁a");
  StreamDecoder start(*tokenizer, {.at_start = true});
  EXPECT_EQ(start.Push(1), "") << "bos";
  EXPECT_EQ(start.Push(a), "a");
  EXPECT_EQ(start.Push(a), " a");
  EXPECT_EQ(start.Push(1), "<s>");
  StreamDecoder middle(*tokenizer);
  EXPECT_EQ(middle.Push(a), " a");
}

TEST(StreamDecoder, GivesTheWholeText) {
  const auto bytes = MustLoad(ByteLevelJson({"a b"}, {"<s>", "</s>"}), {{"bos_token", "<s>"}});
  const auto metaspace = MustLoad(MetaspaceJson({"▁", "a", "▁a", "é"}), {{"bos_token", "<s>"}});
  std::mt19937 random(5);
  for (const auto* tokenizer : {bytes.get(), metaspace.get()}) {
    for (int round = 0; round < 3000; ++round) {
      std::vector<int32_t> ids(random() % 12);
      for (int32_t& id : ids) {
        id = static_cast<int32_t>(random() % static_cast<uint32_t>(tokenizer->vocab_size() + 2));
      }
      for (const bool keep_special : {true, false}) {
        StreamDecoder stream(*tokenizer, {.at_start = true, .keep_special = keep_special});
        std::string text;
        for (const int32_t id : ids) {
          const std::string now = stream.Push(id);
          ASSERT_EQ(FindInvalid(now, 0), now.size());
          text += now;
        }
        text += stream.Finish();
        ASSERT_EQ(text, ToValidUtf8(tokenizer->Decode(ids, keep_special)));
      }
    }
  }
}

}  // namespace
}  // namespace atom::tokenizer
