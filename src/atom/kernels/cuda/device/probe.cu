#include "atom/kernels/cuda/device/probe.h"

namespace atom::kernels::cuda {
namespace {

__global__ void Probe() {}

}  // namespace

cudaError_t FindKernelImage() {
  cudaFuncAttributes attributes;
  return cudaFuncGetAttributes(&attributes, Probe);
}

}  // namespace atom::kernels::cuda
