// Many tokens: those of one page are one CTA's work, which gathers what a KV head holds of the page
// in shared memory and writes it in whole lines. (One position's codes are bytes of 64 sectors.)
//
//   tokens        ... 14 15 | 0  1  2  ...  15 | 0  1  2     places in their pages
//   CTA                b-1  |        b         |    b+1      grid.y: the KV head, its queries too
//
// A CTA looks at 16 tokens for first ones of a page; whatever follows such a one in its page comes
// with it. Pages that are not filled, decode steps and ends of chunks, are written byte by byte.
#pragma once

#include "atom/kernels/cuda/attention/append/head.cuh"
#include "atom/kernels/cuda/device/dependent_launch.h"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda::append {

/// The tokens of a CTA: [first, end), and from `filled` on those of a page that they fill.
struct PageTokens {
  int first, end, filled;

  __device__ PageTokens(const AppendKv& call, int begin, int lane) {
    // Lane i looks at token begin + i: a page's first one, or behind the last.
    const int token = begin + lane;
    bool leads = token >= call.tokens || token == 0;
    if (!leads) {
      const int slot = __ldg(call.slots + token), before = __ldg(call.slots + token - 1);
      leads = slot < 0 || slot % kPagePositions == 0 || slot != before + 1;
    }
    const uint32_t leaders = __ballot_sync(~0u, leads);
    const uint32_t own = leaders & ((1u << kPagePositions) - 1);
    first = begin + __ffs(own) - 1;
    const int last = 31 - __clz(own);  // the last own page's first token
    end = own == 0 ? first : begin + last + __ffs(leaders >> (last + 1));
    // Others have a first one of another page within 16 tokens.
    filled = end - (begin + last) == kPagePositions ? begin + last : end;
    end = min(end, call.tokens);
  }
};

template <KvStorage kStorage, int kHeadDim>
__global__ void __launch_bounds__(kWarps * 32, 4)
    AppendPagesKernel(const __grid_constant__ AppendKv call) {
  __shared__ __align__(16) float scratch[kWarps][kHeadDim];
  __shared__ __align__(16) char image[HeadPageBytes(kStorage, kHeadDim)];
  ptx::LaunchDependents();
  ptx::WaitForPredecessors();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int kv_head = blockIdx.y, group = call.heads / call.kv.kv_heads;
  const PageTokens tokens(call, static_cast<int>(blockIdx.x) * kPagePositions, lane);
  if (tokens.first >= tokens.end) return;
  for (int token = tokens.first + warp; token < tokens.end; token += kWarps) {
    const auto angles = AnglesOf<kHeadDim>(call, token, lane);
    AppendHeads<kStorage, kHeadDim, 2>(
        call, token, 2,
        [&](int i) {
          return Head{kv_head, false, i == 1};
        },
        angles, token >= tokens.filled ? image : nullptr, scratch[warp], lane);
    constexpr int kAtOnce = kHeadDim <= 128 ? 4 : 2;
    for (int first = 0; first < group; first += kAtOnce) {
      AppendHeads<kStorage, kHeadDim, kAtOnce>(
          call, token, min(kAtOnce, group - first),
          [&](int i) {
            return Head{kv_head * group + first + i, true, false};
          },
          angles, nullptr, scratch[warp], lane);
    }
  }
  if (tokens.filled >= tokens.end) return;
  __syncthreads();
  constexpr int kWords = HeadPageBytes(kStorage, kHeadDim) / 16;
  auto* to = reinterpret_cast<uint4*>(
      Place::Of<kStorage, kHeadDim>(call.kv, false, kv_head, __ldg(call.slots + tokens.filled))
          .page);
  for (int i = threadIdx.x; i < kWords; i += kWarps * 32) {
    to[i] = reinterpret_cast<const uint4*>(image)[i];
  }
}

template <KvStorage kStorage, int kHeadDim>
cudaError_t LaunchPages(const AppendKv& call, cudaStream_t stream) {
  const dim3 grid((call.tokens + kPagePositions - 1) / kPagePositions, call.kv.kv_heads);
  return LaunchDependent(AppendPagesKernel<kStorage, kHeadDim>, grid, kWarps * 32, 0, stream, call);
}

}  // namespace atom::kernels::cuda::append
