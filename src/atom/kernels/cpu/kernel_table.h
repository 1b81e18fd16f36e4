// The seam between what is compiled once and what is compiled per instruction set: the inner
// kernels as a table of functions on raw pointers. kernels_inl.h writes them once over the
// vocabulary of vec_*.h; isa_*.cc compile it with their flags; cpu_backend.cc picks a table.
//
// Plain structs only: an inline function here would be compiled with AVX-512 as well, and the
// linker keeps any one of the copies.
//
// Products run in blocks: some rows, some panels of 32 outputs, acc[rows][acc_stride] in scratch.
// The order of the float operations of one output is that of docs/numerics.md for every block
// shape, so a block may be cut anywhere.
#pragma once

#include <cstdint>

#include "atom/core/cpu_info.h"
#include "atom/core/half.h"
#include "atom/kernels/cpu/code_layout.h"
#include "atom/kernels/cpu/packed_layout.h"

namespace atom::kernels::cpu {

/// acc = (resume ? acc : 0) + x · wᵀ over inputs [0, k). `w` points at element (0, 0) of the first
/// panel, in panels of [k][32], panel_stride elements apart.
template <class W>
struct DenseBlock {
  const float* x = nullptr;
  int64_t x_stride = 0;
  int64_t rows = 0;
  int64_t k = 0;
  const W* w = nullptr;
  int64_t panel_stride = 0;
  int64_t panels = 0;
  float* acc = nullptr;
  int64_t acc_stride = 0;
  bool resume = false;
};

/// Codes of others to values, [end - first][32].
struct CodeBlock {
  const CodeLayout* layout = nullptr;
  const uint8_t* panel = nullptr;
  const int32_t* groups_of = nullptr;  ///< [K] the group of each input; null: k / group
  int64_t first = 0;                   ///< input
  int64_t end = 0;
  float* out = nullptr;
};

/// acc [32 count] = one row of inputs times the codes of `count` panels, over all of K.
struct CodeRow {
  const CodeLayout* layout = nullptr;
  const uint8_t* panels = nullptr;
  int64_t count = 0;
  const int32_t* groups_of = nullptr;  ///< as above
  const float* x = nullptr;
  float* acc = nullptr;
};

/// y = acc + bias, or y += acc + bias; acc [rows][acc_stride].
struct OutputBlock {
  const float* acc = nullptr;
  int64_t acc_stride = 0;
  int64_t rows = 0;
  int64_t columns = 0;
  const float* bias = nullptr;  ///< or null
  float* y = nullptr;
  int64_t y_stride = 0;
  const int32_t* y_rows = nullptr;  ///< [rows] where each goes, or null: one behind the other
  bool add = false;
};

/// y = x · wᵀ + bias, or y += …, for a packed weight and all of K. A column of register tiles is at
/// most kColumnOutputs wide; its sums stay in L1 until all of K is done.
inline constexpr int64_t kColumnOutputs = 64;
/// Lines of codes, 4 inputs each, that are folded at a time (packed_two_level_inl.h).
inline constexpr int64_t kFoldedDwords = 64;
inline constexpr int64_t kFoldedBytes = kFoldedDwords * 4 * kColumnOutputs;
/// Integers in a tile of sums (packed_amx_inl.h), and in all that are kept at a time.
inline constexpr int64_t kTileInts = 256;
inline constexpr int64_t kTileSums = 8 * kTileInts;
struct PackedBlock {
  const PackedLayout* layout = nullptr;
  const uint8_t* w = nullptr;  ///< first panel
  int64_t panels = 0;
  int64_t rows = 0;
  OutputBlock out;
  float* acc = nullptr;  ///< scratch, [rows][kColumnOutputs]

  // Integer activations: codes, with scales in fp32.
  const int8_t* codes = nullptr;  ///< a row: K4 codes, then at outlier_offset K8; 64 bytes readable
  int64_t codes_stride = 0;       ///< behind both
  int64_t outlier_offset = 0;
  const float* scales =
      nullptr;  ///< of group g: scales[g * scale_step]; two-level: S, then the outliers'
  int64_t scales_stride = 0;
  int64_t scale_step = 0;         ///< 0: one scale a row
  int64_t outlier_scale = 0;      ///< index in the row
  const int32_t* sums = nullptr;  ///< [rows][sums_stride], what start_sums wrote
  int64_t sums_stride = 0;
  /// Scratch where weights become bytes first, once for all rows, or null: kFoldedBytes, or for
  /// tiles all lines of a panel (packed_amx_inl.h).
  uint8_t* folded = nullptr;
  int32_t* tile_sums = nullptr;  ///< scratch, [kTileSums]

  // Dense activations (W4A16).
  const float* x = nullptr;
  int64_t x_stride = 0;
};

inline constexpr int64_t kTilePositions = 64;
inline constexpr int64_t kScoreStride = kTilePositions + 16;

/// K or V of one head in one page (kv_page.h).
struct KvRows {
  const uint8_t* values = nullptr;  ///< words of K; rows, or lines of quads, of V
  int64_t row_bytes = 0;            ///< of V of floats
  const Half* scales = nullptr;     ///< [16], of codes
  const Half* offsets = nullptr;    ///< what code 0 stands for; or
  bool integer_zeros = false;       ///< the code that stands for 0
  int64_t count = 0;                ///< positions from the page's first on
  int64_t head_dim = 0;
};

/// Query rows (of any heads of one KV head) against one tile of 64 positions.
struct AttentionTile {
  int64_t rows = 0;
  int64_t head_dim = 0;
  int64_t padded_dim = 0;         ///< rounded up to 32
  const float* q = nullptr;       ///< [rows][row_stride]
  int64_t row_stride = 0;         ///< of q, tile_out and out
  const float* keys = nullptr;    ///< [2][padded_dim][32]: panels of positions
  const float* values = nullptr;  ///< [padded_dim / 32][64][32]: panels of channels
  /// [rows] A row sees positions [hidden, visible) of the tile, some at least; both ascending.
  const int32_t* visible = nullptr;
  const int32_t* hidden = nullptr;  ///< or null: `begin` for all rows
  int64_t begin = 0;
  const float* mean = nullptr;  ///< [head_dim] its product with q is added to the scores; or null
  float divisor = 1.0f;         ///< of the scores
  float softcap = 0.0f;         ///< 0: none
  // Written; every array has room for a multiple of 16 rows.
  float* scores = nullptr;      ///< [rows][kScoreStride]
  float* transposed = nullptr;  ///< [16][16]
  float* tile_out = nullptr;
  float* tile_max = nullptr;  ///< [rows]
  float* tile_sum = nullptr;
  float* out = nullptr;  ///< so far
  float* max = nullptr;  ///< so far; -infinity at first
  float* sum = nullptr;
};

/// The query heads of one KV head at one token against one tile of 64 positions of floats, straight
/// from the pages. Writes the tile's part of the softmax, which `merge` then adds to what came
/// before.
inline constexpr int64_t kTilePages = 4;
struct DecodeTile {
  int64_t rows = 0;      ///< query heads
  int64_t head_dim = 0;  ///< a multiple of 64
  int64_t visible = 0;   ///< positions [hidden, visible) of the tile are seen, up to 64
  int64_t hidden = 0;
  const float* q = nullptr;  ///< [rows][row_stride]
  int64_t row_stride = 0;    ///< of q and tile_out
  /// Of pages without a visible position: any that may be read.
  KvRows keys[kTilePages];
  KvRows values[kTilePages];
  /// What the next tile will read, or null.
  const uint8_t* next_keys[kTilePages] = {};
  const uint8_t* next_values[kTilePages] = {};
  const float* mean = nullptr;  ///< [head_dim] its product with q is added to the scores; or null
  float divisor = 1.0f;         ///< of the scores
  float softcap = 0.0f;         ///< 0: none
  float* scores = nullptr;      ///< [rows][kScoreStride], scratch
  // Written:
  float* tile_out = nullptr;  ///< [rows][row_stride]
  float* tile_max = nullptr;  ///< [rows]
  float* tile_sum = nullptr;
};

/// A query as integers (codes_inl.h): a score is (scale * Σ Q · code + offset * sum) * factor +
/// mean for a key's scale and offset.
struct CodedQuery {
  float factor;  ///< the query's scale, divided as scores are
  float sum;     ///< Σ Q
  float mean;    ///< of its product with the keys' mean, divided likewise
};
/// Bytes of the integers of a query of `head_dim` channels.
[[gnu::always_inline]] inline int64_t QuadBytes(int64_t head_dim) {
  return (head_dim + 15) / 16 * 16 * 2;
}
/// Of the codes of a tile, taken apart: K, then V, 16 bits each.
[[gnu::always_inline]] inline int64_t UnpackedBytes(int64_t head_dim) {
  return 2 * kTilePositions * ((head_dim + 31) / 32 * 32) * 2;
}

/// Query rows (of any heads of one KV head) as integers against one tile of 64 positions of codes,
/// as the pages hold them. Writes what DecodeTile does.
struct CodesTile {
  int64_t rows = 0;
  int64_t head_dim = 0;
  /// [UnpackedBytes(head_dim)] scratch for codes that many rows share; null: each for itself.
  uint8_t* unpacked = nullptr;
  const uint8_t* quads = nullptr;       ///< [rows][QuadBytes(head_dim)]
  const CodedQuery* queries = nullptr;  ///< [rows]
  /// [rows] A row sees positions [hidden, visible) of the tile, some at least; both ascending.
  const int32_t* hidden = nullptr;
  const int32_t* visible = nullptr;
  KvRows keys[kTilePages];  ///< of pages that no row sees: any that may be read
  KvRows values[kTilePages];
  const uint8_t* next_keys[kTilePages] = {};
  const uint8_t* next_values[kTilePages] = {};
  float softcap = 0.0f;  ///< 0: none
  // Written:
  float* tile_out = nullptr;  ///< [rows][row_stride]
  int64_t row_stride = 0;     ///< head_dim, rounded up to 32, at least
  float* tile_max = nullptr;  ///< [rows]
  float* tile_sum = nullptr;
};

/// code = clamp(round((x - base) * inv), -zero, high - zero) + zero
struct KvCodeGrid {
  float base;
  float inv;
  float zero;
  float high;
};

/// The rows of a block: as many, and a multiple of the other where they are cut.
struct BlockRows {
  int64_t most;
  int64_t multiple;
};

struct KernelTable {
  CpuIsa isa;

  void (*dense_f32)(const DenseBlock<float>& block);
  void (*dense_f16)(const DenseBlock<Half>& block);
  void (*dense_bf16)(const DenseBlock<BFloat16>& block);
  /// Codes of 4 and of 8 bits, by CodeKind.
  void (*code_values[2][kCodeKinds])(const CodeBlock& block);
  void (*code_row[2][kCodeKinds])(const CodeRow& row);
  void (*packed_integer)(const PackedBlock& block);
  /// With weights of two-level scales.
  void (*packed_two_level)(const PackedBlock& block);
  /// Products of so many rows are faster folded, where 4 divides a group.
  int64_t folded_from_rows;
  /// Products with weights of fp16 scales take unpacked bytes, from so many rows on.
  int64_t unpacked_from_rows;
  /// Of a block whose rows share folded or unpacked weights.
  BlockRows shared_rows;
  void (*packed_float)(const PackedBlock& block);
  /// As packed_float, for fake-quantized activations: sums in double.
  void (*packed_simulated)(const PackedBlock& block);
  /// -8 Σ x and -136 Σ x of each group, then -128 Σ x of the outliers: what the offsets of the
  /// weight codes add to a sum, subtracted in advance. Folded: -128 Σ x of all groups, and of the
  /// outliers.
  void (*start_sums)(const PackedLayout& layout, bool folded, const int8_t* codes,
                     int64_t outlier_offset, int32_t* sums);
  void (*write_output)(const OutputBlock& block);

  float (*sum_squares)(const float* x, int64_t n);
  /// out = (x * r) * weight
  void (*scale_by_weight)(const float* x, float r, const float* weight, int64_t n, float* out);
  float (*sum)(const float* x, int64_t n);
  /// out = x - value, x * factor, x + y; out may be x
  void (*subtract)(const float* x, float value, int64_t n, float* out);
  void (*multiply)(const float* x, float factor, int64_t n, float* out);
  void (*add)(const float* x, const float* y, int64_t n, float* out);
  /// out = Σ factors[j] · x[j · stride], j ascending from 0, fused; or out += that.
  void (*combine)(const float* x, int64_t stride, const float* factors, int64_t count, int64_t n,
                  bool add, float* out);
  /// By ActivationFunction: out = f(x), and out = f(gate) * up.
  void (*activate[4])(const float* x, int64_t n, float* out);
  void (*activate_gated[4])(const float* gate, const float* up, int64_t n, float* out);
  /// x = cap * tanh(x / cap)
  void (*softcap)(float* x, int64_t n, float cap);
  float (*abs_max)(const float* x, int64_t n);
  /// codes = clamp(round(x * inv), low, high), 0 for a NaN
  void (*quantize)(const float* x, int64_t n, float inv, float low, float high, int8_t* codes);
  /// Two-level scales: what each group asks for, and the largest of them (numerics, section 2).
  /// steps[groups], room for a multiple of 16.
  float (*group_steps)(const float* x, int64_t groups, int64_t group, float clip, float high,
                       float* steps);
  /// From those and the row's scale: multipliers[groups], room for a multiple of 16; codes are
  /// multiplied by them.
  void (*quantize_two_level)(const float* x, int64_t groups, int64_t group, float row_scale,
                             float high, const float* steps, uint8_t* multipliers, int8_t* codes);

  /// The lowest and the highest of x, a NaN counted as 0.
  void (*range)(const float* x, int64_t n, float* low, float* high);
  /// As codes of quant::KvGrid, a byte each.
  void (*quantize_kv)(const float* x, int64_t n, const KvCodeGrid& grid, uint8_t* codes);
  /// x[i], x[i + half] = x[i] cos[i] - x[i + half] sin[i], x[i + half] cos[i] + x[i] sin[i]
  void (*rotate)(float* x, const float* cos, const float* sin, int64_t half);

  /// quant::RotateBlocks: Hadamard matrices of `width`, a power of two, on blocks of x; n is a
  /// multiple of 16 and of width.
  void (*rotate_blocks)(float* x, int64_t n, int64_t width, float factor);

  /// By KvStorage, of floats. Keys go to [head_dim][32]: out points at the first of 16 lanes.
  void (*load_keys[5])(const KvRows& rows, float* out);
  /// Values are widened into [64][32] per 32 channels, panel_stride elements apart.
  void (*load_values[5])(const KvRows& rows, float* out, int64_t panel_stride);
  /// A tile's part of the softmax, which `merge` then adds to what came before.
  void (*attend)(const AttentionTile& tile);
  /// By KvStorage, of floats.
  void (*decode[5])(const DecodeTile& tile);
  /// A query, and (or null) what its keys lack, as `attend_codes` takes it: without, and with
  /// shared codes.
  void (*code_query[2])(const float* q, int64_t n, const float* mean, float divisor, uint8_t* quads,
                        CodedQuery* query);
  /// So many rows of a task had better share a tile's codes.
  int64_t shared_codes_from_rows;
  /// Codes of 4 and of 8 bits (KvStorage).
  void (*attend_codes[2])(const CodesTile& tile);
  /// Adds a tile's softmax (tile_out, tile_max, tile_sum) to out, max and sum.
  void (*merge)(const AttentionTile& tile);
  /// out = x / sum
  void (*divide)(const float* x, float sum, int64_t n, float* out);

  float (*max)(const float* x, int64_t n);
  /// Σ exp(x - max), in double
  double (*sum_exp)(const float* x, float max, int64_t n);
};

const KernelTable& ScalarKernels();
const KernelTable& Avx2Kernels();
const KernelTable& AvxVnniKernels();
const KernelTable& Avx512Kernels();
const KernelTable& AmxKernels();

}  // namespace atom::kernels::cpu
