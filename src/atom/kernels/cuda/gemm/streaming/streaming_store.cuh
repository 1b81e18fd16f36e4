// From sums to y: dequantization of integer sums, addition of partial sums, and stores.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "atom/kernels/cuda/gemm/streaming/streaming_products.cuh"
#include "atom/kernels/cuda/ptx/cluster.h"

namespace atom::kernels::cuda {

__device__ __forceinline__ float ToFloat32(float v) { return v; }
__device__ __forceinline__ float ToFloat32(__half v) { return __half2float(v); }
__device__ __forceinline__ float ToFloat32(__nv_bfloat16 v) { return __bfloat162float(v); }
__device__ __forceinline__ void FromFloat32(float v, float& to) { to = v; }
__device__ __forceinline__ void FromFloat32(float v, __half& to) { to = __float2half_rn(v); }
__device__ __forceinline__ void FromFloat32(float v, __nv_bfloat16& to) {
  to = __float2bfloat16_rn(v);
}

/// Calls each(y) with y as a pointer to the launch's output type.
template <class Each>
__device__ __forceinline__ void WithOutputType(const StreamingArgs& args, const Each& each) {
  switch (args.output) {
    case GemmOutput::kHalf:
      return each(static_cast<__half*>(args.operands.y));
    case GemmOutput::kBFloat16:
      return each(static_cast<__nv_bfloat16*>(args.operands.y));
    case GemmOutput::kFloat:
      return each(static_cast<float*>(args.operands.y));
  }
}

template <class T>
__device__ __forceinline__ void StoreOne(T* y, float value, bool add) {
  FromFloat32(add ? __fadd_rn(ToFloat32(*y), value) : value, *y);
}

/// Scales of a CTA's rows and tokens, in shared memory.
template <StreamShape kShape>
struct SideTables {
  const RowScales* rows;
  const TokenScales* tokens;
  bool outliers;

  __device__ SideTables(const StreamingArgs& args, const char* memory)
      : rows(reinterpret_cast<const RowScales*>(memory + StreamShape::kRowScales)),
        tokens(reinterpret_cast<const TokenScales*>(memory + kShape.token_scales())),
        outliers(args.steps8 > 0) {}

  /// docs/numerics.md section 3, integer group scales and W8A8; the bias comes last.
  __device__ __forceinline__ float Dequantize(const RowScales& row, const TokenScales& token,
                                              int32_t sum, int32_t outlier_sum) const {
    const float outlier_scale = __fmul_rn(token.outlier_scale, row.outlier_scale);
    float value;
    if constexpr (kShape.recipe == GemmRecipe::kInt8) {
      value = __fmul_rn(static_cast<float>(outlier_sum), outlier_scale);
    } else {
      // The unsigned bytes of the weight carry a bias of 128 (packed_weight.h).
      const int32_t unbiased = sum - 128 * token.sum;
      value = __fmul_rn(static_cast<float>(unbiased), __fmul_rn(token.scale, row.scale));
      if (outliers) value = __fmaf_rn(static_cast<float>(outlier_sum), outlier_scale, value);
    }
    return __fadd_rn(value, row.bias);
  }
};

/// Where row `row` of the tile goes: its column of y, and how many rows from it on exist in its row
/// block (0 or less: none).
struct RowPlace {
  int column;
  int left;
};
template <StreamShape kShape>
__device__ __forceinline__ RowPlace PlaceOf(const StreamingArgs& args,
                                            const StreamTile<kShape>& tile, int row) {
  const int row_block = tile.first_row_block + row / static_cast<int>(kBlockRows);
  if (row_block >= args.row_blocks) return {0, 0};
  const StreamedWeight& weight = args.weights[WeightOf(args, row_block)];
  const int n = (row_block - weight.first_row_block) * static_cast<int>(kBlockRows) +
                row % static_cast<int>(kBlockRows);
  return {weight.column + n, weight.n - n};
}

/// Values of four neighbouring columns, of which `left` exist.
template <class T>
__device__ __forceinline__ void StoreFour(T* y, const float (&values)[4], int left, bool add) {
  if (left >= 4 && !add && reinterpret_cast<uintptr_t>(y) % (4 * sizeof(T)) == 0) {
    struct alignas(4 * sizeof(T)) Four {
      T v[4];
    } four;
#pragma unroll
    for (int r = 0; r < 4; ++r) FromFloat32(values[r], four.v[r]);
    *reinterpret_cast<Four*>(y) = four;
    return;
  }
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    if (r < left) StoreOne(y + r, values[r], add);
  }
}

/// Stores a warpgroup's values, laid out as wgmma's D. `value(i, row, token)` finishes value i of
/// this thread; row 0 or 1 of its two, token counted within the tile.
template <StreamShape kShape, class Value>
__device__ __forceinline__ void StoreValues(const StreamingArgs& args,
                                            const StreamTile<kShape>& tile, int first_row,
                                            int first_token, const Value& value) {
  const RowPlace places[2] = {PlaceOf(args, tile, first_row), PlaceOf(args, tile, first_row + 8)};
  const int left =
      tile.EndToken(args) - tile.first_token - first_token;  // tokens from this thread's first on
  const int start = tile.first_token + first_token;
  WithOutputType(args, [&](auto* y) {
#pragma unroll
    for (int i = 0; i < kShape.values(); ++i) {
      const int row = i % 4 / 2;
      const int token = 8 * (i / 4) + i % 2;
      if (places[row].left > 0 && token < left) {
        StoreOne(
            y + RowOfY<kShape>(args, start + token) * args.operands.y_stride + places[row].column,
            value(i, row, first_token + token), args.add);
      }
    }
  });
}

/// fp32 sums, complete but for the bias.
template <StreamShape kShape>
__device__ __forceinline__ void StoreSums(const StreamingArgs& args, const StreamTile<kShape>& tile,
                                          const SideTables<kShape>& side,
                                          const StreamPlace<kShape>& place,
                                          const float (&sum)[kShape.values()]) {
  const int row = place.first_row();
  const float bias[2] = {side.rows[row].bias, side.rows[row + 8].bias};
  StoreValues(args, tile, row, place.first_token(),
              [&](int v, int r, int) { return __fadd_rn(sum[v], bias[r]); });
}

/// Adds the integer sums of the ways of K, and of the CTAs of the cluster, and stores y. All
/// consumers call it, with a cluster the producer joins its two barriers; the sums lie in shared
/// memory at `partials`: [kinds][ways][tokens][PartialStride].
template <StreamShape kShape>
__device__ void StorePartials(const StreamingArgs& args, const StreamTile<kShape>& tile,
                              const SideTables<kShape>& side, uint32_t partials) {
  constexpr int kStride = kShape.partial_stride();
  constexpr int kWayBytes = kShape.tile_tokens() * kStride * 4;
  // Each CTA of a cluster finishes its share of the tokens.
  constexpr int kShare = kShape.tile_tokens() / kShape.cluster;
  constexpr int kQuads = kShape.rows() / 4;
  if constexpr (kShape.cluster > 1) ptx::ClusterSync();
  WithOutputType(args, [&](auto* y) {
#pragma unroll 1
    for (int q = threadIdx.x; q < kShare * kQuads; q += kShape.consumers()) {
      const int token = tile.rank * kShare + q / kQuads;
      const int row = q % kQuads * 4;
      if (tile.first_token + token >= tile.EndToken(args)) continue;
      int32_t sum[2][4] = {};
#pragma unroll
      for (int kind = 0; kind < 2; ++kind) {
        if (kind == 0 && kShape.recipe == GemmRecipe::kInt8) continue;
        if (kind == 1 && !side.outliers) continue;
#pragma unroll
        for (int w = 0; w < kShape.ways * kShape.cluster; ++w) {
          const uint32_t at = partials + (kind * kShape.ways + w % kShape.ways) * kWayBytes +
                              (token * kStride + row) * 4;
          int4 v;
          if constexpr (kShape.cluster > 1) {
            v = ptx::LoadRemote(ptx::MapToRank(at, w / kShape.ways));
          } else {
            const uint4 u = LoadShared16(at);
            v = make_int4(u.x, u.y, u.z, u.w);
          }
          sum[kind][0] += v.x;
          sum[kind][1] += v.y;
          sum[kind][2] += v.z;
          sum[kind][3] += v.w;
        }
      }
      const RowPlace place = PlaceOf(args, tile, row);
      const TokenScales token_scales = side.tokens[token];
      float values[4];
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        values[r] = side.Dequantize(side.rows[row + r], token_scales, sum[0][r], sum[1][r]);
      }
      const int64_t y_row = RowOfY<kShape>(args, tile.first_token + token);
      StoreFour(y + y_row * args.operands.y_stride + place.column, values, place.left, args.add);
    }
  });
  if constexpr (kShape.cluster > 1) ptx::ClusterSync();  // remote reads are done before a CTA ends
}

}  // namespace atom::kernels::cuda
