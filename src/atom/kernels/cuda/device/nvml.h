// The card's clock and power while it works, from the driver's own library, which is opened at run
// time: where it is missing, figures are published without a clock. Nothing is ever set.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "atom/core/result.h"

namespace atom::kernels::cuda {

struct CardState {
  int sm_clock_mhz = 0;
  int memory_clock_mhz = 0;
  double power_watts = 0;
};

class Nvml {
 public:
  /// `pci_bus_id` as in DeviceProperties. Fails where libnvidia-ml.so.1 is missing.
  static Result<Nvml> Open(const std::string& pci_bus_id);

  /// Now; a reading that the driver refuses is 0.
  CardState Read() const;

 private:
  struct Library;
  struct Close {
    void operator()(Library* library) const;
  };
  explicit Nvml(std::unique_ptr<Library, Close> library) : library_(std::move(library)) {}

  std::unique_ptr<Library, Close> library_;
};

}  // namespace atom::kernels::cuda
