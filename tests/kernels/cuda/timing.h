// How kernels are timed: launches captured in a graph, medians of replays after a warm-up, the SM
// clock and the power while they run, and the read bandwidth of the same run as the ceiling.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cuda_runtime_api.h>
#include <fmt/core.h>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "atom/core/check.h"
#include "atom/kernels/cuda/device/device.h"
#include "atom/kernels/cuda/device/nvml.h"
#include "atom/kernels/cuda/device/stream.h"

namespace atom::kernels::cuda {

struct Timing {
  double microseconds = 0;  ///< of one launch: the median of the replays
  double fastest = 0;
  CardState card;  ///< while it ran
};

class Timer {
 public:
  explicit Timer(const DeviceProperties& device) : stream_(Stream::Create().value()) {
    Result<Nvml> nvml = Nvml::Open(device.pci_bus_id);
    if (nvml.ok()) nvml_.emplace(std::move(nvml).value());
  }

  const Stream& stream() const { return stream_; }

  /// `enqueue(i, stream)` launches the i-th of `launches`; i lets a case rotate its inputs.
  Timing Measure(int launches, const std::function<Status(int, cudaStream_t)>& enqueue,
                 double warm_up_ms = 60, int replays = 9) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    Require(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < launches; ++i) {
      const Status status = enqueue(i, stream_.get());
      ATOM_CHECK(status.ok(), "{}", status.error().message);
    }
    Require(cudaStreamEndCapture(stream_.get(), &graph));
    Require(cudaGraphInstantiate(&exec, graph, 0));
    const Event before = Event::Create().value(), after = Event::Create().value();
    const auto replay = [&] {
      Require(cudaEventRecord(before.get(), stream_.get()));
      Require(cudaGraphLaunch(exec, stream_.get()));
      Require(cudaEventRecord(after.get(), stream_.get()));
      Require(cudaEventSynchronize(after.get()));
      return after.MicrosecondsSince(before).value() / launches;
    };
    for (double spent = 0; spent < 1e3 * warm_up_ms;) spent += std::max(1.0, replay() * launches);
    std::vector<double> times;
    Timing timing;
    for (int i = 0; i < replays; ++i) {
      times.push_back(replay());
      if (i == replays / 2) {
        Require(cudaGraphLaunch(exec, stream_.get()));  // read while the card works
        if (nvml_) timing.card = nvml_->Read();
        Require(cudaStreamSynchronize(stream_.get()));
      }
    }
    Require(cudaGraphExecDestroy(exec));
    Require(cudaGraphDestroy(graph));
    std::ranges::sort(times);
    timing.microseconds = times[times.size() / 2];
    timing.fastest = times.front();
    return timing;
  }

  static void Require(cudaError_t code) {
    ATOM_CHECK(code == cudaSuccess, "{}", cudaGetErrorString(code));
  }

 private:
  Stream stream_;
  std::optional<Nvml> nvml_;
};

/// Device memory for the length of a bench.
template <class T>
T* BenchAllocate(size_t count) {
  void* memory = nullptr;
  Timer::Require(cudaMalloc(&memory, count * sizeof(T)));
  return static_cast<T*>(memory);
}

}  // namespace atom::kernels::cuda
