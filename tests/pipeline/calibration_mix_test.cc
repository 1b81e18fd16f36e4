#include "atom/pipeline/calibration_mix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tiny_model.h"

namespace atom::pipeline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string ErrorOfMix(std::string_view flag) {
  const auto parts = ParseMix(flag);
  return parts.ok() ? "no error" : parts.error().message;
}

TEST(ParseMixTest, ReadsNamesAndShares) {
  const auto parts = ParseMix("wikitext2:1,c4-calib:0.25,dir/a:b.txt,x");
  ASSERT_TRUE(parts.ok()) << parts.error().message;
  ASSERT_EQ(parts->size(), 4u);
  EXPECT_EQ((*parts)[0].name, "wikitext2");
  EXPECT_EQ((*parts)[1].share, 0.25);
  EXPECT_EQ((*parts)[2].name, "dir/a:b.txt");  // what follows the colon is no number
  EXPECT_EQ((*parts)[3].share, 1.0);
}

TEST(ParseMixTest, RefusesInOneSentence) {
  EXPECT_EQ(ErrorOfMix("wikitext2:0"),
            "--calib: the share of 'wikitext2' is 0, expected a number above 0");
  for (const char* share : {"-1", "nan", "inf", "-0.0"}) {
    EXPECT_THAT(ErrorOfMix(std::string("a:1,b:") + share), HasSubstr("expected a number above 0"));
  }
  for (const char* flag : {"", "a,", ",a", "a,,b", ":1"}) {
    EXPECT_THAT(ErrorOfMix(flag), HasSubstr("expected a data set's name or a file")) << flag;
  }
}

TEST(DealWindowsTest, EveryPrefixKeepsTheShares) {
  EXPECT_THAT(DealWindows({{"a", 1.0}, {"b", 1.0}}, 5), ElementsAre(0, 1, 0, 1, 0));
  const std::vector<MixPart> parts = {{"a", 0.5}, {"b", 1.7}, {"c", 3.1}};
  const std::vector<size_t> order = DealWindows(parts, 200);
  std::vector<double> given(3, 0.0);
  for (size_t window = 0; window < order.size(); ++window) {
    given[order[window]] += 1.0;
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(given[i], parts[i].share / 5.3 * static_cast<double>(window + 1), 1.0);
    }
  }
}

class LoadCalibrationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    tests::WriteText(folder_ / "tokenizer.json", tests::TinyTokenizer().dump());
    tests::WriteText(folder_ / "tokenizer_config.json",
                     R"({"bos_token": "<s>", "add_bos_token": true})");
    auto tokenizer = tokenizer::Tokenizer::Load(folder_.path());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    tokenizer_ = std::move(tokenizer).value();
  }
  std::string Write(const std::string& name, const std::string& text) {
    tests::WriteText(folder_ / name, text);
    return (folder_ / name).string();
  }
  Result<Calibration> Load(const std::string& flag, int64_t samples = 6) {
    const auto parts = ParseMix(flag);
    EXPECT_TRUE(parts.ok());
    return LoadCalibration(*parts, {}, *tokenizer_, folder_.path(),
                           {.samples = samples, .sequence_length = 50, .seed = 3});
  }
  std::string ErrorOf(const std::string& flag, int64_t samples = 6) {
    const auto calibration = Load(flag, samples);
    return calibration.ok() ? "no error" : calibration.error().message;
  }
  tests::TemporaryFolder folder_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
};

TEST_F(LoadCalibrationTest, EachTextGivesTheWindowsThatItGivesAlone) {
  const std::string a = Write("a.txt", tests::TinyText(2000));
  const std::string b = Write("b.txt", tests::TinyText(3000).substr(500));
  const auto mixed = Load(a + ":1," + b + ":2");
  ASSERT_TRUE(mixed.ok()) << mixed.error().message;
  const auto only_a = Load(a, 2);
  const auto only_b = Load(b, 4);
  ASSERT_TRUE(only_a.ok() && only_b.ok());
  std::vector<TokenWindow> expected;
  size_t next[2] = {0, 0};
  for (const size_t part : DealWindows({{"a", 1.0}, {"b", 2.0}}, 6)) {
    expected.push_back((part == 0 ? *only_a : *only_b).windows[next[part]++]);
  }
  EXPECT_EQ(mixed->windows, expected);
  ASSERT_EQ(mixed->record.texts.size(), 2u);
  EXPECT_EQ(mixed->record.texts[1].name, "b.txt");
  EXPECT_EQ(mixed->record.texts[1].samples, 4);
  EXPECT_EQ(mixed->record.texts[1].share, 2.0);
  EXPECT_EQ(mixed->record.texts[0].hash, only_a->record.texts[0].hash);
  EXPECT_NE(mixed->record.texts[0].hash, mixed->record.texts[1].hash);
  EXPECT_EQ(artifact::Spelling(mixed->record), "a.txt:1,b.txt:2");
}

TEST_F(LoadCalibrationTest, ChatsAreRenderedOneBehindTheOther) {
  std::string lines;
  for (int i = 0; i < 9; ++i) {
    lines += R"({"messages": [{"role": "user", "content": "what is it"},)"
             R"( {"role": "assistant", "content": "it is the old man and the sea"}]})"
             "\n\n";
  }
  const auto chats = Load(Write("chats.jsonl", lines), 3);
  ASSERT_TRUE(chats.ok()) << chats.error().message;
  EXPECT_EQ(chats->windows.size(), 3u);
  // Lines of texts are one text, joined by blank lines.
  const std::string text = tests::TinyText(400);
  const std::string line = nlohmann::json{{"text", text}}.dump() + "\n";
  const auto joined = Load(Write("texts.jsonl", line + line), 3);
  const auto whole = Load(Write("whole.txt", text + "\n\n" + text), 3);
  ASSERT_TRUE(joined.ok() && whole.ok());
  EXPECT_EQ(joined->windows, whole->windows);
}

TEST_F(LoadCalibrationTest, RefusesInOneSentence) {
  const std::string text = Write("a.txt", tests::TinyText(2000));
  EXPECT_THAT(ErrorOf("nothing"), HasSubstr("no such data set and no such file; known names are"));
  EXPECT_THAT(ErrorOf(text + "," + Write("short.txt", "short")),
              HasSubstr("calibration text short.txt: expected more than 50 tokens, found"));
  EXPECT_THAT(ErrorOf(text + ":1000," + text + ":1"),
              HasSubstr("gets none of the 6 windows: expected more --samples"));
  EXPECT_THAT(ErrorOf(Write("c.jsonl", "{\"messages\": []}")),
              HasSubstr("line 1: field 'messages' is an array, expected an array of at least one"));
  EXPECT_THAT(ErrorOf(Write("d.jsonl", "{\"messages\": [{\"role\": \"user\"}]}")),
              HasSubstr("content"));
  EXPECT_THAT(ErrorOf(Write("e.jsonl",
                            "{\"text\": \"a\"}\n{\"messages\": [{\"role\": \"user\","
                            "\"content\": \"b\"}]}")),
              HasSubstr("line 2: expected chats or texts in all lines, found both"));
  EXPECT_THAT(ErrorOf(Write("f.jsonl", "[1]")), HasSubstr("line 1"));
}

}  // namespace
}  // namespace atom::pipeline
