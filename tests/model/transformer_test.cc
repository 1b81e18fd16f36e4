// The forward pass: chunks, batches and threads change nothing, to the last bit.
#include "atom/model/transformer.h"

#include <gtest/gtest.h>

#include "atom/kernels/registry.h"
#include "atom/model/model_files.h"

#include "tests/family_model.h"

namespace atom::model {
namespace {

/// A backend, and the family of the model.
class TransformerTest : public ::testing::TestWithParam<std::tuple<const char*, std::string>> {
 protected:
  void SetUp() override {
    const std::string& family = std::get<1>(GetParam());
    if (family == "llama")
      tests::WriteTinyModel({}, folder_.path());
    else
      tests::WriteFamilyModel(tests::FamilyConfig(family), folder_.path());
    Result<ModelFiles> files = ModelFiles::Open(folder_.path());
    ASSERT_TRUE(files.ok()) << files.error().message;
    files_.emplace(std::move(files).value());
  }

  struct Loaded {
    std::unique_ptr<kernels::Backend> backend;
    std::unique_ptr<Transformer> transformer;
  };
  Loaded Load(int threads) {
    Loaded loaded;
    loaded.backend = kernels::MakeBackend(std::get<0>(GetParam()), {.threads = threads}).value();
    loaded.transformer =
        LoadTransformer(*files_, *loaded.backend, {.limits = {.rows = 64, .positions = 100}})
            .value();
    return loaded;
  }

  static std::vector<int32_t> Tokens(int64_t count, uint64_t seed) {
    Rng random(seed);
    std::vector<int32_t> tokens = {1};
    while (static_cast<int64_t>(tokens.size()) < count) {
      tokens.push_back(static_cast<int32_t>(3 + random.Below(256)));
    }
    return tokens;
  }

  /// Logits of every position of one sequence, fed in steps of `chunk` tokens.
  static std::vector<float> Logits(Loaded& loaded, const std::vector<int32_t>& tokens,
                                   int64_t chunk) {
    KvCache cache = loaded.transformer->MakeKvCache(100);
    std::vector<float> all;
    const auto size = static_cast<int64_t>(tokens.size());
    for (int64_t start = 0; start < size; start += chunk) {
      const int64_t rows = std::min(chunk, size - start);
      kernels::Batch batch = loaded.transformer->OneSequence(
          std::vector<int32_t>(tokens.begin() + start, tokens.begin() + start + rows), start);
      for (int64_t row = 0; row < rows; ++row)
        batch.logit_rows.push_back(static_cast<int32_t>(row));
      Append(loaded, loaded.transformer->Forward(batch, cache), all);
    }
    return all;
  }

  static void Append(Loaded& loaded, const kernels::DeviceTensor& logits, std::vector<float>& all) {
    const size_t old = all.size();
    all.resize(old + static_cast<size_t>(logits.rows * logits.cols));
    loaded.backend->Download(logits.data, std::as_writable_bytes(std::span(all).subspan(old)));
  }

  tests::TemporaryFolder folder_;
  std::optional<ModelFiles> files_;
};

TEST_P(TransformerTest, ChunksChangeNothing) {
  Loaded loaded = Load(2);
  const std::vector<int32_t> tokens = Tokens(60, 1);
  const std::vector<float> whole = Logits(loaded, tokens, 60);
  for (const int64_t chunk : {1, 7, 16, 59}) {
    EXPECT_EQ(Logits(loaded, tokens, chunk), whole) << "chunks of " << chunk;
  }
}

TEST_P(TransformerTest, ThreadsChangeNothing) {
  const std::vector<int32_t> tokens = Tokens(60, 2);
  Loaded one = Load(1);
  const std::vector<float> expected = Logits(one, tokens, 60);
  for (const int threads : {2, 3}) {
    Loaded more = Load(threads);
    EXPECT_EQ(Logits(more, tokens, 60), expected) << threads << " threads";
  }
}

TEST_P(TransformerTest, NeighboursInTheBatchChangeNothing) {
  Loaded loaded = Load(2);
  const std::vector<int32_t> a = Tokens(20, 3);
  const std::vector<int32_t> b = Tokens(33, 4);
  std::vector<float> expected = Logits(loaded, a, 20);
  const std::vector<float> of_b = Logits(loaded, b, 33);
  expected.insert(expected.end(), of_b.begin(), of_b.end());

  KvCache cache = loaded.transformer->MakeKvCache(100);
  kernels::Batch batch;
  batch.pages = {5, 0, 2, 4, 1};  // in no order; a needs two, b three
  batch.page_starts = {0, 2, 5};
  batch.query_starts = {0};
  int32_t sequence = 0;
  for (const std::vector<int32_t>& tokens : {a, b}) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const auto position = static_cast<int32_t>(i);
      const int32_t page = batch.PagesOf(sequence)[static_cast<size_t>(position / 16)];
      batch.tokens.push_back(tokens[i]);
      batch.positions.push_back(position);
      batch.kv_slots.push_back(page * 16 + position % 16);
      batch.logit_rows.push_back(static_cast<int32_t>(batch.tokens.size()) - 1);
    }
    batch.query_starts.push_back(static_cast<int32_t>(batch.tokens.size()));
    batch.kv_lengths.push_back(static_cast<int32_t>(tokens.size()));
    ++sequence;
  }
  std::vector<float> together;
  Append(loaded, loaded.transformer->Forward(batch, cache), together);
  EXPECT_EQ(together, expected);
}

INSTANTIATE_TEST_SUITE_P(Backends, TransformerTest,
                         ::testing::Combine(::testing::Values("cpu", "reference"),
                                            ::testing::Values("llama", "gemma2", "gemma3", "opt",
                                                              "opt350m")),
                         [](const auto& which) {
                           return std::string(std::get<0>(which.param)) + "_" +
                                  std::get<1>(which.param);
                         });

}  // namespace
}  // namespace atom::model
