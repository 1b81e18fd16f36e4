// A lost arrival ends its kernel with an error, within seconds; it never hangs the card. In a
// process of its own, since the error takes the CUDA context with it.
#include <cstdlib>

#include "gtest/gtest.h"
#include "tests/kernels/cuda/cuda_test.h"
#include "tests/kernels/cuda/lost_arrival.h"

namespace atom::kernels::cuda {
namespace {

using CudaMbarrierDeathTest = CudaTest;

TEST_F(CudaMbarrierDeathTest, LostArrivalIsAnError) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(std::exit(WaitForLostArrival() == cudaSuccess ? 1 : 0), ::testing::ExitedWithCode(0),
              "");
}

}  // namespace
}  // namespace atom::kernels::cuda
