// What ops cannot return: a Status of the device that went wrong, as an exception. Ops run far
// below whoever can answer for a failed step, and none of them can go on.
#pragma once

#include <stdexcept>

#include "atom/core/result.h"

namespace atom::kernels::cuda {

/// what() is the one sentence.
class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline void Require(const Status& status) {
  if (!status.ok()) throw DeviceError(status.error().message);
}
template <class T>
T Require(Result<T> result) {
  if (!result.ok()) throw DeviceError(result.error().message);
  return std::move(result).value();
}

}  // namespace atom::kernels::cuda
