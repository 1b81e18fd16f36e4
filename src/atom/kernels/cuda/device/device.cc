#include "atom/kernels/cuda/device/device.h"

#include <array>
#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/device/check.h"
#include "atom/kernels/cuda/device/probe.h"

namespace atom::kernels::cuda {

Result<DeviceProperties> OpenDevice(int ordinal) {
  int count = 0;
  if (Status status = Check(cudaGetDeviceCount(&count), "count the GPUs"); !status.ok()) {
    return status.error();
  }
  if (ordinal < 0 || ordinal >= count) {
    return MakeError("GPU {}: this machine has {}, counted from 0", ordinal, count);
  }
  const std::string which = fmt::format("GPU {}", ordinal);
  if (Status status = Check(cudaSetDevice(ordinal), "open " + which); !status.ok()) {
    return status.error();
  }
  cudaDeviceProp found{};
  if (Status status =
          Check(cudaGetDeviceProperties(&found, ordinal), "read the properties of " + which);
      !status.ok()) {
    return status.error();
  }
  DeviceProperties properties;
  properties.ordinal = ordinal;
  properties.name = found.name;
  properties.compute_capability = 10 * found.major + found.minor;
  properties.multiprocessors = found.multiProcessorCount;
  properties.l2_bytes = found.l2CacheSize;
  properties.memory_bytes = static_cast<int64_t>(found.totalGlobalMem);
  properties.shared_bytes_per_block = static_cast<int64_t>(found.sharedMemPerBlockOptin);
  std::array<char, 32> bus_id{};
  if (Status status = Check(cudaDeviceGetPCIBusId(bus_id.data(), bus_id.size(), ordinal),
                            "read the bus id of " + which);
      !status.ok()) {
    return status.error();
  }
  properties.pci_bus_id = bus_id.data();
  if (Status status =
          Check(FindKernelImage(), fmt::format("use {} ({}, compute capability {}.{})", which,
                                               found.name, found.major, found.minor));
      !status.ok()) {
    return status.error();
  }
  return properties;
}

}  // namespace atom::kernels::cuda
