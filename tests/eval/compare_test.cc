// Two models side by side against logits computed apart, and errors layer by layer against what
// must come out.
#include <cmath>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "atom/eval/compare_page.h"
#include "atom/eval/compare_report.h"
#include "atom/kernels/registry.h"

#include "tests/tiny_model.h"

namespace atom::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kWindow = 90;

class CompareTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const uint64_t seed : {7, 8}) {
      const std::filesystem::path path = folder_ / fmt::format("model{}", seed);
      std::filesystem::create_directory(path);
      tests::WriteTinyModel({.seed = seed}, path);
      files_.push_back(model::ModelFiles::Open(path).value());
    }
    tokenizer_ = tokenizer::Tokenizer::Load(folder_ / "model7").value();
    backend_ = kernels::MakeBackend("cpu", {.threads = 2}).value();
    const io::Dataset dataset{
        .name = "tiny", .file = {}, .text = tests::TinyText(300), .documents = {}};
    text_ = CutWindows(dataset, *tokenizer_, kWindow, 3).value();
  }

  std::unique_ptr<model::Transformer> Load(size_t model, int64_t rows) {
    return model::LoadTransformer(files_[model], *backend_,
                                  {.limits = {.rows = rows, .positions = kWindow}})
        .value();
  }

  /// log softmax of all positions' logits, by one forward pass.
  std::vector<std::vector<double>> LogProbs(size_t model, const std::vector<int32_t>& window) {
    const auto transformer = Load(model, kWindow);
    model::KvCache cache = transformer->MakeKvCache(kWindow);
    kernels::Batch batch = transformer->OneSequence(window, 0);
    for (int32_t row = 0; row < kWindow; ++row) batch.logit_rows.push_back(row);
    const kernels::DeviceTensor device = transformer->Forward(batch, cache);
    std::vector<float> logits(static_cast<size_t>(device.rows * device.cols));
    backend_->Download(device.data, std::as_writable_bytes(std::span(logits)));
    std::vector<std::vector<double>> logs;
    for (int64_t row = 0; row < device.rows; ++row) {
      const auto z = std::span(logits).subspan(static_cast<size_t>(row * device.cols),
                                               static_cast<size_t>(device.cols));
      double total = 0.0;
      for (const float value : z) total += std::exp(double{value});
      std::vector<double>& out = logs.emplace_back();
      for (const float value : z) out.push_back(double{value} - std::log(total));
    }
    return logs;
  }

  tests::TemporaryFolder folder_;
  std::vector<model::ModelFiles> files_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  std::unique_ptr<kernels::Backend> backend_;
  EvalText text_;
};

TEST_F(CompareTest, AgreesWithLogitsComputedApart) {
  ThreadPool threads(2);
  const auto a = Load(0, 17);  // steps of 17 rows, 5 behind the last whole one
  const auto b = Load(1, 64);
  model::Transformer* const transformers[] = {a.get(), b.get()};
  const TextComparison found = CompareOnText(transformers, text_, threads, nullptr).value();
  ASSERT_EQ(found.windows, 3);
  for (size_t w = 0; w < 3; ++w) {
    const std::vector<int32_t>& window = text_.windows[w];
    const auto p = LogProbs(0, window);
    const auto q = LogProbs(1, window);
    double loss = 0.0;
    double kl = 0.0;
    int agree = 0;
    for (size_t row = 0; row + 1 < window.size(); ++row) {
      loss -= q[row][static_cast<size_t>(window[row + 1])];
      for (size_t i = 0; i < p[row].size(); ++i)
        kl += std::exp(p[row][i]) * (p[row][i] - q[row][i]);
      agree += std::ranges::max_element(p[row]) - p[row].begin() ==
                       std::ranges::max_element(q[row]) - q[row].begin()
                   ? 1
                   : 0;
    }
    const auto predictions = static_cast<double>(window.size() - 1);
    EXPECT_NEAR(found.models[1].losses[w], loss / predictions, 1e-6);
    EXPECT_NEAR(found.models[1].kl[w], kl / predictions, 1e-5);
    EXPECT_DOUBLE_EQ(found.models[1].agreement[w], agree / predictions);
  }
  // The baseline is what MeasurePerplexity gives, and nothing beside itself.
  EXPECT_NEAR(Judge(found, 0).perplexity, MeasurePerplexity(*a, text_, nullptr)->perplexity, 1e-4);
  EXPECT_EQ(Judge(found, 0).delta.mean, 0.0);
  EXPECT_EQ(Judge(found, 0).top1, 1.0);
  EXPECT_GT(Judge(found, 1).tokens_per_second, 0.0);
}

TEST_F(CompareTest, AModelBesideItselfLosesNothing) {
  ThreadPool threads(1);
  const auto a = Load(0, 64);
  const auto b = Load(0, 64);
  model::Transformer* const transformers[] = {a.get(), b.get()};
  const TextComparison found = CompareOnText(transformers, text_, threads, nullptr).value();
  EXPECT_EQ(found.models[0].losses, found.models[1].losses);
  EXPECT_EQ(Judge(found, 1).kl.mean, 0.0);
  EXPECT_EQ(Judge(found, 1).top1, 1.0);
}

TEST(Verdict, NamesTheWindowThatLosesMost) {
  const TextComparison text{.dataset = "t",
                            .tokens = 40,
                            .window = 10,
                            .windows = 3,
                            .models = {{{1.0, 2.0, 3.0}, {0, 0, 0}, {1, 1, 1}, 1.0},
                                       {{1.5, 1.0, 3.9}, {0.1, 0.2, 0.6}, {1, 0.5, 0}, 2.0}}};
  const Verdict verdict = Judge(text, 1);
  EXPECT_EQ(verdict.worst_window, 2);
  EXPECT_NEAR(verdict.worst_delta, 0.9, 1e-12);
  EXPECT_NEAR(verdict.delta.mean, 0.4 / 3.0, 1e-12);
  EXPECT_NEAR(verdict.kl.mean, 0.3, 1e-12);
  EXPECT_NEAR(verdict.top1, 0.5, 1e-12);
  EXPECT_NEAR(verdict.perplexity, std::exp(6.4 / 3.0), 1e-12);
  EXPECT_NEAR(verdict.tokens_per_second, 15.0, 1e-12);
}

TEST(RelativeError, IsOfEachTokensOwnNorm) {
  // Tokens of norms 1 and 100: errors of 10 % and of 0; the zero row counts for nothing.
  EXPECT_NEAR(RelativeError(std::vector<float>{1, 0, 0, 100, 0, 0},
                            std::vector<float>{1, 0.1f, 0, 100, 5, 5}, 2),
              std::sqrt(0.01 / 2.0), 1e-6);
}

TEST_F(CompareTest, LayerErrorsAreZeroForTheSameModelAndGrowWithNoise) {
  const std::vector<const model::ModelFiles*> models = {&files_[0], &files_[0], &files_[1]};
  const auto errors = MeasureLayerErrors(models, {}, *backend_, text_.windows[0], nullptr);
  ASSERT_TRUE(errors.ok()) << errors.error().message;
  ASSERT_EQ(errors->size(), 2u);
  for (const LayerError& layer : (*errors)[0]) {
    EXPECT_EQ(layer.after_attention, 0.0);
    EXPECT_EQ(layer.after_ffn, 0.0);
    ASSERT_EQ(layer.sites.size(), 4u);
    for (const auto& [name, value] : layer.sites) EXPECT_EQ(value, 0.0) << name;
  }
  // Weights in bf16 instead: a little everywhere, nothing like another model.
  const auto rounded = MeasureLayerErrors(std::vector<const model::ModelFiles*>{&files_[0]}, {},
                                          *backend_, text_.windows[0], nullptr);
  ASSERT_TRUE(rounded.ok());
  EXPECT_TRUE(rounded->empty());
  for (const LayerError& layer : (*errors)[1]) {
    EXPECT_GT(layer.after_ffn, 0.5);
    EXPECT_EQ(layer.sites[0].first, "qkv");
    EXPECT_EQ(layer.sites[3].first, "down");
    EXPECT_GT(layer.sites[3].second, 0.5);
  }
}

CompareReport Report() {
  CompareReport report;
  report.models = {{"base", "", false, 1 << 20, 16.0, 32},
                   {"four <bits>", "atom-w4a4", true, 1 << 19, 4.5, 4}};
  report.texts.push_back({.dataset = "wiki",
                          .tokens = 100,
                          .window = 10,
                          .windows = 2,
                          .models = {{{1.0, 2.0}, {0, 0}, {1, 1}, 1.0},
                                     {{1.25, 1.5}, {0.5, 0.25}, {0.5, 0.75}, 2.0}}});
  report.layers = {{{0.125, 0.25, {{"qkv", 0.0625}, {"down", 0.5}}},
                    {0.25, 0.375, {{"qkv", 0.75}, {"down", 0.125}}}}};
  report.logit_bytes = 42;
  return report;
}

TEST(CompareReport, HasEveryNumberInTheJson) {
  const nlohmann::json json = ToJson(Report()).at("compare");
  EXPECT_TRUE(json.at("models")[0].at("recipe").is_null());
  EXPECT_EQ(json.at("models")[1].at("bits_per_weight"), 4.5);
  EXPECT_EQ(json.at("models")[1].at("bytes"), 1 << 19);
  EXPECT_EQ(json.at("models")[1].at("simulated"), true);
  const nlohmann::json model = json.at("texts")[0].at("models")[1];
  EXPECT_EQ(model.at("name"), "four <bits>");
  EXPECT_EQ(model.at("delta"), -0.125);
  EXPECT_EQ(model.at("delta_stderr"), 0.375);
  EXPECT_EQ(model.at("kl"), 0.375);
  EXPECT_EQ(model.at("top1"), 0.625);
  EXPECT_EQ(model.at("worst_window").at("index"), 0);
  EXPECT_EQ(model.at("worst_window").at("delta"), 0.25);
  EXPECT_EQ(model.at("window_losses")[1], 1.5);
  EXPECT_EQ(json.at("layer_errors")[0].at("layers")[1].at("sites").at("qkv"), 0.75);
  EXPECT_EQ(json.at("logit_bytes"), 42);
}

TEST(CompareReport, PrintsTables) {
  const std::string table = TextTable(Report(), 0);
  EXPECT_THAT(table, HasSubstr("wiki: 2 windows of 10 tokens"));
  EXPECT_THAT(table, HasSubstr("-0.1250 +- 0.3750"));
  EXPECT_THAT(table, HasSubstr("+0.2500 (#1)"));
  EXPECT_THAT(LayerTable(Report()), HasSubstr("qkv 0.7500 (layer 2), down 0.5000 (layer 1)"));
}

TEST(ComparePage, StandsAlone) {
  const std::string page = ComparePage(Report());
  EXPECT_THAT(page, HasSubstr("four &lt;bits&gt;"));
  EXPECT_THAT(page, Not(HasSubstr("four <bits>")));
  EXPECT_THAT(page, HasSubstr("-0.1250 ± 0.3750"));
  EXPECT_THAT(page, HasSubstr("<td>atom-w4a4, simulated</td>"));
  EXPECT_THAT(page, HasSubstr("prefers-color-scheme: dark"));
  for (const char* outside : {"<script", "src=", "href=", "@import", "url("}) {
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  }
  size_t charts = 0;
  for (size_t at = page.find("<svg "); at != std::string::npos; at = page.find("<svg ", at + 1)) {
    ++charts;
  }
  EXPECT_EQ(charts, 4u);  // in short, one a text, the stream, the sites of a model
}

}  // namespace
}  // namespace atom::eval
