// One CTA moves eight slots' rows of some K blocks. A row has 128 bytes in a K block, in chunks of
// 16 whose order follows from its place among its eight (packed_activation.h, packed_dense.h):
// eight threads move them from one order to the other.
#include "atom/kernels/cuda/device/dependent_launch.h"
#include "atom/kernels/cuda/moe/moe_calls.h"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocksAtOnce = kThreads / 64;
constexpr int kRounds = 4;
constexpr int kBlocksOfCta = kBlocksAtOnce * kRounds;

/// Place of chunk `chunk` of a row in a K block of so many rows.
__device__ __forceinline__ int64_t ChunkOffset(int64_t rows, int block, int64_t row, int chunk) {
  return (block * rows + row) * 128 + ((chunk ^ static_cast<int>(row % 8)) * 16);
}

__global__ void __launch_bounds__(kThreads) GatherPairsKernel(GatherPairsCall call) {
  ptx::LaunchDependents();
  ptx::WaitForPredecessors();
  const int first_slot = static_cast<int>(blockIdx.x) * 8;
  if (call.slot_pairs[first_slot] < 0) return;  // and none behind it
  const int slot = first_slot + static_cast<int>(threadIdx.x) % 64 / 8;
  const int chunk = static_cast<int>(threadIdx.x) % 8;
  const int pair = call.slot_pairs[slot];
  const int first_block =
      static_cast<int>(blockIdx.y) * kBlocksOfCta + static_cast<int>(threadIdx.x) / 64;
  if (pair >= 0) {
    const int64_t row = pair / call.pairs_of_row;
    uint4 values[kRounds];
#pragma unroll
    for (int i = 0; i < kRounds; ++i) {
      const int block = first_block + i * kBlocksAtOnce;
      if (block >= call.blocks) continue;
      values[i] =
          *reinterpret_cast<const uint4*>(call.x + ChunkOffset(call.x_rows, block, row, chunk));
    }
#pragma unroll
    for (int i = 0; i < kRounds; ++i) {
      const int block = first_block + i * kBlocksAtOnce;
      if (block >= call.blocks) continue;
      *reinterpret_cast<uint4*>(call.to + ChunkOffset(call.slots, block, slot, chunk)) = values[i];
    }
  }
  if (blockIdx.y > 0) return;
  // Scales: thread by thread another group, its slots side by side.
  const int scaled = first_slot + static_cast<int>(threadIdx.x) % 8;
  const int its_pair = call.slot_pairs[scaled];
  if (its_pair < 0) return;
  const int64_t row = its_pair / call.pairs_of_row;
  if (call.tokens != nullptr && threadIdx.x < 8) call.to_tokens[scaled] = call.tokens[row];
  for (int group = static_cast<int>(threadIdx.x) / 8; group < call.groups; group += kThreads / 8) {
    call.to_group_scales[int64_t{group} * call.slots + scaled] =
        call.group_scales[group * call.x_rows + row];
  }
}

}  // namespace

cudaError_t EnqueueGatherPairs(const GatherPairsCall& call, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(call.slots / 8),
                  static_cast<unsigned>((call.blocks + kBlocksOfCta - 1) / kBlocksOfCta));
  return LaunchDependent(GatherPairsKernel, grid, kThreads, 0, stream, call);
}

}  // namespace atom::kernels::cuda
