#include "atom/kernels/cuda/device/stream.h"

#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {

Result<Stream> Stream::Create() {
  cudaStream_t stream = nullptr;
  if (Status status =
          Check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "create a stream");
      !status.ok()) {
    return status.error();
  }
  return Stream(stream);
}

Status Stream::Synchronize() const {
  return Check(cudaStreamSynchronize(get()), "finish what was enqueued");
}

Result<Event> Event::Create() {
  cudaEvent_t event = nullptr;
  if (Status status = Check(cudaEventCreate(&event), "create an event"); !status.ok()) {
    return status.error();
  }
  return Event(event);
}

Status Event::Record(const Stream& stream) const {
  return Check(cudaEventRecord(get(), stream.get()), "record an event");
}

Status Event::Synchronize() const { return Check(cudaEventSynchronize(get()), "reach an event"); }

Result<double> Event::MicrosecondsSince(const Event& earlier) const {
  float milliseconds = 0;
  if (Status status = Check(cudaEventElapsedTime(&milliseconds, earlier.get(), get()),
                            "time between two events");
      !status.ok()) {
    return status.error();
  }
  return 1e3 * milliseconds;
}

}  // namespace atom::kernels::cuda
