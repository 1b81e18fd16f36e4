// The plan is made before anything is loaded, and is what loading then takes.
#include "atom/server/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "atom/kernels/registry.h"
#include "atom/kernels/step_results.h"
#include "atom/model/transformer.h"
#include "atom/model/weights.h"

#include "tests/engine/quantized_model.h"
#include "tests/fake_device.h"
#include "tests/tiny_model.h"

namespace atom::server {
namespace {

constexpr int64_t kGib = int64_t{1} << 30;

class MemoryPlanTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    tests::WriteTinyModel({.hidden = 128, .inner = 128, .heads = 2, .kv_heads = 1}, folder_.path());
    files_.emplace(model::ModelFiles::Open(folder_.path()).value());
    backend_ = kernels::MakeBackend(GetParam(), {.threads = 2}).value();
  }
  MemoryPlan Plan(const MemoryQuestion& question) {
    return PlanMemory(*files_, *backend_, question).value();
  }
  void ScratchIsThatOfTheLoadedModel() {
    for (const int64_t rows : {16, 200}) {
      const MemoryPlan small = Plan({.budget = kGib, .rows = 1, .context = 64, .max_sequences = 4});
      const MemoryPlan plan =
          Plan({.budget = kGib, .rows = rows, .context = 64, .max_sequences = 4});
      const auto loaded = [&](int64_t step_rows) {
        return model::LoadTransformer(
                   *files_, *backend_,
                   {.limits = {.rows = step_rows, .positions = 64, .sequences = 4}})
            .value()
            ->StepBytes();
      };
      // Besides, the program itself has a share that depends on nothing.
      EXPECT_EQ(plan.scratch - small.scratch, loaded(rows) - loaded(1));
      EXPECT_GT(plan.scratch, loaded(rows));
    }
  }

  tests::TemporaryFolder folder_;
  std::optional<model::ModelFiles> files_;
  std::unique_ptr<kernels::Backend> backend_;
};

TEST_P(MemoryPlanTest, ScratchIsWhatTheLoadedModelTakes) { ScratchIsThatOfTheLoadedModel(); }

TEST_P(MemoryPlanTest, PagesAreWhatIsLeftOrWhatIsWanted) {
  const MemoryPlan all = Plan({.budget = kGib, .rows = 16, .context = 64, .max_sequences = 4});
  EXPECT_EQ(all.pages, 4 * kernels::PagesFor(64, all.page_positions));
  EXPECT_EQ(all.page_positions, backend_->kv_page_positions());
  const int64_t five = all.total() - all.pages * all.page_bytes + 5 * all.page_bytes;
  EXPECT_EQ(Plan({.budget = five, .rows = 16, .context = 64, .max_sequences = 4}).pages, 5);
  EXPECT_LE(Plan({.budget = five, .rows = 16, .context = 64, .max_sequences = 4}).total(), five);
  const MemoryQuestion small = {
      .budget = all.weights, .rows = 16, .context = 64, .max_sequences = 4};
  EXPECT_FALSE(PlanMemory(*files_, *backend_, small).ok());
}

TEST_P(MemoryPlanTest, OfADeviceItIsTheDevices) {
  const kernels::DeviceRoom room = {.free = kGib / 2, .total = kGib, .reserve = 100 << 20};
  backend_ = std::make_unique<tests::FakeDevice>(room);
  const MemoryQuestion question = {.budget = kGib / 2,
                                   .rows = 16,
                                   .context = 64,
                                   .max_sequences = 4,
                                   .server_bytes = kGib};  // of the host
  const MemoryPlan plan = Plan(question);
  EXPECT_TRUE(plan.on_device);
  EXPECT_EQ(plan.reserve, 100 << 20);
  EXPECT_EQ(plan.total(), plan.weights + plan.scratch + plan.reserve + plan.kv_bytes());
  EXPECT_LT(plan.scratch, kGib / 8);  // neither the program's nor the server's
  EXPECT_EQ(plan.pinned, (16 << 20) + kernels::StepResults::Bytes(16));
  EXPECT_THAT(plan.Description(), testing::HasSubstr("; 0.10 GiB for the device's own, "));
  EXPECT_THAT(plan.Description(), testing::HasSubstr("beside 16 MiB of pinned host memory"));

  MemoryQuestion tight = question;
  tight.budget = plan.total() - plan.page_bytes;
  EXPECT_EQ(Plan(tight).pages, plan.pages - 1);
  tight.budget = plan.weights + plan.scratch + plan.reserve;
  EXPECT_THAT(PlanMemory(*files_, *backend_, tight).error().message,
              testing::HasSubstr("the device's own 0.10"));
  // What others left of the card is less than the plan.
  backend_ = std::make_unique<tests::FakeDevice>(
      kernels::DeviceRoom{.free = plan.total() - 1, .total = kGib, .reserve = 100 << 20});
  EXPECT_THAT(PlanMemory(*files_, *backend_, question).error().message,
              testing::HasSubstr("GiB that the device has free, found weights"));
}

/// The same model with quantized KV and an exact window, as an artifact would say it.
artifact::QuantizationConfig ExactConfig(const model::ModelSpec& spec, int64_t window) {
  artifact::QuantizationConfig config;
  config.recipe.kv = {.bits = 4, .exact_window = window};
  for (int64_t layer = 0; layer < spec.num_layers(); ++layer) {
    config.layers.emplace_back(model::ShapeOfLayer(spec, layer), 1.0f, 1.0f, 1.0f);
  }
  return config;
}

TEST_P(MemoryPlanTest, ExactPagesAreCounted) {
  const MemoryQuestion question = {.budget = kGib, .rows = 32, .context = 128, .max_sequences = 4};
  const MemoryPlan without = Plan(question);
  EXPECT_EQ(without.exact_pages, 0);
  EXPECT_EQ(without.exact_page_bytes, 0);
  files_->quantization = ExactConfig(files_->spec, 16);
  const MemoryPlan all = Plan(question);
  EXPECT_EQ(all.pages, without.pages);
  // A page of fp16, K and V of every layer.
  const model::AttentionSpec& attention = files_->spec.layer(0).attention;
  const kernels::KvShape halves = {.format = {.storage = quant::KvStorage::kF16},
                                   .kv_heads = attention.kv_heads,
                                   .head_dim = attention.head_dim};
  EXPECT_EQ(all.exact_page_bytes, files_->spec.num_layers() * backend_->KvPageBytes(halves));
  // Four for each sequence, two of the step's rows; tails of prompts, of answers, of every 32
  // pages.
  EXPECT_EQ(all.exact_pages, 4 * 4 + 2 + 4 + 4 + all.pages / 32);
  EXPECT_EQ(all.total(), all.weights + all.scratch + all.pages * all.page_bytes +
                             all.exact_pages * all.exact_page_bytes);
  EXPECT_THAT(all.Description(), testing::HasSubstr(", 27 exact pages"));
  // Whatever the budget, both fit, and not one page more would.
  for (const int64_t less : {int64_t{1}, all.page_bytes, 7 * all.page_bytes + 3}) {
    MemoryQuestion tight = question;
    tight.budget = all.total() - less;
    const MemoryPlan plan = Plan(tight);
    EXPECT_LE(plan.total(), tight.budget);
    EXPECT_LT(plan.pages, all.pages);
    EXPECT_GT(plan.total() + plan.page_bytes + plan.exact_page_bytes, tight.budget);
  }
}

/// Bytes of the files' tensors whose names end in one of `endings`; of all without.
int64_t StoredBytes(const model::ModelFiles& files, std::vector<std::string> endings = {""}) {
  int64_t bytes = 0;
  for (const io::StoredFile& file : files.checkpoint.Files()) {
    for (const io::StoredTensor& tensor : file.tensors) {
      const auto ends = [&](const std::string& end) { return tensor.name.ends_with(end); };
      if (std::ranges::any_of(endings, ends)) bytes += tensor.bytes;
    }
  }
  return bytes;
}

// Codes become fp32 where a backend has no kernels for them.
TEST_P(MemoryPlanTest, TwoLevelScalesAreCountedAsTheBackendRunsThem) {
  tests::WriteQuantizedTinyModel(folder_ / "source", folder_ / "artifact",
                                 quant::FindRecipe("atom-best").value());
  files_.emplace(model::ModelFiles::Open(folder_ / "artifact").value());
  const int64_t stored = StoredBytes(*files_);
  const int64_t codes = StoredBytes(*files_, {".codes4"}) * 2 + StoredBytes(*files_, {".codes8"});
  EXPECT_EQ(codes, model::LinearWeightCount(files_->spec));
  const int64_t weights = Plan({.budget = kGib, .rows = 16, .context = 64}).weights;
  const int64_t ends = StoredBytes(*files_, {"embed_tokens.weight"});  // tied: kept twice
  const int64_t twice = files_->spec.head.tied ? ends : 0;
  if (backend_->HasKernels(quant::Feature::kTwoLevelScales)) {
    EXPECT_EQ(weights, stored + twice);
  } else {
    const int64_t widened = StoredBytes(*files_, {".codes4", ".codes8"});
    EXPECT_EQ(weights, stored - widened + codes * static_cast<int64_t>(sizeof(float)) + twice);
  }
  ScratchIsThatOfTheLoadedModel();
}

INSTANTIATE_TEST_SUITE_P(Backends, MemoryPlanTest, testing::Values("cpu", "reference"));

}  // namespace
}  // namespace atom::server
