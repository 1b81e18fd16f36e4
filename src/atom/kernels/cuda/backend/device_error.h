// A Status of the device as the exception that ops throw.
#pragma once

#include "atom/core/result.h"
#include "atom/kernels/device_error.h"

namespace atom::kernels::cuda {

inline void Require(const Status& status) {
  if (!status.ok()) throw DeviceError(status.error().message);
}
template <class T>
T Require(Result<T> result) {
  if (!result.ok()) throw DeviceError(result.error().message);
  return std::move(result).value();
}

}  // namespace atom::kernels::cuda
