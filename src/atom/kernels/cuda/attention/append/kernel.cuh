// Few tokens, of decode steps: a warp has one head of one token.
#pragma once

#include "atom/kernels/cuda/attention/append/page_kernel.cuh"
#include "atom/kernels/cuda/attention/dispatch.h"

namespace atom::kernels::cuda::append {

template <KvStorage kStorage, int kHeadDim>
__global__ void __launch_bounds__(kWarps * 32) AppendKernel(const __grid_constant__ AppendKv call) {
  __shared__ __align__(16) float scratch[kWarps][kHeadDim];  // a head's channels, or its codes
  ptx::LaunchDependents();
  if (!call.lists_are_older) ptx::WaitForPredecessors();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int heads = call.heads + 2 * call.kv.kv_heads;
  const int task = static_cast<int>(blockIdx.x) * kWarps + warp;
  const int token = task / heads, head = task % heads;
  const auto angles = AnglesOf<kHeadDim>(call, min(token, call.tokens - 1), lane);
  if (call.lists_are_older) ptx::WaitForPredecessors();
  if (token >= call.tokens) return;
  AppendHeads<kStorage, kHeadDim, 1>(
      call, token, 1, [&](int) { return Head::Of(call, head); }, angles, nullptr, scratch[warp],
      lane);
}

template <KvStorage kStorage, int kHeadDim>
cudaError_t LaunchHeads(const AppendKv& call, cudaStream_t stream) {
  const int64_t tasks = int64_t{call.tokens} * (call.heads + 2 * call.kv.kv_heads);
  return LaunchDependent(AppendKernel<kStorage, kHeadDim>,
                         {static_cast<unsigned>((tasks + kWarps - 1) / kWarps), 1, 1}, kWarps * 32,
                         0, stream, call);
}

template <KvStorage kStorage, int kHeadDim>
cudaError_t LaunchAs(const AppendKv& call, cudaStream_t stream) {
  constexpr int kManyTokens = 1024;
  return call.tokens < kManyTokens ? LaunchHeads<kStorage, kHeadDim>(call, stream)
                                   : LaunchPages<kStorage, kHeadDim>(call, stream);
}

/// To be instantiated in a file of its own for each head_dim.
template <int kHeadDim>
cudaError_t Launch(const AppendKv& call, cudaStream_t stream) {
  return WithStorage(call.kv.storage,
                     [&](auto storage) { return LaunchAs<storage.value, kHeadDim>(call, stream); });
}

}  // namespace atom::kernels::cuda::append
