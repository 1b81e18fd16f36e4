// The kernels for AMX-INT8, compiled with the flags that src/atom/CMakeLists.txt gives this file:
// products of codes from 16 rows on. All others are those for AVX-512.
#include "atom/kernels/cpu/vec_avx512.h"
// after the vocabulary:
#include "atom/kernels/cpu/tiles_inl.h"
// after the tiles:
#include "atom/kernels/cpu/packed_step_inl.h"
// after that:
#include "atom/kernels/cpu/packed_integer_inl.h"
// after that:
#include "atom/kernels/cpu/packed_two_level_inl.h"
// after those:
#include "atom/kernels/cpu/packed_amx_panel_inl.h"
// and:
#include "atom/kernels/cpu/packed_amx_inl.h"

namespace atom::kernels::cpu {
namespace {

bool InTiles(const PackedBlock& block) {
  return block.rows >= kTileRows && block.folded != nullptr;
}

void MultiplyIntegerInTiles(const PackedBlock& block) {
  InTiles(block) ? MultiplyInTiles(block) : Avx512Kernels().packed_integer(block);
}
void MultiplyTwoLevelInTiles(const PackedBlock& block) {
  InTiles(block) ? MultiplyInTiles(block) : Avx512Kernels().packed_two_level(block);
}

KernelTable MakeAmxTable() {
  KernelTable table = Avx512Kernels();
  table.isa = CpuIsa::kAmx;
  table.packed_integer = MultiplyIntegerInTiles;
  table.packed_two_level = MultiplyTwoLevelInTiles;
  table.unpacked_from_rows = kTileRows;
  table.shared_rows = {256, 2 * kTileRows};
  return table;
}

}  // namespace

const KernelTable& AmxKernels() {
  static const KernelTable kTable = MakeAmxTable();
  return kTable;
}

}  // namespace atom::kernels::cpu
