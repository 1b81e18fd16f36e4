// RAII for streams and events. Both are movable, not copyable; destruction never throws and never
// waits.
#pragma once

#include <cuda_runtime_api.h>
#include <memory>

#include "atom/core/result.h"

namespace atom::kernels::cuda {

class Stream {
 public:
  /// A stream that does not wait for the legacy default stream.
  static Result<Stream> Create();

  cudaStream_t get() const { return stream_.get(); }

  /// Waits for everything enqueued so far; the place where errors of kernels appear.
  Status Synchronize() const;

 private:
  struct Destroy {
    void operator()(cudaStream_t stream) const { (void)cudaStreamDestroy(stream); }
  };
  explicit Stream(cudaStream_t stream) : stream_(stream) {}

  std::unique_ptr<CUstream_st, Destroy> stream_;
};

class Event {
 public:
  static Result<Event> Create();

  cudaEvent_t get() const { return event_.get(); }
  Status Record(const Stream& stream) const;
  Status Synchronize() const;

  /// Microseconds from `earlier` to this event. REQUIRES: both were recorded and have passed.
  Result<double> MicrosecondsSince(const Event& earlier) const;

 private:
  struct Destroy {
    void operator()(cudaEvent_t event) const { (void)cudaEventDestroy(event); }
  };
  explicit Event(cudaEvent_t event) : event_(event) {}

  std::unique_ptr<CUevent_st, Destroy> event_;
};

}  // namespace atom::kernels::cuda
