#include "atom/eval/perplexity.h"

#include <cmath>
#include <gtest/gtest.h>

#include "atom/eval/compare_text.h"
#include "atom/kernels/registry.h"
#include "atom/model/model_files.h"

#include "tests/tiny_model.h"

namespace atom::eval {
namespace {

class PerplexityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    tests::WriteTinyModel({}, folder_.path());
    files_.emplace(model::ModelFiles::Open(folder_.path()).value());
    tokenizer_ = tokenizer::Tokenizer::Load(folder_.path()).value();
    backend_ = kernels::MakeBackend("cpu", {.threads = 2}).value();
    dataset_ = {.name = "tiny", .file = {}, .text = tests::TinyText(700), .documents = {}};
  }
  std::unique_ptr<model::Transformer> Load(int64_t rows) {
    return model::LoadTransformer(*files_, *backend_, {.limits = {.rows = rows, .positions = 100}})
        .value();
  }
  tests::TemporaryFolder folder_;
  std::optional<model::ModelFiles> files_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  std::unique_ptr<kernels::Backend> backend_;
  io::Dataset dataset_;
};

TEST_F(PerplexityTest, CutsWholeWindowsWithOneBos) {
  const auto text = CutWindows(dataset_, *tokenizer_, 100, 0);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text->tokens, static_cast<int64_t>(dataset_.text.size()) + 2);  // BOS and one "▁"
  EXPECT_EQ(static_cast<int64_t>(text->windows.size()), text->tokens / 100);
  EXPECT_EQ(text->windows[0][0], 1);
  EXPECT_NE(text->windows[1][0], 1);
  EXPECT_EQ(CutWindows(dataset_, *tokenizer_, 100, 2)->windows.size(), 2u);
  EXPECT_FALSE(CutWindows(dataset_, *tokenizer_, 2000, 0).ok());
}

TEST_F(PerplexityTest, IsTheMeanLossOfTheLogits) {
  const auto text = CutWindows(dataset_, *tokenizer_, 90, 2);
  const auto transformer = Load(90);
  const PerplexityResult result = MeasurePerplexity(*transformer, *text, nullptr).value();
  double sum = 0.0;
  for (const std::vector<int32_t>& window : text->windows) {
    model::KvCache cache = transformer->MakeKvCache(90);
    kernels::Batch batch = transformer->OneSequence(window, 0);
    for (int32_t row = 0; row < 90; ++row) batch.logit_rows.push_back(row);
    const kernels::DeviceTensor device = transformer->Forward(batch, cache);
    std::vector<float> logits(static_cast<size_t>(device.rows * device.cols));
    backend_->Download(device.data, std::as_writable_bytes(std::span(logits)));
    double window_sum = 0.0;
    for (size_t row = 0; row + 1 < window.size(); ++row) {
      const float* z = logits.data() + row * static_cast<size_t>(device.cols);
      double total = 0.0;
      for (int64_t i = 0; i < device.cols; ++i) total += std::exp(static_cast<double>(z[i]));
      window_sum += std::log(total) - z[window[row + 1]];
    }
    sum += window_sum / 89.0;
  }
  EXPECT_NEAR(result.perplexity / std::exp(sum / 2.0), 1.0, 1e-6);
}

TEST_F(PerplexityTest, HasTheStandardErrorOfTheMeanLoss) {
  const auto text = CutWindows(dataset_, *tokenizer_, 90, 3);
  const PerplexityResult result = MeasurePerplexity(*Load(90), *text, nullptr).value();
  ASSERT_EQ(result.window_losses.size(), 3u);
  EXPECT_DOUBLE_EQ(result.perplexity, std::exp(result.loss->mean));
  EXPECT_EQ(result.loss->standard_error, MeanOf(result.window_losses).standard_error);
  EXPECT_TRUE(ToJson(result).at("loss_stderr").is_number());
}

// Hugging Face's loop, in its own words: begin_loc, end_loc, trg_len, -100 in front of the targets.
TEST_F(PerplexityTest, StridedWindowsCountNewTokensOnly) {
  const auto transformer = Load(90);
  const std::vector<int32_t> tokens =
      *tokenizer_->Encode(dataset_.text, {.add_bos = true, .parse_special = true});
  const auto size = static_cast<int64_t>(tokens.size());
  for (const int64_t stride : {30, 45, 90}) {
    const auto text = CutStridedWindows(dataset_, *tokenizer_, 90, stride, 0);
    ASSERT_TRUE(text.ok());
    double nll_sum = 0.0;
    double n_tokens = 0.0;
    int64_t prev_end = 0;
    for (int64_t begin = 0; begin < size; begin += stride) {
      const int64_t end = std::min(begin + 90, size);
      const int64_t trg_len = end - prev_end;
      model::KvCache cache = transformer->MakeKvCache(90);
      kernels::Batch batch = transformer->OneSequence(
          std::vector<int32_t>(tokens.begin() + begin, tokens.begin() + end), 0);
      for (int32_t row = 0; row < end - begin; ++row) batch.logit_rows.push_back(row);
      const kernels::DeviceTensor device = transformer->Forward(batch, cache);
      std::vector<float> logits(static_cast<size_t>(device.rows * device.cols));
      backend_->Download(device.data, std::as_writable_bytes(std::span(logits)));
      double loss = 0.0;
      int64_t counted = 0;
      for (int64_t label = 1; label < end - begin; ++label) {  // the shift drops label 0
        if (label < end - begin - trg_len) continue;
        const float* z = logits.data() + (label - 1) * device.cols;
        double total = 0.0;
        for (int64_t i = 0; i < device.cols; ++i) total += std::exp(static_cast<double>(z[i]));
        loss += std::log(total) - z[tokens[static_cast<size_t>(begin + label)]];
        ++counted;
      }
      if (counted > 0 && trg_len > 1) {
        nll_sum += loss / static_cast<double>(counted) * static_cast<double>(trg_len - 1);
        n_tokens += static_cast<double>(trg_len - 1);
      }
      prev_end = end;
      if (end == size) break;
    }
    const PerplexityResult result = MeasurePerplexity(*transformer, *text, nullptr).value();
    EXPECT_NEAR(result.perplexity / std::exp(nll_sum / n_tokens), 1.0, 1e-6) << stride;
    EXPECT_FALSE(result.loss);
    EXPECT_FALSE(ToJson(result).contains("loss_stderr"));
  }
  EXPECT_FALSE(CutStridedWindows(dataset_, *tokenizer_, 90, 0, 0).ok());
  EXPECT_FALSE(CutStridedWindows(dataset_, *tokenizer_, 90, 91, 0).ok());
  EXPECT_EQ(CutStridedWindows(dataset_, *tokenizer_, 90, 45, 2)->windows.size(), 2u);
  const io::Dataset documents{.name = "d", .file = {}, .text = "", .documents = {"a", "b"}};
  EXPECT_FALSE(CutStridedWindows(documents, *tokenizer_, 90, 45, 0).ok());
}

/// The error, or what was measured all the same.
template <class T>
std::string ErrorOf(const Result<T>& result) {
  return result.ok() ? "no error" : result.error().message;
}

TEST(Overflow, NamesTheLayerWhateverTheSteps) {
  const tests::TemporaryFolder folder;
  tests::WriteTinyModel({.layers = 3, .overflow_layer = 1}, folder.path());
  const auto files = model::ModelFiles::Open(folder.path()).value();
  const auto tokenizer = tokenizer::Tokenizer::Load(folder.path()).value();
  const auto backend = kernels::MakeBackend("cpu", {.threads = 2}).value();
  const io::Dataset dataset = {
      .name = "tiny", .file = {}, .text = tests::TinyText(300), .documents = {}};
  const auto text = CutWindows(dataset, *tokenizer, 90, 2);
  ThreadPool threads(1);
  for (const int64_t rows : {90, 17}) {
    const auto transformer =
        model::LoadTransformer(files, *backend, {.limits = {.rows = rows, .positions = 100}})
            .value();
    const std::string sentence =
        "layer 1: its output is not finite, expected activations that fp32 holds";
    EXPECT_EQ(ErrorOf(MeasurePerplexity(*transformer, *text, nullptr)), "text tiny: " + sentence);
    model::Transformer* const transformers[] = {transformer.get(), transformer.get()};
    EXPECT_EQ(ErrorOf(CompareOnText(transformers, *text, threads, nullptr)),
              "text tiny: model 1: " + sentence);
  }
}

TEST_F(PerplexityTest, StepsChangeNothing) {
  const auto text = CutWindows(dataset_, *tokenizer_, 90, 2);
  const double whole = MeasurePerplexity(*Load(90), *text, nullptr)->perplexity;
  EXPECT_EQ(MeasurePerplexity(*Load(17), *text, nullptr)->perplexity, whole);
}

}  // namespace
}  // namespace atom::eval
