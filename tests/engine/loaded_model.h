// A model ready to run, for tests of the engine: the small random one, quantized or not makes no
// difference here.
#pragma once

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/rng.h"
#include "atom/engine/engine_core.h"
#include "atom/kernels/registry.h"
#include "atom/model/local_runner.h"
#include "atom/model/model_files.h"
#include "atom/tokenizer/tokenizer.h"

#include "tests/engine/late_runner.h"
#include "tests/tiny_model.h"

namespace atom::engine {

/// Of tests that name none: the program cuda_engine_tests has the same tests on a GPU.
#ifdef ATOM_TESTED_BACKEND
inline constexpr std::string_view kTestedBackend = ATOM_TESTED_BACKEND;
#else
inline constexpr std::string_view kTestedBackend = "cpu";
#endif
inline constexpr bool kTestsDevice = kTestedBackend != "cpu";

struct LoadedModel {
  explicit LoadedModel(std::string_view backend_name,
                       model::Transformer::Limits limits = {.rows = 512, .positions = 128},
                       int64_t window = 0) {
    tests::WriteTinyModel(
        {.hidden = 128, .inner = 128, .heads = 2, .kv_heads = 1, .window = window}, folder.path());
    Load(folder.path(), backend_name, limits);
  }
  LoadedModel(const std::filesystem::path& dir, std::string_view backend_name,
              model::Transformer::Limits limits) {
    Load(dir, backend_name, limits);
  }

  void Load(const std::filesystem::path& dir, std::string_view backend_name,
            model::Transformer::Limits limits) {
    const model::ModelFiles files = model::ModelFiles::Open(dir).value();
    tokenizer = tokenizer::Tokenizer::Load(dir).value();
    backend = kernels::MakeBackend(backend_name, {.threads = 2}).value();
    transformer = model::LoadTransformer(files, *backend, {.limits = limits}).value();
  }

  tests::TemporaryFolder folder;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer;
  std::unique_ptr<kernels::Backend> backend;
  std::unique_ptr<model::Transformer> transformer;
};

/// Who runs the model: whatever an engine promises, it promises with each.
enum class RunnerKind {
  kLocal,     ///< Submit computes
  kLate,      ///< a local one whose answers come one step late
  kInFlight,  ///< a local one that may have a step in flight
};
inline constexpr std::array kRunnerKinds = {RunnerKind::kLocal, RunnerKind::kLate,
                                            RunnerKind::kInFlight};
inline std::string Name(RunnerKind kind) {
  return kind == RunnerKind::kLocal ? "Local" : kind == RunnerKind::kLate ? "Late" : "InFlight";
}
inline std::string RunnerKindName(const testing::TestParamInfo<RunnerKind>& info) {
  return Name(info.param);
}
/// How many steps later than with kLocal something is said.
inline int Lag(RunnerKind kind) { return kind == RunnerKind::kLocal ? 0 : 1; }

/// A runner of a model, with KV pages of its own.
class OwnRunner {
 public:
  OwnRunner(LoadedModel& model, int64_t kv_pages, RunnerKind kind)
      : local_(*model.transformer,
               {.kv_pages = kv_pages, .steps_in_flight = kind == RunnerKind::kInFlight ? 1 : 0}),
        late_(local_),
        kind_(kind) {}
  model::Runner& runner() {
    return kind_ == RunnerKind::kLate ? static_cast<model::Runner&>(late_) : local_;
  }

 private:
  model::LocalRunner local_;
  LateRunner late_;
  RunnerKind kind_;
};

/// An EngineCore with a runner of its own.
class OwnCore : private OwnRunner, public EngineCore {
 public:
  OwnCore(LoadedModel& model, int64_t kv_pages, const EngineOptions& options = {},
          RunnerKind kind = RunnerKind::kLocal)
      : OwnRunner(model, kv_pages, kind), EngineCore(runner(), *model.tokenizer, options) {}
};

inline std::vector<int32_t> RandomPrompt(uint64_t seed, int64_t size) {
  Rng random(seed);
  std::vector<int32_t> tokens = {1};
  while (static_cast<int64_t>(tokens.size()) < size) {
    tokens.push_back(static_cast<int32_t>(3 + random.Below(256)));
  }
  return tokens;
}

/// All that was said about one request, put together.
struct Transcript {
  std::vector<TokenOutput> prompt;
  std::vector<TokenOutput> tokens;
  std::string text;
  std::optional<int32_t> end_token;
  std::vector<FinishReason> finishes;
  std::string error;
  int64_t cached_tokens = 0;
  int64_t output_tokens = 0;
  int64_t outputs = 0;

  std::vector<int32_t> ids() const {
    std::vector<int32_t> ids;
    for (const TokenOutput& token : tokens) ids.push_back(token.id);
    return ids;
  }
  void Add(Output output) {
    EXPECT_TRUE(finishes.empty()) << "an Output behind the last";
    EXPECT_TRUE(output.prompt.empty() || outputs == 0) << "the prompt is told of first";
    ++outputs;
    std::ranges::move(output.prompt, std::back_inserter(prompt));
    std::ranges::move(output.tokens, std::back_inserter(tokens));
    text += output.text;
    if (output.end_token) end_token = output.end_token->id;
    if (output.finish) finishes.push_back(*output.finish);
    error += output.error;
    cached_tokens = output.cached_tokens;
    output_tokens = output.output_tokens;
  }
};
using Transcripts = std::map<RequestId, Transcript>;

inline void StepInto(EngineCore& core, Transcripts& results, TimePoint now = {}) {
  for (Output& output : core.Step(now)) results[output.id].Add(std::move(output));
}

/// Runs until nothing is left to do.
inline Transcripts Drain(EngineCore& core, TimePoint now = {}) {
  Transcripts results;
  while (core.HasWork()) StepInto(core, results, now);
  return results;
}

}  // namespace atom::engine
