// What steps set aside on the device, planned without a GPU.
#include "atom/kernels/cuda/backend/cuda_step.h"

#include "gtest/gtest.h"

namespace atom::kernels::cuda {
namespace {

/// Attention and vocabulary of llama-7b, with an exact window of 32.
ScratchSizes ScratchOf(int64_t rows, int64_t sequences, int64_t positions) {
  StepPlan plan;
  const PagePool pool = {.page_positions = 16, .exact_window = 32};
  plan.batch = {.rows = rows,
                .sequences = sequences,
                .pages = sequences * PagesFor(positions, 16),
                .exact_pages = ExactPagesOfStep(pool, rows, sequences)};
  plan.attention.push_back({.heads = 32, .kv_heads = 32, .head_dim = 128});
  plan.vocabulary = 32000;
  DeviceProperties device;
  device.multiprocessors = 132;
  return ScratchSizes(plan, device);
}

TEST(CudaScratch, OfAModelOfSevenBillionIsSmallBesideItsWeights) {
  constexpr int64_t kMiB = 1 << 20;
  // generate: one sequence in chunks of 512; quantize: in one step; serve: 64 of them.
  EXPECT_LT(ScratchOf(512, 1, 4096).device_bytes(), 64 * kMiB);
  EXPECT_LT(ScratchOf(2048, 1, 2048).device_bytes(), 64 * kMiB);
  EXPECT_LT(ScratchOf(512, 64, 4096).device_bytes(), 256 * kMiB);
}

TEST(CudaScratch, HasRoomForThePaddingOfDecodeSteps) {
  // 5 sequences decode as 8.
  EXPECT_GE(ScratchOf(5, 5, 64).counters, ScratchOf(8, 8, 64).counters);
  EXPECT_GE(ScratchOf(5, 5, 64).slots, ScratchOf(8, 8, 64).slots);
}

}  // namespace
}  // namespace atom::kernels::cuda
