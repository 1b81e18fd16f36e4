#include "atom/pipeline/calibration.h"

#include <gtest/gtest.h>

#include "tests/tiny_model.h"

namespace atom::pipeline {
namespace {

class CalibrationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    tests::WriteText(folder_ / "tokenizer.json", tests::TinyTokenizer().dump());
    tests::WriteText(folder_ / "tokenizer_config.json",
                     R"({"bos_token": "<s>", "add_bos_token": true})");
    Result<std::unique_ptr<tokenizer::Tokenizer>> tokenizer =
        tokenizer::Tokenizer::Load(folder_.path());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    tokenizer_ = std::move(tokenizer).value();
  }
  tests::TemporaryFolder folder_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
};

TEST_F(CalibrationTest, WindowsStartWherePythonsRandomSays) {
  const std::string text = tests::TinyText(5000);
  const io::Dataset dataset{.name = "tiny", .file = {}, .text = text, .documents = {}};
  const auto calibration =
      SampleCalibration(dataset, *tokenizer_, {.samples = 4, .sequence_length = 100, .seed = 0});
  ASSERT_TRUE(calibration.ok());
  const std::vector<int32_t> all = *tokenizer_->Encode(text, {.add_bos = true});
  ASSERT_EQ(all.front(), 1);
  // random.seed(0); [random.randint(0, n - 100 - 1) for _ in range(4)], n = 2 + len(text) tokens
  PythonRandom random(0);
  for (const TokenWindow& window : calibration->windows) {
    const int64_t start = random.RandInt(0, static_cast<int64_t>(all.size()) - 100 - 1);
    EXPECT_EQ(window, TokenWindow(all.begin() + start, all.begin() + start + 100));
  }
  EXPECT_EQ(calibration->record.texts.at(0).hash.size(), 32u);
}

TEST_F(CalibrationTest, ShortTextsAreRefusedInOneSentence) {
  const io::Dataset dataset{.name = "tiny", .file = {}, .text = "short", .documents = {}};
  const auto calibration = SampleCalibration(dataset, *tokenizer_, {.samples = 1});
  ASSERT_FALSE(calibration.ok());
  EXPECT_EQ(calibration.error().message,
            "calibration text tiny: expected more than 2048 tokens, found 7");
}

TEST_F(CalibrationTest, DocumentsShorterThanAWindowAreRejected) {
  const io::Dataset dataset{
      .name = "c4", .file = {}, .text = "", .documents = {"short", tests::TinyText(500), "tiny"}};
  const auto windows = SampleDocuments(dataset, *tokenizer_, 5, 200, 0);
  ASSERT_TRUE(windows.ok());
  EXPECT_EQ(windows->size(), 5u);
  for (const TokenWindow& window : *windows) EXPECT_EQ(window.size(), 200u);
  EXPECT_FALSE(SampleDocuments(dataset, *tokenizer_, 5, 2000, 0).ok());
}

}  // namespace
}  // namespace atom::pipeline
