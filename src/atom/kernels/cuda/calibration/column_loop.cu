// A warp has the block's columns of one row (or of the two that share a scale), four a lane:
//
//   lane 0: columns 0 1 2 3 | lane 1: 4 5 6 7 | …
//   column i: its lane's value to all ─ point, error ─ every lane: columns behind i −= U_ij · error
//
// A group's ratio is searched by as many lanes as there are ratios, each with one of its own.
// Products and sums are rounded one by one, as the host's loop does.
#include <cuda_fp16.h>

#include "atom/kernels/cuda/calibration/column_loop_call.h"

namespace atom::kernels::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kFour = 4;
constexpr unsigned kAll = ~0u;

struct Grid {
  float scale, inv, low, high;

  __device__ __forceinline__ float Point(float x) const {
    const float code = __fmul_rn(x, inv);
    const float finite = code == code ? code : 0.0f;
    return __fmul_rn(rintf(fminf(fmaxf(finite, low), high)), scale);
  }
};

/// The grid of symmetric integers in [−amax, amax] times a ratio (docs/numerics.md, section 2).
__device__ __forceinline__ Grid FitGrid(const ColumnLoopCall& call, float amax, float row_scale,
                                        float clip) {
  constexpr float kSmallest = 0x1p-24f, kLargest = 65504.0f;
  const float width = __fmul_rn(amax == 0.0f ? 2.0f : __fadd_rn(amax, amax), clip);
  const float step = __fdiv_rn(width, static_cast<float>((1 << call.bits) - 1));
  const float clamped = step > kSmallest ? fminf(step, kLargest) : kSmallest;
  Grid grid;
  if (call.row_scales == nullptr) {
    grid.scale = __half2float(__float2half_rn(clamped));
  } else {
    const float multiple = fminf(fmaxf(__fdiv_rn(clamped, row_scale), 1.0f), 15.0f);
    grid.scale = __fmul_rn(row_scale, rintf(multiple));
  }
  grid.inv = __fdiv_rn(1.0f, grid.scale);
  grid.low = static_cast<float>(-(1 << (call.bits - 1)));
  grid.high = static_cast<float>((1 << (call.bits - 1)) - 1);
  return grid;
}

/// What all warps of a CTA share.
struct Shared {
  float u[kLoopColumns][kLoopColumns];
  float diagonal[kLoopColumns];
  float weights[kLoopColumns];  // 1 / u_jj²
  float values[kWarps][kMostLoopRows][kLoopColumns];
};

template <int kRows>
class RowLoop {
 public:
  __device__ RowLoop(const ColumnLoopCall& call, Shared& shared, int64_t row)
      : call_(call),
        shared_(shared),
        warp_(static_cast<int>(threadIdx.x) / 32),
        lane_(static_cast<int>(threadIdx.x) % 32),
        row_(row),
        row_scale_(call.row_scales == nullptr ? 0.0f : call.row_scales[row]) {}

  __device__ void Run() {
    Load();
    for (int quad = 0; quad < call_.width / kFour; ++quad) {
      if (quad * kFour % call_.group == 0) Fit(quad * kFour);
#pragma unroll
      for (int c = 0; c < kFour; ++c) RoundColumn(quad, c);
    }
    Store();
  }

 private:
  __device__ bool inside() const { return lane_ * kFour < call_.width; }
  __device__ float4* At(float* matrix, int64_t row, int64_t columns, int64_t column) const {
    return reinterpret_cast<float4*>(matrix + row * columns + column);
  }

  __device__ void Load() {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float4 four = inside() ? *At(call_.w, row_ + r, call_.k, call_.begin + lane_ * kFour)
                                   : float4{0, 0, 0, 0};
      w_[r][0] = four.x, w_[r][1] = four.y, w_[r][2] = four.z, w_[r][3] = four.w;
    }
  }

  __device__ void Store() {
    if (!inside()) return;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      *At(call_.w, row_ + r, call_.k, call_.begin + lane_ * kFour) =
          float4{w_[r][0], w_[r][1], w_[r][2], w_[r][3]};
      if (call_.u == nullptr) continue;
      *At(call_.errors, row_ + r, kLoopColumns, lane_ * kFour) =
          float4{errors_[r][0], errors_[r][1], errors_[r][2], errors_[r][3]};
    }
  }

  /// The grid of the group that begins at column `first` of the block.
  __device__ void Fit(int first) {
    float amax = 0.0f;
    const bool mine = lane_ * kFour >= first && lane_ * kFour < first + call_.group;
    __syncwarp();
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int c = 0; c < kFour; ++c) {
        shared_.values[warp_][r][lane_ * kFour + c] = w_[r][c];
        if (mine) amax = fmaxf(amax, fabsf(w_[r][c]));  // of a NaN and a number, the number
      }
    }
    __syncwarp();
    for (int distance = 16; distance > 0; distance /= 2) {
      amax = fmaxf(amax, __shfl_xor_sync(kAll, amax, distance));
    }
    grid_ = FitGrid(call_, amax, row_scale_, call_.search ? Search(first, amax) : call_.clip);
    if (lane_ != 0) return;
    const int64_t group = (call_.begin + first) / call_.group;
#pragma unroll
    for (int r = 0; r < kRows; ++r) call_.scales[group * call_.n + row_ + r] = grid_.scale;
  }

  /// The ratio with the least error, columns ascending; of equals the first.
  __device__ float Search(int first, float amax) {
    const float ratio = call_.ratios[lane_ < call_.ratio_count ? lane_ : 0];
    const Grid grid = FitGrid(call_, amax, row_scale_, ratio);
    float error = 0.0f;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      float sum = 0.0f;
      for (int j = first; j < first + call_.group; ++j) {
        const float value = shared_.values[warp_][r][j];
        const float difference = __fsub_rn(value, grid.Point(value));
        sum = __fadd_rn(sum, __fmul_rn(__fmul_rn(difference, difference), shared_.weights[j]));
      }
      error = __fadd_rn(error, sum);
    }
    if (!(error < INFINITY) || lane_ >= call_.ratio_count) error = INFINITY;
    int best = lane_;
    for (int distance = 16; distance > 0; distance /= 2) {
      const float other = __shfl_xor_sync(kAll, error, distance);
      const int who = __shfl_xor_sync(kAll, best, distance);
      if (other < error || (other == error && who < best)) error = other, best = who;
    }
    return __shfl_sync(kAll, ratio, best);
  }

  __device__ __forceinline__ void RoundColumn(int quad, int c) {
    const int i = quad * kFour + c;
    float4 u = {0, 0, 0, 0};
    if (call_.u != nullptr) u = *reinterpret_cast<const float4*>(&shared_.u[i][lane_ * kFour]);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float value = __shfl_sync(kAll, w_[r][c], quad);
      const float point = grid_.Point(value);
      if (call_.u != nullptr) {
        const float error = __fdiv_rn(__fsub_rn(value, point), shared_.diagonal[i]);
        w_[r][0] = __fsub_rn(w_[r][0], __fmul_rn(u.x, error));
        w_[r][1] = __fsub_rn(w_[r][1], __fmul_rn(u.y, error));
        w_[r][2] = __fsub_rn(w_[r][2], __fmul_rn(u.z, error));
        w_[r][3] = __fsub_rn(w_[r][3], __fmul_rn(u.w, error));
        if (lane_ == quad) errors_[r][c] = error;
      }
      if (lane_ == quad) w_[r][c] = point;
    }
  }

  const ColumnLoopCall& call_;
  Shared& shared_;
  int warp_, lane_;
  int64_t row_;
  float row_scale_;
  Grid grid_ = {};
  float w_[kRows][kFour], errors_[kRows][kFour] = {};
};

template <int kRows>
__global__ void __launch_bounds__(kWarps * 32)
    ColumnLoopKernel(const __grid_constant__ ColumnLoopCall call) {
  extern __shared__ __align__(16) char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  for (int at = threadIdx.x; at < kLoopColumns * kLoopColumns; at += kWarps * 32) {
    const int i = at / kLoopColumns, j = at % kLoopColumns;
    const bool inside = call.u != nullptr && i < call.width && j < call.width && j > i;
    shared.u[i][j] = inside ? call.u[i * call.k + j] : 0.0f;
  }
  for (int j = threadIdx.x; j < call.width; j += kWarps * 32) {
    const float u = call.diagonal[call.begin + j];
    shared.diagonal[j] = u;
    shared.weights[j] = __fdiv_rn(1.0f, __fmul_rn(u, u));
  }
  __syncthreads();
  const int64_t stride = int64_t{gridDim.x} * kWarps * kRows;
  for (int64_t row = (int64_t{blockIdx.x} * kWarps + threadIdx.x / 32) * kRows; row < call.n;
       row += stride) {
    RowLoop<kRows>(call, shared, row).Run();
  }
}

template <int kRows>
cudaError_t Launch(const ColumnLoopCall& call, cudaStream_t stream) {
  constexpr int kMostBlocks = 264;  // two of each SM: all find their factor once
  const cudaError_t raised =
      cudaFuncSetAttribute(ColumnLoopKernel<kRows>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(sizeof(Shared)));
  if (raised != cudaSuccess) return raised;
  const int64_t units = (call.n / kRows + kWarps - 1) / kWarps;
  const auto blocks = static_cast<unsigned>(units < kMostBlocks ? units : kMostBlocks);
  ColumnLoopKernel<kRows><<<blocks, kWarps * 32, sizeof(Shared), stream>>>(call);
  return cudaGetLastError();
}

}  // namespace

cudaError_t EnqueueColumnLoop(const ColumnLoopCall& call, cudaStream_t stream) {
  if (call.n == 0 || call.width == 0) return cudaSuccess;
  return call.channel_group == 1 ? Launch<1>(call, stream) : Launch<2>(call, stream);
}

}  // namespace atom::kernels::cuda
