// A CTA computes 128 tokens × 128 outputs, 8 warps of 64 × 32 each. K goes by in blocks of 64 bytes
// a row, low-bit blocks (128 columns) first, then outlier blocks (64 columns), through a ring of
// stages that cp.async fills three blocks ahead:
//
//   a stage   | X: 128 rows × 64 B | W: 128 rows × 64 B |
//   a row     16-byte chunk c lies at chunk c ^ (row/2 % 4): ldmatrix finds 8 rows in 8 banks
//
// A step is 32 bytes a row: 64 low-bit columns or 32 outlier columns, whose fragments are alike.
#include "atom/kernels/cuda/gemm/s4/s4_call.h"
#include "atom/kernels/cuda/ptx/async_copy.h"
#include "atom/kernels/cuda/ptx/matrix.h"
#include "atom/kernels/cuda/ptx/mma_integer.h"
#include "atom/kernels/cuda/rows/row_values.cuh"

namespace atom::kernels::cuda::s4 {
namespace {

constexpr int kTokenTiles = 4, kOutputTiles = 4;  // of a warp: 16 tokens, 8 outputs each

/// Byte of (row, chunk of 16 bytes) in an operand's half of a stage.
__device__ __forceinline__ int ChunkOffset(int row, int chunk) {
  return row * kBlockBytes + ((chunk ^ (row / 2 % 4)) * 16);
}

/// What a thread copies of one block: chunk `threadIdx % 4` of rows threadIdx / 4 and + 64.
__device__ __forceinline__ void CopyOperand(uint32_t to, const CodeRows& rows, int first, int count,
                                            int block, int row_bytes) {
  const int chunk = static_cast<int>(threadIdx.x) % 4;
  const int byte = block * kBlockBytes + chunk * 16;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = static_cast<int>(threadIdx.x) / 4 + 64 * half;
    const bool inside = first + row < count && byte < row_bytes;
    const uint8_t* from = inside ? rows.data + (first + row) * rows.stride + byte : rows.data;
    ptx::AsyncCopy16(to + ChunkOffset(row, chunk), from, inside ? 16 : 0);
  }
}

struct Accumulators {
  int sums[kTokenTiles][kOutputTiles][4];
  float values[kTokenTiles][kOutputTiles][4];
};

/// Scales of a thread's tokens (2 a tile) and outputs (2 a tile).
struct Scales {
  float x[kTokenTiles][2];
  float w[kOutputTiles][2];
};

class Tile {
 public:
  __device__ explicit Tile(const S4GemmCall& call)
      : call_(call),
        lane_(static_cast<int>(threadIdx.x) % 32),
        token_(static_cast<int>(blockIdx.x) * kTile + static_cast<int>(threadIdx.x) / 128 * 64 +
               lane_ / 4),
        output_(static_cast<int>(blockIdx.y) * kTile + static_cast<int>(threadIdx.x) / 32 % 4 * 32 +
                lane_ % 4 * 2) {}

  __device__ int Token(int tile, int half) const { return token_ + 16 * tile + 8 * half; }
  __device__ int Output(int tile, int half) const { return output_ + 8 * tile + half; }

  __device__ Scales Load(const float* x, const __half* w) const {
    Scales scales;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < kTokenTiles; ++i) {
        const int token = Token(i, half);
        scales.x[i][half] = token < call_.m ? __ldg(x + token) : 0.0f;
      }
#pragma unroll
      for (int j = 0; j < kOutputTiles; ++j) {
        const int output = Output(j, half);
        scales.w[j][half] = output < call_.n ? __half2float(__ldg(w + output)) : 0.0f;
      }
    }
    return scales;
  }

  /// Adds step `step` (0 or 1) of a stage to the sums.
  template <bool kLowBit>
  __device__ void Multiply(uint32_t stage, int step, Accumulators& acc) const {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int matrix = lane_ / 8, row = lane_ % 8;
    uint32_t b[kOutputTiles / 2][4];
#pragma unroll
    for (int j = 0; j < kOutputTiles / 2; ++j) {  // two tiles of 8 outputs: rows, then chunks
      const int r = warp % 4 * 32 + 16 * j + matrix / 2 * 8 + row;
      ptx::LdMatrix4(b[j], stage + kOperandBytes + ChunkOffset(r, 2 * step + matrix % 2));
    }
#pragma unroll
    for (int i = 0; i < kTokenTiles; ++i) {
      const int r = warp / 4 * 64 + 16 * i + matrix % 2 * 8 + row;
      uint32_t a[4];
      ptx::LdMatrix4(a, stage + ChunkOffset(r, 2 * step + matrix / 2));
#pragma unroll
      for (int j = 0; j < kOutputTiles; ++j) {
        const uint32_t b0 = b[j / 2][j % 2 * 2], b1 = b[j / 2][j % 2 * 2 + 1];
        if constexpr (kLowBit) {
          ptx::MmaS4(acc.sums[i][j], a, b0, b1);
        } else {
          ptx::MmaS8(acc.sums[i][j], a, b0, b1);
        }
      }
    }
  }

  /// values = fma(sum, scale of the token · scale of the output, values); sums = 0.
  __device__ void Promote(const Scales& scales, Accumulators& acc) const {
#pragma unroll
    for (int i = 0; i < kTokenTiles; ++i) {
#pragma unroll
      for (int j = 0; j < kOutputTiles; ++j) {
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          const float scale = __fmul_rn(scales.x[i][c / 2], scales.w[j][c % 2]);
          acc.values[i][j][c] =
              __fmaf_rn(__int2float_rn(acc.sums[i][j][c]), scale, acc.values[i][j][c]);
          acc.sums[i][j][c] = 0;
        }
      }
    }
  }

  __device__ void Store(const Accumulators& acc) const {
#pragma unroll
    for (int i = 0; i < kTokenTiles; ++i) {
#pragma unroll
      for (int j = 0; j < kOutputTiles; ++j) {
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          const int token = Token(i, c / 2), output = Output(j, c % 2);
          if (token >= call_.m || output >= call_.n) continue;
          float value = acc.values[i][j][c];
          if (call_.bias != nullptr) value = __fadd_rn(value, __ldg(call_.bias + output));
          void* row = MutableRowAt(call_.y, token, 0);
          if (call_.add) value = __fadd_rn(LoadValue(row, call_.y.type, output), value);
          StoreValue(row, call_.y.type, output, value);
        }
      }
    }
  }

 private:
  const S4GemmCall& call_;
  int lane_;
  int token_, output_;  // the first of this thread
};

__global__ void __launch_bounds__(kThreads, 1) GemmKernel(const __grid_constant__ S4GemmCall call) {
  extern __shared__ __align__(128) unsigned char memory[];
  const auto ring = static_cast<uint32_t>(__cvta_generic_to_shared(memory));
  const Tile tile(call);
  const int blocks4 = (call.k4 + 127) / 128, blocks8 = (call.k8 + 63) / 64;
  const int blocks = blocks4 + blocks8;
  const int first_token = static_cast<int>(blockIdx.x) * kTile;
  const int first_output = static_cast<int>(blockIdx.y) * kTile;
  const auto copy = [&](int block) {
    if (block < blocks) {
      const uint32_t stage = ring + block % kStages * kStageBytes;
      const bool low = block < blocks4;
      const int index = low ? block : block - blocks4;
      const int bytes = low ? call.k4 / 2 : call.k8;
      CopyOperand(stage, low ? call.x4 : call.x8, first_token, call.m, index, bytes);
      CopyOperand(stage + kOperandBytes, low ? call.w4 : call.w8, first_output, call.n, index,
                  bytes);
    }
    ptx::AsyncCopyCommit();  // an empty group where nothing is left: waits count groups
  };
  for (int block = 0; block < kStages - 1; ++block) copy(block);

  Accumulators acc = {};
  Scales scales;
  const int group_steps = call.group / 64, steps4 = call.k4 / 64;
  int step = 0, in_group = 0;
  for (int block = 0; block < blocks; ++block) {
    ptx::AsyncCopyWait<kStages - 2>();
    __syncthreads();  // this block has landed; the one before it has been read by all
    copy(block + kStages - 1);
    const uint32_t stage = ring + block % kStages * kStageBytes;
    if (block >= blocks4) {
      if (block == blocks4) scales = tile.Load(call.x_outlier_scales, call.w_outlier_scales);
#pragma unroll
      for (int half = 0; half < 2; ++half) tile.Multiply<false>(stage, half, acc);
      continue;
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (step >= steps4) break;
      if (in_group == 0) {
        const int64_t group = step / group_steps;
        scales =
            tile.Load(call.x_scales + group * call.token_stride, call.w_scales + group * call.n);
      }
      tile.Multiply<true>(stage, half, acc);
      ++step;
      if (++in_group == group_steps) {
        tile.Promote(scales, acc);
        in_group = 0;
      }
    }
  }
  if (blocks8 > 0) tile.Promote(scales, acc);
  tile.Store(acc);
}

}  // namespace

cudaError_t EnqueueGemm(const S4GemmCall& call, const S4GemmPlan& plan, cudaStream_t stream) {
  if (cudaError_t error = cudaFuncSetAttribute(
          GemmKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes);
      error != cudaSuccess) {
    return error;
  }
  const dim3 grid(static_cast<unsigned>(plan.token_tiles),
                  static_cast<unsigned>(plan.output_tiles));
  GemmKernel<<<grid, kThreads, kSharedBytes, stream>>>(call);
  return cudaGetLastError();
}

}  // namespace atom::kernels::cuda::s4
