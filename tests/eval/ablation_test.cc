#include "atom/eval/ablation.h"

#include <cmath>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/kernels/registry.h"

#include "tests/tiny_model.h"

namespace atom::eval {
namespace {

class AblationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    tests::WriteTinyModel({}, folder_.path());
    files_.emplace(model::ModelFiles::Open(folder_.path()).value());
    const auto tokenizer = tokenizer::Tokenizer::Load(folder_.path()).value();
    backend_ = kernels::MakeBackend("cpu", {.threads = 2}).value();
    const io::Dataset dataset{
        .name = "tiny", .file = {}, .text = tests::TinyText(700), .documents = {}};
    data_.texts = {CutWindows(dataset, *tokenizer, 90, 2).value()};
    for (const uint64_t seed : {0, 1}) {
      (seed == 0 ? data_.calibration : data_.mixture) =
          pipeline::SampleCalibration(dataset, *tokenizer,
                                      {.samples = 3, .sequence_length = 90, .seed = seed})
              .value();
    }
  }

  AblationRecord Record() const {
    return AblationRecord::Open(folder_ / "rows.partial", {{"seed", 0}}).value();
  }
  Result<std::vector<AblationRow>> Run(const std::vector<AblationStep>& steps,
                                       AblationRecord& record) {
    return RunAblation(*files_, steps, data_, *backend_, *algebra_,
                       {.spill_folder = folder_.path()}, record,
                       [this](const std::vector<AblationRow>&) { ++seen_; });
  }

  tests::TemporaryFolder folder_;
  std::optional<model::ModelFiles> files_;
  std::unique_ptr<kernels::Backend> backend_;
  std::unique_ptr<quant::DenseAlgebra> algebra_ = quant::MakeCpuAlgebra();
  AblationData data_;
  int seen_ = 0;
};

TEST_F(AblationTest, RunsEveryRow) {
  const std::vector<AblationStep> steps = AblationLadder(Ladder::kAtomBest);
  AblationRecord record = Record();
  const auto rows = Run(steps, record);
  ASSERT_TRUE(rows.ok()) << rows.error().message;
  EXPECT_EQ(seen_, std::ssize(steps));
  const auto unquantized =
      model::LoadTransformer(*files_, *backend_, {.limits = {.rows = 90, .positions = 90}}).value();
  EXPECT_EQ(rows->front().texts[0].losses,
            MeasurePerplexity(*unquantized, data_.texts[0], nullptr)->window_losses);
  for (size_t i = 0; i < rows->size(); ++i) {
    for (const double loss : (*rows)[i].texts[0].losses) EXPECT_TRUE(std::isfinite(loss));
    EXPECT_EQ((*rows)[i].bits_per_weight.has_value(), i > 0);
    if (i == 0) continue;
    EXPECT_NE((*rows)[i].texts, (*rows)[i - 1].texts) << (*rows)[i].label;
  }
}

TEST_F(AblationTest, ARecipeThatDoesNotFitIsRefusedBeforeTheFirstRow) {
  tests::WriteTinyModel({.hidden = 112, .heads = 4, .kv_heads = 2, .head_dim = 28}, folder_.path());
  files_.emplace(model::ModelFiles::Open(folder_.path()).value());
  AblationRecord record = Record();
  const auto rows = Run(AblationLadder(Ladder::kAtomBest), record);
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(
      rows.error().message,
      "row kv-hadamard: layer 0: kv.hadamard is true, expected heads of 2^n, 12 * 2^n or 20 * "
      "2^n channels, found heads of 28");
  EXPECT_EQ(seen_, 0);
}

TEST_F(AblationTest, GoesOnBehindTheRowsOfAStoppedRun) {
  const std::vector<AblationStep> ladder = AblationLadder(Ladder::kAtomBest);
  const std::vector<AblationStep> steps = {ladder[0], ladder[4], ladder.back()};
  AblationRecord first = Record();
  const auto whole = Run(steps, first);
  ASSERT_TRUE(whole.ok()) << whole.error().message;

  // A row is read from the file, not computed: here one that no computation gives.
  std::filesystem::remove(folder_ / "rows.partial");
  AblationRecord stopped = Record();
  ASSERT_TRUE(stopped.Add(steps[0], (*whole)[0]).ok());
  AblationRow marked = (*whole)[1];
  marked.texts[0].losses[0] += 1.0;
  ASSERT_TRUE(stopped.Add(steps[1], marked).ok());
  AblationRecord resumed = Record();
  const auto rest = Run(steps, resumed);
  ASSERT_TRUE(rest.ok()) << rest.error().message;
  EXPECT_EQ((*rest)[0], (*whole)[0]);
  EXPECT_EQ((*rest)[1], marked);
  EXPECT_EQ((*rest)[2], (*whole)[2]);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "rows.partial"));
  resumed.Remove();
  EXPECT_FALSE(std::filesystem::exists(folder_ / "rows.partial"));
}

TEST_F(AblationTest, RowsOfAnotherRunOrRecipeAreNotFound) {
  const AblationStep step = AblationLadder(Ladder::kAtomW4A4)[1];
  AblationRecord record = Record();
  const AblationRow row{
      .step = 0,
      .label = "base",
      .texts = {{"t", {0.1, NAN}}},
      .packed = true,
      .tasks = {{"piqa", "acc_norm", 1, {0.5, {}}}, {"boolq", "acc", 2, {1.0, 0.25}}}};
  ASSERT_TRUE(record.Add(step, row).ok());
  const AblationRecord same = Record();
  ASSERT_NE(same.Find(step), nullptr);
  EXPECT_EQ(same.Find(step)->texts[0].losses[0], 0.1);
  EXPECT_TRUE(std::isnan(same.Find(step)->texts[0].losses[1]));
  EXPECT_TRUE(same.Find(step)->packed);
  EXPECT_EQ(same.Find(step)->tasks, row.tasks);
  AblationStep other = step;
  other.recipe.reference_parity = true;
  EXPECT_EQ(same.Find(other), nullptr);
  EXPECT_EQ(AblationRecord::Open(folder_ / "rows.partial", {{"seed", 1}})->Find(step), nullptr);
  tests::WriteText(folder_ / "rows.partial", "{\"rows\": [1]}");
  EXPECT_FALSE(AblationRecord::Open(folder_ / "rows.partial", {{"seed", 0}}).ok());
}

}  // namespace
}  // namespace atom::eval
