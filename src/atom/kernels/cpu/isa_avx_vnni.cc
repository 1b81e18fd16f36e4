// The kernels for AVX2, FMA, F16C and AVX-VNNI, compiled with the flags that
// src/atom/CMakeLists.txt gives this file.
#include "atom/kernels/cpu/dot_avx_vnni.h"
// after the vocabulary:
#include "atom/kernels/cpu/kernels_inl.h"

namespace atom::kernels::cpu {

const KernelTable& AvxVnniKernels() {
  static constexpr KernelTable kTable = MakeKernelTable(CpuIsa::kAvxVnni);
  return kTable;
}

}  // namespace atom::kernels::cpu
