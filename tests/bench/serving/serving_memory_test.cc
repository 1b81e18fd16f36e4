#include "atom/bench/serving/serving_memory.h"

#include <gtest/gtest.h>

#include "atom/bench/kernels/geometry.h"
#include "atom/kernels/registry.h"

namespace atom::bench {
namespace {

TEST(ServingMemoryTest, PagesAreWhatIsLeft) {
  const ServingMemory memory{.weights = 1000, .scratch = 200, .page_bytes = 30};
  EXPECT_EQ(memory.PagesWithin(1199), 0);
  EXPECT_EQ(memory.PagesWithin(0), 0);
  EXPECT_EQ(memory.PagesWithin(1230), 1);
  EXPECT_EQ(memory.PagesWithin(1259), 1);
  EXPECT_EQ(memory.Total(2), 1260);
}

TEST(ServingMemoryTest, CountsAModel) {
  const auto backend = kernels::MakeBackend("cpu", {.threads = 1}).value();
  model::ModelSpec spec = FindGeometry("tinyllama-1.1b").value().spec;
  spec.layers.resize(2);
  spec.vocab_size = 100;
  const auto of = [&](const char* recipe) {
    return MemoryOf(MakeRandomModel(*backend, spec, quant::FindRecipe(recipe).value(), DType::kBF16,
                                    {.rows = 64, .positions = 64}));
  };
  const ServingMemory plain = of("none");
  EXPECT_EQ(plain.weights, 2 * 2 * (2 * 2048 * 2048 + 2 * 2048 * 256 + 3 * int64_t{2048} * 5632) +
                               2 * 100 * 2048 * 2);
  // 16 positions of K and V, 4 heads of 64 channels, in 2 layers: bf16, or nibbles and their scale
  // and zero point in fp16.
  EXPECT_EQ(plain.page_bytes, 2 * 16 * 2 * 4 * 64 * 2);
  EXPECT_EQ(of("atom-w4a4").page_bytes, 2 * 16 * 2 * 4 * (32 + 4));
  // What steps really take: of many rows, whose codes are smaller than their values.
  EXPECT_LT(of("atom-w4a4").scratch, plain.scratch);
  EXPECT_GT(of("atom-w4a4").scratch, 0);
}

TEST(ServingMemoryTest, IsReadInGibibytes) { EXPECT_EQ(GibText(int64_t{5} << 29), "2.50 GiB"); }

}  // namespace
}  // namespace atom::bench
