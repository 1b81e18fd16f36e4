// One GPU: what it is, and that this program can run on it.
#pragma once

#include <cstdint>
#include <string>

#include "atom/core/result.h"

namespace atom::kernels::cuda {

struct DeviceProperties {
  int ordinal = 0;
  std::string name;            ///< "NVIDIA H200"
  int compute_capability = 0;  ///< 90 for 9.0
  int multiprocessors = 0;
  int64_t l2_bytes = 0;
  int64_t memory_bytes = 0;
  int64_t shared_bytes_per_block = 0;  ///< what a kernel may ask for, after opting in
  std::string pci_bus_id;              ///< "0000:18:00.0"; NVML knows the card by it
};

/// Makes GPU `ordinal` current for the calling thread. Fails with a sentence where there is no GPU,
/// the driver is too old, or the program holds no code for this card.
Result<DeviceProperties> OpenDevice(int ordinal = 0);

}  // namespace atom::kernels::cuda
