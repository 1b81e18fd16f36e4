#include "atom/kernels/cuda_backend.h"

namespace atom::kernels {

Result<std::unique_ptr<Backend>> MakeCudaBackend(const BackendOptions&) {
  return MakeError("backend cuda: this program was built without CUDA");
}

Result<std::unique_ptr<quant::DenseAlgebra>> MakeCudaAlgebra() {
  return MakeError("backend cuda: this program was built without CUDA");
}

}  // namespace atom::kernels
