// The inner kernels, written once: include after one vec_*.h, from an isa_*.cc only. See README.md.
#pragma once

#include "atom/kernels/cpu/kernel_table.h"
#include "atom/kernels/cpu/tiles_inl.h"
// after the tiles:
#include "atom/kernels/cpu/code_values_inl.h"
#include "atom/kernels/cpu/dense_inl.h"
#include "atom/kernels/cpu/exp_inl.h"
#include "atom/kernels/cpu/kv_values_inl.h"
#include "atom/kernels/cpu/packed_step_inl.h"
#include "atom/kernels/cpu/rows_inl.h"
// after those:
#include "atom/kernels/cpu/activation_inl.h"
#include "atom/kernels/cpu/attention_inl.h"
#include "atom/kernels/cpu/code_quads_inl.h"
#include "atom/kernels/cpu/code_rows_inl.h"
#include "atom/kernels/cpu/codes_inl.h"
#include "atom/kernels/cpu/decode_inl.h"
#include "atom/kernels/cpu/packed_integer_inl.h"
#include "atom/kernels/cpu/packed_values_inl.h"
// and:
#include "atom/kernels/cpu/codes_shared_inl.h"
#include "atom/kernels/cpu/packed_two_level_inl.h"

namespace atom::kernels::cpu {
namespace {

constexpr KernelTable MakeKernelTable(CpuIsa isa) {
  return {
      .isa = isa,
      .dense_f32 = MultiplyDense<float>,
      .dense_f16 = MultiplyDense<Half>,
      .dense_bf16 = MultiplyDense<BFloat16>,
      .code_values = {{WriteValues<4, CodeKind::kCentered>, WriteValues<4, CodeKind::kZeros>,
                       WriteValues<4, CodeKind::kOffsets>, WriteValues<4, CodeKind::kZerosHalf>,
                       WriteValues<4, CodeKind::kZerosBf16>},
                      {WriteValues<8, CodeKind::kCentered>, WriteValues<8, CodeKind::kZeros>,
                       WriteValues<8, CodeKind::kOffsets>, WriteValues<8, CodeKind::kZerosHalf>,
                       WriteValues<8, CodeKind::kZerosBf16>}},
      .code_row = {{MultiplyCodeRow<4, CodeKind::kCentered>, MultiplyCodeRow<4, CodeKind::kZeros>,
                    MultiplyCodeRow<4, CodeKind::kOffsets>,
                    MultiplyCodeRow<4, CodeKind::kZerosHalf>,
                    MultiplyCodeRow<4, CodeKind::kZerosBf16>},
                   {MultiplyCodeRow<8, CodeKind::kCentered>, MultiplyCodeRow<8, CodeKind::kZeros>,
                    MultiplyCodeRow<8, CodeKind::kOffsets>,
                    MultiplyCodeRow<8, CodeKind::kZerosHalf>,
                    MultiplyCodeRow<8, CodeKind::kZerosBf16>}},
      .packed_integer = MultiplyInteger,
      .packed_two_level = MultiplyTwoLevel,
      .folded_from_rows = kHasByteDot ? kFewRows + 1 : INT64_MAX,
      .unpacked_from_rows = INT64_MAX,
      .shared_rows = {144, 12},  // a multiple of all heights of register tiles
      .packed_float = MultiplyFloat,
      .packed_simulated = MultiplySimulated,
      .start_sums = StartSums,
      .write_output = WriteOutput,
      .sum_squares = SumSquares,
      .scale_by_weight = ScaleByWeight,
      .sum = SumOfRow,
      .subtract = SubtractFromRow,
      .multiply = MultiplyRow,
      .add = AddRows,
      .combine = CombineRows,
      .activate = {Activate<Silu>, Activate<Gelu>, Activate<GeluTanh>, Activate<Relu>},
      .activate_gated = {ActivateGated<Silu>, ActivateGated<Gelu>, ActivateGated<GeluTanh>,
                         ActivateGated<Relu>},
      .softcap = SoftcapRow,
      .abs_max = AbsMax,
      .quantize = Quantize,
      .group_steps = GroupSteps,
      .quantize_two_level = QuantizeTwoLevel,
      .range = Range,
      .quantize_kv = QuantizeKv,
      .rotate = Rotate,
      .rotate_blocks = RotateBlocks,
      .load_keys = {nullptr, nullptr, LoadKeys<HalfWords<BFloat16>>, LoadKeys<HalfWords<Half>>,
                    LoadKeys<FloatWords>},
      .load_values = {nullptr, nullptr, LoadValues<BFloat16>, LoadValues<Half>, LoadValues<float>},
      .attend = Attend,
      .decode = {nullptr, nullptr, Decode<HalfWords<BFloat16>, BFloat16>,
                 Decode<HalfWords<Half>, Half>, Decode<FloatWords, float>},
      .code_query = {CodeQuery<QuadSum>, CodeQuery<WordSum>},
      .shared_codes_from_rows = kSharedCodesFromRows,
      .attend_codes = {AttendCodes<NibbleLines>, AttendCodes<ByteLines>},
      .merge = Merge,
      .divide = DivideRow,
      .max = MaxOfRow,
      .sum_exp = SumExp,
  };
}

}  // namespace
}  // namespace atom::kernels::cpu
