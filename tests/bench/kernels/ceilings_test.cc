// The loops of every instruction set that this machine has run, on one thread and on two.
#include "atom/bench/kernels/ceilings.h"

#include <gtest/gtest.h>

#include "atom/bench/kernels/bench_context.h"
#include "atom/bench/kernels/ceiling_loops.h"

namespace atom::bench {
namespace {

TEST(CeilingsTest, EveryLoopOfEveryInstructionSetGivesARate) {
  for (const CpuIsa isa : AllCpuIsas()) {
    if (!Supports(isa)) continue;
    for (const int threads : {1, 2}) {
      Ceilings ceilings(isa, threads, QuickEffort());
      EXPECT_EQ(ceilings.threads(), threads);
      for (const Ceiling ceiling : kCeilings) {
        if (!ceilings.Has(ceiling)) continue;
        // A machine of this century: 100 million to 1000 million million.
        const double rate = ceilings.Measure(ceiling);
        EXPECT_GT(rate, 1e8) << CpuIsaName(isa) << " " << ceilings.Name(ceiling);
        EXPECT_LT(rate, 1e15) << CpuIsaName(isa) << " " << ceilings.Name(ceiling);
      }
    }
  }
}

#if defined(__x86_64__)
TEST(CeilingsTest, LoopsAreNamedByTheirInstructions) {
  EXPECT_STREQ(Avx512Loops().integer.name, "vnni");
  EXPECT_STREQ(Avx2Loops().integer.name, "vpmaddubsw");
  EXPECT_STREQ(AvxVnniLoops().integer.name, "avx-vnni");
  EXPECT_EQ(AvxVnniLoops().integer.work, 12 * 8 * 4 * 2);
  EXPECT_STREQ(ScalarLoops().integer.name, "pmaddwd");
  EXPECT_EQ(Avx2Loops().bf16.name, nullptr);
  // 16 sums of 16 int32, 4 products and 4 additions each.
  EXPECT_EQ(Avx512Loops().integer.work, 16 * 16 * 4 * 2);
  EXPECT_EQ(Avx512Loops().bf16.work, 16 * 16 * 2 * 2);
  EXPECT_STREQ(AmxLoops().integer.name, "amx-int8");
  EXPECT_STREQ(AmxLoops().fma.name, "fma");
  // 6 tiles of 16 x 16 sums, 64 products and as many additions each.
  EXPECT_EQ(AmxLoops().integer.work, 6 * 16 * 16 * 64 * 2);
  EXPECT_EQ(Avx2Loops().integer.work, 8 * 8 * 4 * 2);
  EXPECT_EQ(Avx2Loops().fma.work, 12 * 8 * 2);
  EXPECT_EQ(ScalarLoops().fma.work, 12 * 4 * 2);
}

// Two clocks, one loop: what it claims to have done per second must not exceed what the strongest
// machines do in a cycle (2 instructions per cycle at 6 GHz), or `work` is wrong.
TEST(CeilingsTest, WorkIsPlausible) {
  Ceilings ceilings(CpuIsa::kScalar, 1, QuickEffort());
  EXPECT_LT(ceilings.Measure(Ceiling::kFma), 6e9 * 2 * 8);
  EXPECT_LT(ceilings.Measure(Ceiling::kInteger), 6e9 * 2 * 16);
}
#endif

TEST(WorkbenchTest, MeasuresTheShareOfTheCeiling) {
  const auto bench = BenchContext::Make("cpu", 1, QuickEffort()).value();
  EXPECT_EQ(bench->threads(), 1);
  int calls = 0;
  const Measured measured = bench->Measure(Ceiling::kFma, 1000.0, [&] { ++calls; });
  EXPECT_GT(calls, 3);
  EXPECT_EQ(measured.ceiling, bench->Name(Ceiling::kFma));
  EXPECT_GT(measured.ceiling_fraction, 0.0);
  const std::string header = bench->Header();
  EXPECT_NE(header.find(CpuModelName()), std::string::npos);
  EXPECT_NE(header.find("1 thread\n"), std::string::npos) << header;
  EXPECT_NE(header.find("dram"), std::string::npos) << header;
}

TEST(WorkbenchTest, EachSampleHasTheCeilingBesideIt) {
  const auto bench = BenchContext::Make("cpu", 1, QuickEffort()).value();
  // Shares of 12 a second, measured as 8 and 16, as 16 and 8, and so on: 1, 1/2, 1/4.
  const std::vector<Sample> samples = {{12.0, 1.0}, {12.0, 2.0}, {24.0, 8.0}};
  const Measured measured = bench->Summarize(Ceiling::kFma, samples, {8.0, 16.0, 8.0, 16.0});
  EXPECT_DOUBLE_EQ(measured.seconds, 2.0);
  EXPECT_DOUBLE_EQ(measured.ceiling_fraction, 0.5);
  EXPECT_DOUBLE_EQ(bench->Summarize(Ceiling::kFma, samples, {}).ceiling_fraction, 0.0);
}

TEST(WorkbenchTest, UnknownBackendsAreRefused) {
  const auto made = BenchContext::Make("tpu", 1, QuickEffort());
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message.find("tpu"), std::string::npos);
}

}  // namespace
}  // namespace atom::bench
