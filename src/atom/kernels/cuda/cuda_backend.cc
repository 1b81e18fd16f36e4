#include "atom/kernels/cuda_backend.h"

#include "atom/kernels/cuda/device/device.h"

namespace atom::kernels {

Result<std::unique_ptr<Backend>> MakeCudaBackend(const BackendOptions&) {
  const Result<cuda::DeviceProperties> device = cuda::OpenDevice();
  if (!device.ok()) return MakeError("backend cuda: {}", device.error().message);
  return MakeError("backend cuda: {} is usable, but this version runs no whole model on it yet",
                   device->name);
}

}  // namespace atom::kernels
