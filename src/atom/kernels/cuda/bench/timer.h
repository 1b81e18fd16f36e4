// How kernels are timed: launches captured in a graph, medians of replays after a warm-up, and
// rounds long enough for the card's power to settle, with the SM clock and the power read
// meanwhile.
#pragma once

#include <cuda_runtime_api.h>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "atom/core/result.h"
#include "atom/kernels/cuda/device/device.h"
#include "atom/kernels/cuda/device/nvml.h"
#include "atom/kernels/cuda/device/stream.h"
#include "atom/kernels/cuda_bench.h"

namespace atom::kernels::cuda {

/// Launches the i-th kernel of a graph; i lets a case rotate its inputs.
using Enqueue = std::function<Status(int i, cudaStream_t stream)>;

double Median(std::vector<double> values);

/// Launches that replay together.
class LaunchGraph {
 public:
  static Result<LaunchGraph> Capture(const Stream& stream, int launches, const Enqueue& enqueue);

  int launches() const { return launches_; }
  /// Microseconds of one launch, over so many replays.
  Result<double> Replay(int replays, const Stream& stream) const;

 private:
  struct Destroy {
    void operator()(cudaGraphExec_t graph) const { (void)cudaGraphExecDestroy(graph); }
  };
  LaunchGraph(cudaGraphExec_t graph, int launches) : graph_(graph), launches_(launches) {}

  std::unique_ptr<CUgraphExec_st, Destroy> graph_;
  int launches_;
};

/// One kernel's figures as they come in.
class TimedLaunches {
 public:
  explicit TimedLaunches(LaunchGraph graph) : graph_(std::move(graph)) {}

  Status MeasureShort(const Stream& stream, const Nvml* nvml);
  /// One round. REQUIRES: MeasureShort.
  Status MeasureRound(const Stream& stream, const Nvml* nvml, double seconds);
  /// Medians of what was measured.
  CudaTiming timing() const;

 private:
  LaunchGraph graph_;
  double short_us_ = 0;
  std::vector<double> rounds_us_;
  std::vector<CardState> states_;
};

class Timer {
 public:
  static Result<Timer> Create(const DeviceProperties& device);

  const Stream& stream() const { return stream_; }
  const Nvml* nvml() const { return nvml_ ? &*nvml_ : nullptr; }

  /// Both figures of one kernel; `seconds` 0: the short one.
  Result<CudaTiming> Measure(int launches, const Enqueue& enqueue, double seconds = 0,
                             int rounds = 1) const;

 private:
  explicit Timer(Stream stream) : stream_(std::move(stream)) {}

  Stream stream_;
  std::optional<Nvml> nvml_;
};

}  // namespace atom::kernels::cuda
