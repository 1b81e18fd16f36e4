// Both ends of the model on every backend: Embed, GatherLogitRows, Softcap, NegativeLogLikelihood,
// Sample, TokenLogProbs.
#include <cmath>

#include "atom/kernels/step_results.h"

#include "device_under_test.h"

namespace atom::kernels {
namespace {

class LogitsTest : public testing::TestWithParam<BackendCase> {};

Batch BatchOf(std::vector<int32_t> tokens) { return SingleSequence(std::move(tokens), 0, 16); }

std::vector<double> Losses(Device& device, const DeviceTensor& logits,
                           const std::vector<int32_t>& targets) {
  StepResults results(*device.operator->(), logits.rows);
  device->NegativeLogLikelihood(logits, targets, results.losses());
  results.FetchLosses(logits.rows);
  device->Sync();
  return {results.host_losses().begin(), results.host_losses().end()};
}

/// One SampleRow for each row.
std::vector<int32_t> Sampled(Device& device, const DeviceTensor& logits,
                             const std::vector<SamplingParams>& params,
                             const std::vector<double>& uniforms) {
  StepResults results(*device.operator->(), logits.rows);
  std::vector<SampleRow> rows;
  for (size_t i = 0; i < params.size(); ++i) {
    rows.push_back({.row = static_cast<int64_t>(i), .params = params[i], .uniform = uniforms[i]});
  }
  device->Sample(logits, rows, results.tokens());
  results.FetchTokens(logits.rows);
  device->Sync();
  return {results.host_tokens().begin(), results.host_tokens().end()};
}

template <class T, class Narrow>
void CheckEmbed(Device& device, DType dtype, int64_t columns, Narrow narrow) {
  constexpr int64_t kVocabulary = 50;
  Rng rng(static_cast<uint64_t>(columns));
  std::vector<T> table;
  for (const float value : RandomNormal(rng, kVocabulary * columns)) table.push_back(narrow(value));
  const DeviceBuffer on_device = device.Put(table);
  const Batch batch = BatchOf({49, 0, 7, 7, 31});
  Canvas out(device, batch.rows(), columns);
  device->BeginStep(batch);
  device->Embed({.table = &on_device, .dtype = dtype}, out.Tensor());
  const std::vector<float> values = out.Values();
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t row = i / static_cast<size_t>(columns);
    const size_t column = i % static_cast<size_t>(columns);
    const auto token = static_cast<size_t>(batch.tokens[row]);
    ASSERT_EQ(values[i], ToFloat(table[token * static_cast<size_t>(columns) + column])) << i;
  }
}

TEST_P(LogitsTest, EmbedWidensTheRowsOfItsTokens) {
  Device device(GetParam());
  for (const int64_t columns : {1, 7, 48, 130}) {
    CheckEmbed<float>(device, DType::kF32, columns, [](float x) { return x; });
    CheckEmbed<Half>(device, DType::kF16, columns, ToHalf);
    CheckEmbed<BFloat16>(device, DType::kBF16, columns, ToBFloat16);
  }
}

TEST_P(LogitsTest, EmbedScalesAndAddsLearnedPositions) {
  Device device(GetParam());
  for (const int64_t columns : {1, 7, 48, 130}) {
    Rng rng(5);
    const std::vector<float> table = RandomNormal(rng, 20 * columns);
    const std::vector<float> positions = RandomNormal(rng, 9 * columns);
    const DeviceBuffer table_buffer = device.Put(table), position_buffer = device.Put(positions);
    const Batch batch = SingleSequence({19, 3, 3}, 4, 16);
    Canvas out(device, 3, columns);
    device->BeginStep(batch);
    device->Embed({.table = &table_buffer,
                   .scale = 1.7f,
                   .positions = &position_buffer,
                   .position_offset = 2},
                  out.Tensor());
    const std::vector<float> values = out.Values();
    for (size_t i = 0; i < values.size(); ++i) {
      const auto width = static_cast<size_t>(columns);
      const size_t row = i / width, column = i % width;
      const float token = table[static_cast<size_t>(batch.tokens[row]) * width + column] * 1.7f;
      ASSERT_EQ(values[i], token + positions[(row + 4 + 2) * width + column]) << i;
    }
  }
}

TEST_P(LogitsTest, SoftcapIsCapTimesTanh) {
  Device device(GetParam());
  Device reference(BackendCase{"reference", ""});
  Rng rng(6);
  for (const int64_t columns : {1, 17, 300}) {
    std::vector<float> x = RandomNormal(rng, 3 * columns, 40.0);
    x[0] = 1e-6f;
    Canvas on_device(device, 3, columns, x), on_reference(reference, 3, columns, x);
    device->Softcap(on_device.Tensor(), 30.0f);
    device->Sync();
    reference->Softcap(on_reference.Tensor(), 30.0f);
    const std::vector<float> values = on_device.Values();
    for (size_t i = 0; i < values.size(); ++i) {
      const double exact = 30.0 * std::tanh(double{x[i]} / 30.0);
      // a quotient (whose relative error tanh does not enlarge), tanh within 4u, a product
      ASSERT_NEAR(double{values[i]}, exact, 6.5 * kUnitRoundoff * std::abs(exact)) << x[i];
    }
    if (!SharesEveryRounding(GetParam())) continue;
    EXPECT_TRUE(SameBits(values, on_reference.Values()));
  }
}

TEST_P(LogitsTest, GatherTakesTheWantedRows) {
  Device device(GetParam());
  Rng rng(3);
  for (const int64_t columns : {1, 33, 128}) {
    const std::vector<float> x = RandomNormal(rng, 9 * columns);
    Canvas in(device, 9, columns, x);
    for (const std::vector<int32_t>& rows :
         {std::vector<int32_t>{}, {0}, {8}, {0, 3, 4, 8}, {0, 1, 2, 3, 4, 5, 6, 7, 8}}) {
      Batch batch = BatchOf(std::vector<int32_t>(9, 1));
      batch.logit_rows = rows;
      Canvas out(device, static_cast<int64_t>(rows.size()), columns);
      device->BeginStep(batch);
      device->GatherLogitRows(in.Tensor(), out.Tensor());
      const std::vector<float> values = out.Values();
      for (size_t i = 0; i < values.size(); ++i) {
        const auto row = static_cast<size_t>(rows[i / static_cast<size_t>(columns)]);
        ASSERT_EQ(values[i],
                  x[row * static_cast<size_t>(columns) + i % static_cast<size_t>(columns)]);
      }
    }
  }
}

TEST_P(LogitsTest, NegativeLogLikelihoodMatchesTheFormula) {
  Device device(GetParam());
  Rng rng(5);
  for (const int64_t vocabulary : {1, 7, 130, 4096}) {
    for (const double sigma : {0.1, 3.0, 30.0}) {
      constexpr int64_t kRows = 6;
      const std::vector<float> z = RandomNormal(rng, kRows * vocabulary, sigma);
      std::vector<int32_t> targets;
      for (int64_t i = 0; i < kRows; ++i) {
        targets.push_back(static_cast<int32_t>(rng.Below(vocabulary)));
      }
      Canvas logits(device, kRows, vocabulary, z);
      const std::vector<double> actual = Losses(device, logits.Tensor(), targets);
      for (int64_t row = 0; row < kRows; ++row) {
        const float* first = z.data() + row * vocabulary;
        const long double max = *std::max_element(first, first + vocabulary);
        long double sum = 0.0L;
        for (int64_t i = 0; i < vocabulary; ++i)
          sum += std::exp(static_cast<long double>(first[i]) - max);
        const long double below =
            static_cast<long double>(first[targets[static_cast<size_t>(row)]]) - max;
        const long double range =
            max - static_cast<long double>(*std::min_element(first, first + vocabulary));
        // exp within 2^-22 of arguments that fp32 rounded; the sum and the log are in double.
        const long double bound = kUnitRoundoff * (5.0L + 2.0L * range);
        ASSERT_NEAR(actual[static_cast<size_t>(row)], static_cast<double>(std::log(sum) - below),
                    static_cast<double>(bound))
            << vocabulary << " logits, sigma " << sigma;
      }
    }
  }
}

TEST_P(LogitsTest, NegativeLogLikelihoodDoesNotDependOnThreadsOrRowsBeside) {
  Rng rng(6);
  const std::vector<float> z = RandomNormal(rng, 11 * 257, 4.0);
  const std::vector<int32_t> targets = {0, 256, 3, 9, 100, 7, 8, 200, 0, 1, 2};
  std::vector<double> expected;
  for (const int threads : {1, 2, 3, 5}) {
    Device device(GetParam(), threads);
    Canvas logits(device, 11, 257, z);
    const std::vector<double> whole = Losses(device, logits.Tensor(), targets);
    if (expected.empty()) expected = whole;
    EXPECT_EQ(whole, expected);
    for (int64_t row = 0; row < 11; ++row) {
      const auto i = static_cast<size_t>(row);
      EXPECT_EQ(Losses(device, logits.Rows(row, 1), {targets[i]})[0], expected[i]);
    }
  }
}

TEST_P(LogitsTest, SamplesAsSpecified) {
  Device device(GetParam());
  Rng rng(8);
  for (const int64_t vocabulary : {1, 5, 257, 4096}) {
    std::vector<SamplingParams> params;
    for (const float temperature : {0.0f, 0.7f, 1.0f, 2.5f}) {
      for (const int32_t top_k : {0, 1, 4, 100}) {
        for (const float top_p : {1.0f, 0.9f, 0.2f}) params.push_back({temperature, top_k, top_p});
      }
    }
    const auto rows = static_cast<int64_t>(params.size());
    std::vector<float> z = RandomNormal(rng, rows * vocabulary, 2.0);
    for (float& value : z) value = std::round(value * 8.0f) / 8.0f;  // many ties
    std::vector<double> uniforms;
    for (int64_t i = 0; i < rows; ++i) uniforms.push_back(rng.Uniform());
    Canvas logits(device, rows, vocabulary, z);
    const std::vector<int32_t> tokens = Sampled(device, logits.Tensor(), params, uniforms);
    for (size_t i = 0; i < params.size(); ++i) {
      const auto row = std::span<const float>(z).subspan(i * static_cast<size_t>(vocabulary),
                                                         static_cast<size_t>(vocabulary));
      ASSERT_EQ(tokens[i], SampleToken(row, params[i], uniforms[i])) << i;
    }
  }
}

TEST_P(LogitsTest, SamplesWithEditsAndMasksAndLeavesTheLogits) {
  Device device(GetParam());
  Rng rng(9);
  constexpr int64_t kRows = 40;
  constexpr int64_t kVocabulary = 131;
  const std::vector<float> z = RandomNormal(rng, kRows * kVocabulary, 2.0);
  std::vector<std::vector<LogitEdit>> edits(kRows);
  std::vector<std::vector<uint64_t>> masks(kRows);
  std::vector<SamplingParams> params(kRows);
  std::vector<double> uniforms;
  for (size_t i = 0; i < kRows; ++i) {
    for (int32_t id = static_cast<int32_t>(i); id < kVocabulary; id += 7) {
      edits[i].push_back({id, 1.5f, static_cast<float>(rng.Normal())});
    }
    masks[i] = {rng.Next() | 1, rng.Next()};
    params[i] = {.temperature = i % 4 < 2 ? 0.0f : 1.0f, .min_p = 0.01f};
    if (i % 2 == 0) params[i].edits = edits[i];
    if (i % 3 == 0) params[i].allowed = masks[i];
    uniforms.push_back(rng.Uniform());
  }
  Canvas logits(device, kRows, kVocabulary, z);
  const std::vector<int32_t> tokens = Sampled(device, logits.Tensor(), params, uniforms);
  for (size_t i = 0; i < kRows; ++i) {
    const auto row = std::span<const float>(z).subspan(i * kVocabulary, kVocabulary);
    ASSERT_EQ(tokens[i], SampleToken(row, params[i], uniforms[i])) << i;
  }
  EXPECT_TRUE(SameBits(logits.Values(), z));
}

TEST_P(LogitsTest, TokenLogProbsMatchTheFormula) {
  Device device(GetParam());
  Rng rng(10);
  for (const int64_t vocabulary : {1, 5, 130, 4096}) {
    for (const double sigma : {0.1, 3.0, 10.0}) {
      constexpr int64_t kRows = 5;
      std::vector<float> z = RandomNormal(rng, kRows * vocabulary, sigma);
      for (float& value : z) value = std::round(value * 4.0f) / 4.0f;  // ties
      Canvas logits(device, kRows, vocabulary, z);
      std::vector<LogProbQuery> queries;
      for (const int64_t row : {3, 0, 4, 0}) {
        queries.push_back(
            {row, static_cast<int32_t>(rng.Below(vocabulary)), static_cast<int32_t>(rng.Below(9))});
      }
      StepResults results(*device.operator->(), kRows);
      device->TokenLogProbs(logits.Tensor(), queries, results.tokens(), results.log_probs());
      results.FetchLogProbs(std::ssize(queries));
      device->Sync();
      for (size_t i = 0; i < queries.size(); ++i) {
        const float* row = z.data() + queries[i].row * vocabulary;
        std::vector<std::pair<long double, int32_t>> sorted;  // falling, then rising id
        long double sum = 0.0L;
        for (int32_t id = 0; id < vocabulary; ++id) {
          sum += std::exp(static_cast<long double>(row[id]));
          sorted.emplace_back(-static_cast<long double>(row[id]), id);
        }
        std::sort(sorted.begin(), sorted.end());
        const auto log_prob = [&](int32_t id) {
          return static_cast<double>(static_cast<long double>(row[id]) - std::log(sum));
        };
        // Half a unit in the last place of a float, and the double arithmetic.
        const auto bound = [&](int32_t id) {
          return kUnitRoundoff * (std::abs(log_prob(id)) + 1e-3);
        };
        const int32_t target = queries[i].target;
        EXPECT_NEAR(double{results.host_log_probs()[i]}, log_prob(target), bound(target));
        const auto count = static_cast<size_t>(std::min<int64_t>(queries[i].top, vocabulary));
        for (size_t n = 0; n < count; ++n) {
          const TokenValue& token = results.host_top(static_cast<int64_t>(i))[n];
          EXPECT_EQ(token.id, sorted[n].second);
          EXPECT_NEAR(double{token.value}, log_prob(token.id), bound(token.id));
        }
      }
    }
  }
}

/// What one step samples is the next step's token, known to the host or not.
TEST_P(LogitsTest, ATokenSlotStandsForTheTokenSampledInIt) {
  Device device(GetParam());
  Rng rng(12);
  constexpr int64_t kVocabulary = 50;
  constexpr int64_t kColumns = 6;
  const DeviceBuffer table = device.Put(RandomNormal(rng, kVocabulary * kColumns));
  Canvas logits(device, 4, kVocabulary, RandomNormal(rng, 4 * kVocabulary));
  StepResults results(*device.operator->(), 4);
  device->BeginStep(BatchOf({1, 2, 3, 4}));
  device->Sample(logits.Tensor(),
                 std::vector<SampleRow>{{.row = 0, .params = {}, .slot = 7},
                                        {.row = 2, .params = {}, .slot = 0},
                                        {.row = 3, .params = {}}},
                 results.tokens());
  results.FetchTokens(4);
  const Batch next = BatchOf({TokenInSlot(0), 5, TokenInSlot(7), TokenInSlot(7)});
  Canvas unknown(device, 4, kColumns);
  device->BeginStep(next);
  device->Embed({.table = &table}, unknown.Tensor());
  device->Sync();
  const std::span<const int32_t> chosen = results.host_tokens();
  EXPECT_NE(chosen[0], chosen[2]);
  Canvas known(device, 4, kColumns);
  device->BeginStep(BatchOf({chosen[2], 5, chosen[0], chosen[0]}));
  device->Embed({.table = &table}, known.Tensor());
  EXPECT_TRUE(SameBits(unknown.Values(), known.Values()));
}

TEST_P(LogitsTest, ALogProbabilityOfTheChosenTokenNeedsNoHost) {
  Device device(GetParam());
  Rng rng(13);
  Canvas logits(device, 3, 40, RandomNormal(rng, 3 * 40));
  StepResults results(*device.operator->(), 3);
  device->Sample(
      logits.Tensor(),
      std::vector<SampleRow>{{.row = 1, .params = {.temperature = 1.0f}, .uniform = 0.7}},
      results.tokens());
  device->TokenLogProbs(logits.Tensor(),
                        std::vector<LogProbQuery>{{.row = 1, .target = kChosenToken, .top = 2}},
                        results.tokens(), results.log_probs());
  results.FetchTokens(3);
  results.FetchLogProbs(1);
  device->Sync();
  const int32_t chosen = results.host_tokens()[1];
  const float found = results.host_log_probs()[0];
  device->TokenLogProbs(logits.Tensor(),
                        std::vector<LogProbQuery>{{.row = 1, .target = chosen, .top = 0}},
                        results.tokens(), results.log_probs());
  results.FetchLogProbs(1);
  device->Sync();
  EXPECT_EQ(results.host_log_probs()[0], found);
}

INSTANTIATE_TEST_SUITE_P(Backends, LogitsTest, testing::ValuesIn(BackendsUnderTest()),
                         BackendCaseName);

}  // namespace
}  // namespace atom::kernels
