#include "atom/kernels/cuda/device/check.h"

#include <string>

namespace atom::kernels::cuda {
namespace {

/// What a user can do about it; empty if CUDA's own words are all there is to say.
std::string Advice(cudaError_t code) {
  switch (code) {
    case cudaErrorNoDevice:
      return "this machine shows no NVIDIA GPU (see nvidia-smi)";
    case cudaErrorInsufficientDriver: {
      int driver = 0, runtime = 0;
      (void)cudaDriverGetVersion(&driver);
      (void)cudaRuntimeGetVersion(&runtime);
      if (driver == 0) return "no NVIDIA driver is installed";
      return fmt::format("the driver supports CUDA {}.{}, this program needs {}.{}", driver / 1000,
                         driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    }
    case cudaErrorMemoryAllocation: {
      size_t free_bytes = 0, total_bytes = 0;
      if (cudaMemGetInfo(&free_bytes, &total_bytes) != cudaSuccess) return "out of memory";
      return fmt::format("out of memory: {} of {} MiB are free", free_bytes >> 20,
                         total_bytes >> 20);
    }
    case cudaErrorNoKernelImageForDevice:
      return "this program holds no code for this card; it was compiled for others "
             "(ATOM_CUDA_ARCHITECTURES)";
    case cudaErrorIllegalAddress:
      return "a kernel touched memory that is not its own; the device is lost to this process";
    case cudaErrorLaunchFailure:
    case cudaErrorAssert:
    case cudaErrorIllegalInstruction:
      return "a kernel failed or gave up waiting; the device is lost to this process";
    case cudaErrorDevicesUnavailable:
      return "the GPU is in use by another process that holds it for itself";
    case cudaErrorECCUncorrectable:
      return "the GPU's memory reports an error that it could not correct";
    default:
      return "";
  }
}

}  // namespace

Error CudaError(cudaError_t code, std::string_view action) {
  ATOM_CHECK(code != cudaSuccess, "{}: no error", action);
  const std::string advice = Advice(code);
  return MakeError("CUDA could not {}: {} ({})", action,
                   advice.empty() ? cudaGetErrorString(code) : advice, cudaGetErrorName(code));
}

Status Check(cudaError_t code, std::string_view action) {
  if (code == cudaSuccess) return {};
  (void)cudaGetLastError();  // what is not fatal must not be found again by the next launch
  return CudaError(code, action);
}

Status CheckLaunch(std::string_view kernel) {
  const cudaError_t code = cudaGetLastError();
  if (code == cudaSuccess) return {};
  return CudaError(code, fmt::format("launch {}", kernel));
}

bool IsFatal(cudaError_t code) {
  switch (code) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorAssert:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorHardwareStackError:
    case cudaErrorECCUncorrectable:
    case cudaErrorDevicesUnavailable:
    case cudaErrorLaunchTimeout:
      return true;
    default:
      return false;
  }
}

}  // namespace atom::kernels::cuda
