// The kernels for AVX2, FMA and F16C, compiled with the flags that src/atom/CMakeLists.txt gives
// this file.
#include "atom/kernels/cpu/dot_avx2.h"
// after the vocabulary:
#include "atom/kernels/cpu/kernels_inl.h"

namespace atom::kernels::cpu {

const KernelTable& Avx2Kernels() {
  static constexpr KernelTable kTable = MakeKernelTable(CpuIsa::kAvx2);
  return kTable;
}

}  // namespace atom::kernels::cpu
