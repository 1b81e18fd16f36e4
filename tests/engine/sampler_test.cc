// Tokens come as often as their probabilities say.
#include <cmath>

#include "tests/engine/loaded_model.h"

namespace atom::engine {
namespace {

/// Probabilities of the token behind `prompt`, worked out from one forward pass.
std::vector<double> Probabilities(LoadedModel& model, const std::vector<int32_t>& prompt,
                                  double temperature) {
  kernels::Batch batch = model.transformer->OneSequence(prompt, 0);
  batch.logit_rows = {static_cast<int32_t>(prompt.size()) - 1};
  model::KvCache cache = model.transformer->MakeKvCache(32);
  const kernels::DeviceTensor tensor = model.transformer->Forward(batch, cache);
  std::vector<float> logits(static_cast<size_t>(tensor.cols));
  model.backend->Download(tensor.data, std::as_writable_bytes(std::span(logits)));
  std::vector<double> probabilities;
  double sum = 0.0;
  for (const float logit : logits) {
    probabilities.push_back(std::exp(double{logit} / temperature));
    sum += probabilities.back();
  }
  for (double& probability : probabilities) probability /= sum;
  return probabilities;
}

/// Keeps the likeliest `count` and makes them add up to 1.
void KeepTop(std::vector<double>& probabilities, size_t count) {
  std::vector<double> sorted = probabilities;
  std::ranges::sort(sorted, std::greater());
  double sum = 0.0;
  for (double& probability : probabilities) {
    if (probability < sorted[count - 1]) probability = 0.0;
    sum += probability;
  }
  for (double& probability : probabilities) probability /= sum;
}

/// Draws the first token with `seeds` seeds and holds the counts against the probabilities.
void ExpectDistribution(LoadedModel& model, RunnerKind kind, const Sampling& sampling,
                        const std::vector<double>& probabilities) {
  constexpr int kSeeds = 4000;
  const std::vector<int32_t> prompt = RandomPrompt(1, 1);
  OwnCore core(model, 512, {.max_sequences = 512}, kind);
  for (int i = 0; i < kSeeds; ++i) {
    Request request;
    request.id = i;
    request.prompt = prompt;
    request.sampling = sampling;
    request.sampling.seed = static_cast<uint64_t>(i);
    request.stop = {.max_tokens = 1, .ignore_eos = true};
    core.Add(std::move(request), {});
  }
  std::vector<int> counts(probabilities.size(), 0);
  for (const auto& [id, said] : Drain(core)) ++counts[static_cast<size_t>(said.ids().at(0))];
  for (size_t id = 0; id < probabilities.size(); ++id) {
    const double mean = kSeeds * probabilities[id];
    // Five standard deviations; seeds are fixed, so this does not come and go.
    EXPECT_NEAR(counts[id], mean, 5.0 * std::sqrt(mean) + 1e-9) << "token " << id;
  }
}

class SamplerTest : public testing::TestWithParam<RunnerKind> {};

TEST_P(SamplerTest, FollowsTheModelsProbabilities) {
  LoadedModel model(kTestedBackend);
  const std::vector<int32_t> prompt = RandomPrompt(1, 1);
  ExpectDistribution(model, GetParam(), {.temperature = 1.0f}, Probabilities(model, prompt, 1.0));
  std::vector<double> few = Probabilities(model, prompt, 0.5);
  KeepTop(few, 6);
  ExpectDistribution(model, GetParam(), {.temperature = 0.5f, .top_k = 6}, few);
}

TEST_P(SamplerTest, ABiasMultipliesProbability) {
  LoadedModel model(kTestedBackend);
  std::vector<double> probabilities = Probabilities(model, RandomPrompt(1, 1), 1.0);
  Sampling sampling;
  const auto likeliest =
      static_cast<int32_t>(std::ranges::max_element(probabilities) - probabilities.begin());
  sampling.logit_bias = {{likeliest, std::log(0.25f)}, {70, std::log(30.0f)}};
  probabilities[static_cast<size_t>(likeliest)] *= 0.25;
  probabilities[70] *= 30.0;
  KeepTop(probabilities, probabilities.size());
  ExpectDistribution(model, GetParam(), sampling, probabilities);
}

INSTANTIATE_TEST_SUITE_P(Runners, SamplerTest, testing::ValuesIn(kRunnerKinds), RunnerKindName);

}  // namespace
}  // namespace atom::engine
