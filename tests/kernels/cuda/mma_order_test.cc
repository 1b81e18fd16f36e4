// What lets prefill (wgmma) and decode (mma.sync) share one contract: on this card a step of 16
// columns adds its products and the running sum to the same bits by either instruction, whichever
// operand is A. docs/numerics.md, "Attention on CUDA".
#include <cmath>

#include "atom/core/half.h"
#include "atom/core/rng.h"

#include "tests/kernels/cuda/cuda_test.h"
#include "tests/kernels/cuda/mma_chains.h"

namespace atom::kernels::cuda {
namespace {

class MmaOrderTest : public CudaTest {
 protected:
  /// `spread`: values are normal times 2^(uniform in ±spread), so that sums cancel and overtake.
  void ExpectEqualBits(int k, double spread, uint64_t seed) {
    Rng rng(seed);
    const auto draw = [&] {
      std::vector<uint16_t> values(static_cast<size_t>(kChainRows * k));
      for (uint16_t& x : values) {
        const double scale = std::exp2(spread * (2 * rng.Uniform() - 1));
        const Half half = ToHalf(static_cast<float>(rng.Normal() * scale));
        std::memcpy(&x, &half, 2);
      }
      return values;
    };
    DeviceArray<uint16_t> a(draw()), b(draw());
    DeviceArray<float> warp(kChainRows * kChainColumns), swapped(kChainRows * kChainColumns),
        warpgroup(kChainRows * kChainColumns);
    cudaDeviceSynchronize();
    ASSERT_EQ(RunMmaChains(a.data(), b.data(), k, warp.data(), swapped.data(), warpgroup.data(),
                           stream().get()),
              cudaSuccess);
    const std::vector<float> x = warp.Download(), y = swapped.Download(), z = warpgroup.Download();
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(x[i], y[i]) << "swapped, k " << k << " spread " << spread << " at " << i;
      ASSERT_EQ(x[i], z[i]) << "wgmma, k " << k << " spread " << spread << " at " << i;
    }
  }
};

TEST_F(MmaOrderTest, WarpAndWarpgroupGiveTheSameBits) {
  uint64_t seed = 1;
  for (const int k : {64, 128, 512}) {
    for (const double spread : {0.0, 3.0, 8.0}) {
      for (int run = 0; run < 8; ++run) ExpectEqualBits(k, spread, seed++);
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cuda
