// Logits and greedy text against an independent implementation (tests/golden/README.md).
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/io/json.h"
#include "atom/kernels/registry.h"
#include "atom/model/model_files.h"

#include "tests/golden_model.h"
#include "tests/sanitizers.h"

namespace atom::model {
namespace {

const std::filesystem::path kRoot = ATOM_SOURCE_DIR;

/// fp32 on both sides, sums in another order: what logits may differ by, relative to the largest.
constexpr double kTolerance = 2e-5;
/// A greedy choice whose margin is smaller may fall either way.
constexpr double kTie = 0.01;

class Model {
 public:
  /// `context`: most positions, of which RoPE scalings depend; 0: 512, or the model's.
  Model(const std::filesystem::path& dir, const std::string& backend_name, int64_t context = 0) {
    Result<ModelFiles> files = ModelFiles::Open(dir);
    EXPECT_TRUE(files.ok()) << (files.ok() ? "" : files.error().message);
    files_.emplace(std::move(files).value());
    backend_ = kernels::MakeBackend(backend_name, {.threads = 2}).value();
    const int64_t positions =
        context > 0 ? context : std::min<int64_t>(files_->spec.max_position_embeddings, 512);
    auto loaded =
        LoadTransformer(*files_, *backend_, {.limits = {.rows = 64, .positions = positions}});
    EXPECT_TRUE(loaded.ok()) << (loaded.ok() ? "" : loaded.error().message);
    transformer_ = std::move(loaded).value();
    cache_.emplace(transformer_->MakeKvCache(positions));
  }

  /// Logits [tokens][vocab] of tokens that stand at `start` and after.
  std::vector<float> Logits(const std::vector<int32_t>& tokens, int64_t start) {
    std::vector<float> all;
    const auto size = static_cast<int64_t>(tokens.size());
    for (int64_t first = 0; first < size; first += 64) {
      const int64_t rows = std::min<int64_t>(64, size - first);
      kernels::Batch batch = transformer_->OneSequence(
          std::vector<int32_t>(tokens.begin() + first, tokens.begin() + first + rows),
          start + first);
      for (int32_t row = 0; row < rows; ++row) batch.logit_rows.push_back(row);
      const kernels::DeviceTensor logits = transformer_->Forward(batch, *cache_);
      const size_t old = all.size();
      all.resize(old + static_cast<size_t>(logits.rows * logits.cols));
      backend_->Download(logits.data, std::as_writable_bytes(std::span(all).subspan(old)));
    }
    return all;
  }
  size_t vocab() const { return static_cast<size_t>(files_->spec.vocab_size); }

 private:
  std::optional<ModelFiles> files_;
  std::unique_ptr<kernels::Backend> backend_;
  std::unique_ptr<Transformer> transformer_;
  std::optional<KvCache> cache_;
};

io::Json ReadGolden(const std::filesystem::path& path) {
  Result<io::Json> json = io::ReadJsonFile(path);
  EXPECT_TRUE(json.ok()) << (json.ok() ? "" : json.error().message);
  return std::move(json).value();
}

class TinyGolden : public ::testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(TinyGolden, EveryLogitAgrees) {
  const auto [name, backend] = GetParam();
  const std::filesystem::path dir = kRoot / "tests/golden" / name;
  const io::Json golden = ReadGolden(dir / "golden.json");
  Model model(dir, backend);
  const auto expected = golden.at("logits").get<std::vector<std::vector<float>>>();
  const std::vector<float> logits =
      model.Logits(golden.at("tokens").get<std::vector<int32_t>>(), 0);
  ASSERT_EQ(logits.size(), expected.size() * model.vocab());
  for (size_t row = 0; row < expected.size(); ++row) {
    double largest = 0.0;
    for (const float value : expected[row]) largest = std::max(largest, std::fabs(double{value}));
    for (size_t i = 0; i < model.vocab(); ++i) {
      ASSERT_NEAR(logits[row * model.vocab() + i], expected[row][i], kTolerance * largest)
          << "position " << row << ", token " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, TinyGolden,
                         ::testing::Combine(::testing::Values("tiny-gqa", "tiny-bias",
                                                              "tiny-head-dim", "tiny-rope-linear",
                                                              "tiny-rope-llama3", "tiny-mistral"),
                                            ::testing::Values("cpu", "reference")));

class MarkedGolden : public ::testing::TestWithParam<std::tuple<std::string, const char*>> {
 protected:
  const std::filesystem::path fixture_ = kRoot / "tests/golden" / std::get<0>(GetParam());
  const tests::GoldenModel model_{fixture_};
  const std::filesystem::path dir_ = model_.dir();
  const char* backend_ = std::get<1>(GetParam());
  const io::Json golden_ = ReadGolden(fixture_ / "golden.json");
};

// Steps of 64 rows: every sequence but the shortest is a prompt in chunks here, and one forward
// pass on the other side.
TEST_P(MarkedGolden, LogitsAgreeAroundEveryThreshold) {
  for (const io::Json& sequence : golden_.at("sequences")) {
    const auto tokens = sequence.at("tokens").get<std::vector<int32_t>>();
    const auto rows = sequence.at("rows").get<std::vector<size_t>>();
    const auto expected = sequence.at("logits").get<std::vector<std::vector<float>>>();
    Model model(dir_, backend_, std::ssize(tokens));
    const std::vector<float> logits = model.Logits(tokens, 0);
    for (size_t i = 0; i < rows.size(); ++i) {
      double largest = 0.0;
      for (const float value : expected[i]) largest = std::max(largest, std::fabs(double{value}));
      for (size_t token = 0; token < model.vocab(); ++token) {
        ASSERT_NEAR(logits[rows[i] * model.vocab() + token], expected[i][token],
                    kTolerance * largest)
            << tokens.size() << " tokens, position " << rows[i] << ", token " << token;
      }
    }
  }
}

TEST_P(MarkedGolden, GreedyTextIsTheSame) {
  for (const io::Json& greedy : golden_.at("greedy")) {
    auto feed = greedy.at("prompt").get<std::vector<int32_t>>();
    const auto expected = greedy.at("tokens").get<std::vector<int32_t>>();
    ASSERT_EQ(expected.size(), 64u);
    int64_t position = 0;
    Model model(dir_, backend_, std::ssize(feed) + std::ssize(expected));
    for (size_t i = 0; i < expected.size(); ++i) {
      const std::vector<float> logits = model.Logits(feed, position);
      position += std::ssize(feed);
      const auto last = logits.end() - static_cast<int64_t>(model.vocab());
      const auto best = static_cast<int32_t>(std::max_element(last, logits.end()) - last);
      ASSERT_EQ(best, expected[i]) << "token " << i << " behind " << greedy.at("prompt").size();
      feed = {best};
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Fixtures, MarkedGolden,
    ::testing::Combine(::testing::Values("tiny-qwen2", "tiny-qwen2-window", "tiny-qwen2-yarn",
                                         "tiny-qwen3", "tiny-qwen3-window", "tiny-mistral-window",
                                         "tiny-rope-dynamic", "tiny-phi3", "tiny-phi3-long",
                                         "tiny-mixtral", "tiny-qwen3-moe", "tiny-gemma2",
                                         "tiny-gemma3", "tiny-gemma3-types", "tiny-opt",
                                         "tiny-opt-350m"),
                       ::testing::Values("cpu", "reference")));

// The narrow ones are of every kind, too.
INSTANTIATE_TEST_SUITE_P(
    Wide, MarkedGolden,
    ::testing::Combine(::testing::ValuesIn(tests::FewerIfSanitized(tests::kWideFixtures, 16)),
                       ::testing::Values("cpu", "reference")),
    [](const auto& which) {
      return tests::TestName(std::get<0>(which.param) + std::get<1>(which.param));
    });

/// How far the bits of today's numerics.md may be from those of the program that wrote version 1,
/// relative to the largest logit: codes of 4 bits that fall the other way.
constexpr double kSinceVersion1 = 0.05;

std::vector<float> Flat(const io::Json& lines) {
  std::vector<float> all;
  for (const auto& line : lines.get<std::vector<std::vector<float>>>()) {
    all.insert(all.end(), line.begin(), line.end());
  }
  return all;
}

// What format version 1 holds is read for ever. Its bits are those that numerics.md gives today,
// and stay near those that the program gave that wrote it (tests/golden/README.md).
TEST(ArtifactVersion1, IsReadAndGivesTheBitsOfTodaysNumerics) {
  const std::filesystem::path dir = kRoot / "tests/golden/artifact-v1";
  const io::Json golden = ReadGolden(dir / "golden.json");
  EXPECT_EQ(ReadGolden(dir / "config.json").at("quantization_config").at("format_version"), 1);
  const std::vector<float> expected = Flat(golden.at("logits"));
  const std::vector<float> written = Flat(golden.at("logits_when_written"));
  ASSERT_EQ(expected.size(), written.size());
  double largest = 0.0;
  for (const float value : written) largest = std::max(largest, std::fabs(double{value}));
  for (const char* backend : {"cpu", "reference"}) {
    Model model(dir, backend);
    const std::vector<float> logits =
        model.Logits(golden.at("tokens").get<std::vector<int32_t>>(), 0);
    EXPECT_EQ(logits, expected) << backend;
    ASSERT_EQ(logits.size(), written.size());
    for (size_t i = 0; i < written.size(); ++i) {
      ASSERT_NEAR(logits[i], written[i], kSinceVersion1 * largest) << backend << ", logit " << i;
    }
  }
}

class TrainedGolden : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    dir_ = kRoot / "models" / GetParam();
    if (std::string(GetParam()) == "books-17m") dir_ = kRoot / "../shared/models/books-17m";
    if (!std::filesystem::exists(dir_)) GTEST_SKIP() << "no model at " << dir_;
    golden_ = ReadGolden(kRoot / "tests/golden" / (std::string(GetParam()) + ".json"));
  }
  std::filesystem::path dir_;
  io::Json golden_;
};

TEST_P(TrainedGolden, LogitsAgree) {
  const auto watched = golden_.at("watched_ids").get<std::vector<size_t>>();
  for (const io::Json& sequence : golden_.at("sequences")) {
    Model model(dir_, "cpu");
    const std::vector<float> logits =
        model.Logits(sequence.at("tokens").get<std::vector<int32_t>>(), 0);
    const auto top_ids = sequence.at("top_ids").get<std::vector<std::vector<size_t>>>();
    const auto top_logits = sequence.at("top_logits").get<std::vector<std::vector<float>>>();
    const auto watched_logits =
        sequence.at("watched_logits").get<std::vector<std::vector<float>>>();
    double worst = 0.0;
    for (size_t row = 0; row < top_ids.size(); ++row) {
      const float* line = logits.data() + row * model.vocab();
      for (size_t i = 0; i < top_ids[row].size(); ++i) {
        worst = std::max(worst, std::fabs(double{line[top_ids[row][i]]} - top_logits[row][i]));
      }
      for (size_t i = 0; i < watched.size(); ++i) {
        worst = std::max(worst, std::fabs(double{line[watched[i]]} - watched_logits[row][i]));
      }
    }
    RecordProperty("largest_difference", std::to_string(worst));
    EXPECT_LT(worst, 1e-3) << sequence.at("name");  // of logits of about 20
  }
}

TEST_P(TrainedGolden, GreedyTextIsTheSame) {
  for (const io::Json& greedy : golden_.at("greedy")) {
    Model model(dir_, "cpu");
    const auto prompt = greedy.at("prompt").get<std::vector<int32_t>>();
    const auto expected = greedy.at("tokens").get<std::vector<int32_t>>();
    const auto margins = greedy.at("margins").get<std::vector<double>>();
    std::vector<int32_t> feed = prompt;
    int64_t position = 0;
    for (size_t i = 0; i < expected.size() && margins[i] >= kTie; ++i) {
      const std::vector<float> logits = model.Logits(feed, position);
      position += static_cast<int64_t>(feed.size());
      const auto last = logits.end() - static_cast<int64_t>(model.vocab());
      const auto best = static_cast<int32_t>(std::max_element(last, logits.end()) - last);
      ASSERT_EQ(best, expected[i]) << "token " << i;
      feed = {best};
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, TrainedGolden,
                         ::testing::Values("atom-demo", "stories260k", "books-17m"));

}  // namespace
}  // namespace atom::model
