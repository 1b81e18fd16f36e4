// The kernels for AVX-512 F/BW/DQ/VL and VNNI, compiled with the flags that src/atom/CMakeLists.txt
// gives this file.
#include "atom/kernels/cpu/vec_avx512.h"
// after the vocabulary:
#include "atom/kernels/cpu/kernels_inl.h"

namespace atom::kernels::cpu {

const KernelTable& Avx512Kernels() {
  static constexpr KernelTable kTable = MakeKernelTable(CpuIsa::kAvx512);
  return kTable;
}

}  // namespace atom::kernels::cpu
