#include "atom/bench/kernels/model_test.h"

#include <gtest/gtest.h>

#include "atom/bench/kernels/geometry.h"
#include "atom/model/spec/model_spec.h"

namespace atom::bench {
namespace {

TEST(ModelTestNames, AreParsedOrRefused) {
  const ModelTest prefill = ParseModelTest("pp512").value();
  EXPECT_TRUE(prefill.prefill);
  EXPECT_EQ(prefill.tokens, 512);
  EXPECT_EQ(prefill.depth, 0);
  const ModelTest decode = ParseModelTest("tg128").value();
  EXPECT_FALSE(decode.prefill);
  EXPECT_EQ(decode.tokens, 128);
  EXPECT_EQ(decode.depth, 0);
  const ModelTest deep = ParseModelTest("tg@2048").value();
  EXPECT_FALSE(deep.prefill);
  EXPECT_EQ(deep.tokens, 32);
  EXPECT_EQ(deep.depth, 2048);
  EXPECT_EQ(deep.sequences, 1);
  const ModelTest many = ParseModelTest("tg@1024x64").value();
  EXPECT_EQ(many.depth, 1024);
  EXPECT_EQ(many.tokens, 32);
  EXPECT_EQ(many.sequences, 64);
  for (const char* name : {"", "p", "tg@8x", "tg@8x0", "tg8x2", "pp8x2", "tg@x2", "pp", "pp0",
                           "pp-1", "pp5x", "pp@5", "tg@", "xx5", "tg9999999"}) {
    EXPECT_FALSE(ParseModelTest(name).ok()) << name;
  }
}

std::vector<ModelTest> Tests(std::initializer_list<const char*> names) {
  std::vector<ModelTest> tests;
  for (const char* name : names) tests.push_back(ParseModelTest(name).value());
  return tests;
}

TEST(ModelTestPages, OnlyPrefillsHaveTheExactPagesOfTheirRows) {
  const TestPages pages = PlanPages(Tests({"pp2048", "tg@1024", "tg@1024x64"}), 16, 32);
  EXPECT_EQ(pages.prefill.pages, 128);
  EXPECT_GE(pages.prefill.exact_pages, 128);
  EXPECT_EQ(pages.decode.pages, 66);  // 1,024 positions and 32 to come
  EXPECT_LE(pages.decode.exact_pages, 8);
  EXPECT_EQ(pages.all.pages, 64 * 66);
  EXPECT_EQ(pages.all.exact_pages, 64 * pages.decode.exact_pages);
  EXPECT_EQ(PlanPages(Tests({"pp2048", "tg@1024x64"}), 16, 0).all.exact_pages, 0);
  EXPECT_EQ(PlanPages(Tests({"pp2048"}), 16, 32).all.pages, 128);
}

TEST(ModelTestPages, Of64SequencesBesideALongPrefillFitOneCard) {
  const TestPages pages = PlanPages(Tests({"pp2048", "tg@1024x64"}), 16, 32);
  const model::ModelSpec spec = FindGeometry("llama-7b").value().spec;
  const int64_t values = 2 * spec.layer(0).attention.kv_width() * spec.num_layers() * 16;
  const double exact_gib = static_cast<double>(pages.all.exact_pages * values) * 2 / (1 << 30);
  const double packed_gib = static_cast<double>(pages.all.pages * values) * 0.53 / (1 << 30);
  EXPECT_LT(exact_gib, 5.0);
  EXPECT_LT(packed_gib, 10.0);
}

TEST(ModelTestPages, SequencesSideBySideFitTheCacheOfAllTests) {
  const TestPages pages = PlanPages(Tests({"pp20", "tg@70x3"}), 16, 32);
  for (const int64_t position : {int64_t{0}, int64_t{15}, int64_t{70}, int64_t{101}}) {
    kernels::Batch batch;
    batch.Clear();
    for (int sequence = 0; sequence < 3; ++sequence) {
      AddSequence(kernels::SingleSequence({sequence}, position, pages.decode), pages.decode, batch);
    }
    kernels::CheckBatch(batch, pages.all);  // dies where they do not
    EXPECT_EQ(batch.sequences(), 3);
    EXPECT_EQ(batch.pages.back(), 2 * pages.decode.pages + position / 16);
  }
  kernels::CheckBatch(kernels::SingleSequence(std::vector<int32_t>(20, 1), 0, pages.prefill),
                      pages.all);
}

}  // namespace
}  // namespace atom::bench
