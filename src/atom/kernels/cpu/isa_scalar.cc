// The kernels for any x86-64, compiled with the flags that src/atom/CMakeLists.txt gives this file.
#include "atom/kernels/cpu/vec_scalar.h"
// after the vocabulary:
#include "atom/kernels/cpu/kernels_inl.h"

namespace atom::kernels::cpu {

const KernelTable& ScalarKernels() {
  static constexpr KernelTable kTable = MakeKernelTable(CpuIsa::kScalar);
  return kTable;
}

}  // namespace atom::kernels::cpu
