#include "atom/kernels/cuda_bench.h"

namespace atom::kernels {

Result<std::unique_ptr<CudaBench>> MakeCudaBench() {
  return MakeError("backend cuda: this program was built without CUDA");
}

}  // namespace atom::kernels
