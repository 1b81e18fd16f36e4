// What ops cannot return: that the device went wrong, as an exception. Ops run far below whoever
// can answer for a failed step, and none of them can go on. Backends on the host never throw it.
#pragma once

#include <stdexcept>

namespace atom::kernels {

/// what() is one sentence: what failed, and what a user can do. What the backend holds is lost from
/// then on; only a new process, or another backend, helps.
class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace atom::kernels
