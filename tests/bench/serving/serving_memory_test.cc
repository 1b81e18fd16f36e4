#include "atom/bench/serving/serving_memory.h"

#include <gtest/gtest.h>

#include "atom/bench/kernels/geometry.h"
#include "atom/kernels/registry.h"

namespace atom::bench {
namespace {

TEST(ServingMemoryTest, PagesAreWhatIsLeft) {
  const ServingMemory memory{.weights = 900, .scratch = 200, .reserve = 100, .page_bytes = 30};
  const auto pages = [&](int64_t budget) { return memory.OnDemand(budget, 5.0, 7).pages; };
  EXPECT_EQ(pages(1199), 0);
  EXPECT_EQ(pages(0), 0);
  EXPECT_EQ(pages(1230), 1);
  EXPECT_EQ(pages(1259), 1);
  EXPECT_EQ(memory.Total({.pages = 2}), 1260);
  EXPECT_EQ(memory.SlotsWithin(1200 + 4 * 30 * 3 - 1, 3), 3);
  EXPECT_EQ(memory.SlotsWithin(1200 + 4 * 30 * 3, 3), 4);
  EXPECT_EQ(memory.SlotsWithin(1000, 3), 0);
  EXPECT_EQ(memory.Reserved(4, 3), (ServingPages{.pages = 12, .exact_pages = 0}));
}

TEST(ServingMemoryTest, ExactPagesAreForTheSequencesThatRun) {
  const ServingMemory memory{.page_bytes = 10,
                             .exact_page_bytes = 40,
                             .exact_pages_of_sequence = 4,
                             .exact_pages_of_step = 2};
  EXPECT_EQ(memory.Reserved(3, 20), (ServingPages{.pages = 60, .exact_pages = 14}));
  EXPECT_EQ(memory.Reserved(1, 3), (ServingPages{.pages = 3, .exact_pages = 3}));  // one a page
  EXPECT_EQ(memory.SlotsWithin(600 + 560, 20), 3);
  EXPECT_EQ(memory.SlotsWithin(600 + 560 - 1, 20), 2);
  // 100 pages hold 20 sequences of 5, which have 4 exact pages each; the next sequence, 4 more.
  EXPECT_EQ(memory.OnDemand(1000 + 82 * 40, 5.0, 30),
            (ServingPages{.pages = 100, .exact_pages = 82}));
  EXPECT_EQ(memory.OnDemand(1000 + 82 * 40 - 1, 5.0, 30).pages, 99);
  // Of no more than may run.
  EXPECT_EQ(memory.OnDemand(1000 + 42 * 40, 5.0, 10),
            (ServingPages{.pages = 100, .exact_pages = 42}));
}

TEST(ServingMemoryTest, CountsAModel) {
  const auto backend = kernels::MakeBackend("cpu", {.threads = 1}).value();
  model::ModelSpec spec = FindGeometry("tinyllama-1.1b").value().spec;
  spec.layers.resize(2);
  spec.vocab_size = 100;
  const auto of = [&](const char* recipe) {
    return MemoryOf(MakeRandomModel(*backend, spec, quant::FindRecipe(recipe).value(), DType::kBF16,
                                    {.rows = 64, .positions = 64}),
                    32);
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
  EXPECT_EQ(of("atom-w4a4").exact_pages_of_sequence, 0);
  // 16 exact positions: a page, the one that is filled, the next, and one in reserve. In fp16.
  const ServingMemory best = of("atom-best");
  EXPECT_EQ(best.exact_pages_of_sequence, 4);
  EXPECT_EQ(best.exact_pages_of_step, 2);
  EXPECT_EQ(best.exact_page_bytes, plain.page_bytes);
  EXPECT_EQ(best.reserve, 0);  // of the host
}

TEST(ServingMemoryTest, IsReadInGibibytes) { EXPECT_EQ(GibText(int64_t{5} << 29), "2.50 GiB"); }

}  // namespace
}  // namespace atom::bench
