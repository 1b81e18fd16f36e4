#include "atom/kernels/cuda/device/nvml.h"

#include <dlfcn.h>
#include <utility>

namespace atom::kernels::cuda {
namespace {

// From the NVML API reference: these signatures have not changed since the first versions.
using NvmlDevice = void*;
constexpr int kSmClock = 1;
constexpr int kMemoryClock = 2;

}  // namespace

struct Nvml::Library {
  void* handle = nullptr;
  int (*shutdown)() = nullptr;
  int (*clock)(NvmlDevice, int, unsigned*) = nullptr;
  int (*power)(NvmlDevice, unsigned*) = nullptr;
  NvmlDevice device = nullptr;

  template <class Function>
  bool Find(const char* name, Function* function) const {
    *function = reinterpret_cast<Function>(dlsym(handle, name));
    return *function != nullptr;
  }
};

void Nvml::Close::operator()(Library* library) const {
  if (library->shutdown != nullptr) library->shutdown();
  if (library->handle != nullptr) dlclose(library->handle);
  delete library;
}

Result<Nvml> Nvml::Open(const std::string& pci_bus_id) {
  std::unique_ptr<Library, Close> library(new Library);
  library->handle = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library->handle == nullptr) return MakeError("NVML: libnvidia-ml.so.1 was not found");
  int (*init)() = nullptr;
  int (*find)(const char*, NvmlDevice*) = nullptr;
  if (!library->Find("nvmlInit_v2", &init) ||
      !library->Find("nvmlDeviceGetHandleByPciBusId_v2", &find) ||
      !library->Find("nvmlDeviceGetClockInfo", &library->clock) ||
      !library->Find("nvmlDeviceGetPowerUsage", &library->power)) {
    return MakeError("NVML: libnvidia-ml.so.1 lacks a function that this program needs");
  }
  if (const int code = init(); code != 0)
    return MakeError("NVML: could not start (error {})", code);
  library->Find("nvmlShutdown", &library->shutdown);
  if (const int code = find(pci_bus_id.c_str(), &library->device); code != 0) {
    return MakeError("NVML: knows no GPU at {} (error {})", pci_bus_id, code);
  }
  return Nvml(std::move(library));
}

CardState Nvml::Read() const {
  unsigned sm = 0, memory = 0, milliwatts = 0;
  if (library_->clock(library_->device, kSmClock, &sm) != 0) sm = 0;
  if (library_->clock(library_->device, kMemoryClock, &memory) != 0) memory = 0;
  if (library_->power(library_->device, &milliwatts) != 0) milliwatts = 0;
  return {static_cast<int>(sm), static_cast<int>(memory), milliwatts / 1e3};
}

}  // namespace atom::kernels::cuda
