// What the engine itself costs beside the model that it runs.
#include "atom/engine/engine_core.h"

#include "tests/engine/loaded_model.h"

namespace atom::engine {
namespace {

TEST(StepTimesSlow, SchedulingAndPublishingAreLittleOfAStep) {
  LoadedModel model(std::filesystem::path(ATOM_SOURCE_DIR) / "models/atom-demo", "cpu",
                    {.rows = 512, .positions = 1024});
  OwnCore core(model, 64 * 16);
  for (int i = 0; i < 64; ++i) {
    Request request;
    request.id = i;
    request.prompt = RandomPrompt(static_cast<uint64_t>(i), 100);
    request.stop = {.max_tokens = 30, .ignore_eos = true, .strings = {"never said", "\n\n\n\n"}};
    request.sampling.temperature = i % 2 == 0 ? 0.0f : 0.8f;
    request.sampling.top_k = 40;
    core.Add(std::move(request), {});
  }
  Drain(core);
  const EngineStats& stats = core.stats();
  const double own = stats.schedule_seconds + stats.publish_seconds;
  const double all = own + stats.model_seconds + stats.sample_seconds;
  EXPECT_LT(own, 0.03 * all) << fmt::format(
      "{} steps: schedule {:.4f} s, model {:.3f} s, sample {:.3f} s, publish {:.4f} s", stats.steps,
      stats.schedule_seconds, stats.model_seconds, stats.sample_seconds, stats.publish_seconds);
}

}  // namespace
}  // namespace atom::engine
