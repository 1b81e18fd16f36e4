#include <cstdint>

#include "atom/kernels/cuda/ptx/mbarrier.h"

#include "tests/kernels/cuda/lost_arrival.h"

namespace atom::kernels::cuda {
namespace {

__global__ void Wait() {
  __shared__ uint64_t barrier;
  if (threadIdx.x == 0) {
    ptx::MbarrierInit(ptx::SharedAddress(&barrier), 1);
    ptx::FenceMbarrierInit();
  }
  __syncthreads();
  ptx::MbarrierWait(ptx::SharedAddress(&barrier), 0);
}

}  // namespace

cudaError_t WaitForLostArrival() {
  Wait<<<1, 32>>>();
  return cudaDeviceSynchronize();
}

}  // namespace atom::kernels::cuda
