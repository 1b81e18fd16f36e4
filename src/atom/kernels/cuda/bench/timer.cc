#include "atom/kernels/cuda/bench/timer.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "atom/core/check.h"
#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {
namespace {

constexpr double kWarmUpUs = 60e3;
constexpr int kReplays = 9;

}  // namespace

double Median(std::vector<double> values) {
  ATOM_CHECK(!values.empty(), "a median of nothing");
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Result<LaunchGraph> LaunchGraph::Capture(const Stream& stream, int launches,
                                         const Enqueue& enqueue) {
  Status status = Check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal),
                        "begin to capture a graph");
  if (!status.ok()) return status.error();
  for (int i = 0; i < launches && status.ok(); ++i) status = enqueue(i, stream.get());
  cudaGraph_t captured = nullptr;
  const Status ended = Check(cudaStreamEndCapture(stream.get(), &captured), "capture a graph");
  if (!status.ok()) return status.error();
  if (!ended.ok()) return ended.error();
  cudaGraphExec_t graph = nullptr;
  status = Check(cudaGraphInstantiate(&graph, captured, 0), "instantiate a graph");
  (void)cudaGraphDestroy(captured);
  if (!status.ok()) return status.error();
  return LaunchGraph(graph, launches);
}

Result<double> LaunchGraph::Replay(int replays, const Stream& stream) const {
  const Result<Event> before = Event::Create(), after = Event::Create();
  if (!before.ok()) return before.error();
  if (!after.ok()) return after.error();
  if (Status status = before->Record(stream); !status.ok()) return status.error();
  for (int i = 0; i < replays; ++i) {
    Status status = Check(cudaGraphLaunch(graph_.get(), stream.get()), "replay a graph");
    if (!status.ok()) return status.error();
  }
  if (Status status = after->Record(stream); !status.ok()) return status.error();
  if (Status status = after->Synchronize(); !status.ok()) return status.error();
  const Result<double> us = after->MicrosecondsSince(*before);
  if (!us.ok()) return us.error();
  return *us / replays / launches_;
}

Status TimedLaunches::MeasureShort(const Stream& stream, const Nvml* nvml) {
  std::vector<double> samples;
  double spent = 0;
  CardState state;
  while (spent < kWarmUpUs || std::ssize(samples) < kReplays) {
    const Result<double> us = graph_.Replay(1, stream);
    if (!us.ok()) return us.error();
    spent += std::max(1.0, *us * graph_.launches());
    if (spent >= kWarmUpUs) samples.push_back(*us);
  }
  short_us_ = Median(samples);
  if (nvml != nullptr) states_.assign(1, nvml->Read());
  return {};
}

Status TimedLaunches::MeasureRound(const Stream& stream, const Nvml* nvml, double seconds) {
  ATOM_CHECK(short_us_ > 0, "a round before the short figure");
  if (rounds_us_.empty()) states_.clear();
  const double once = short_us_ * graph_.launches();
  const Result<double> warm = graph_.Replay(1 + static_cast<int>(0.05e6 / once), stream);
  if (!warm.ok()) return warm.error();
  CardState state;
  std::jthread reader([&] {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds * 0.7));
    if (nvml != nullptr) state = nvml->Read();
  });
  const Result<double> us = graph_.Replay(1 + static_cast<int>(seconds * 1e6 / once), stream);
  reader.join();
  if (!us.ok()) return us.error();
  rounds_us_.push_back(*us);
  states_.push_back(state);
  return {};
}

CudaTiming TimedLaunches::timing() const {
  CudaTiming timing;
  timing.short_us = short_us_;
  if (!rounds_us_.empty()) timing.sustained_us = Median(rounds_us_);
  std::vector<double> clocks, watts;
  for (const CardState& state : states_) {
    clocks.push_back(state.sm_clock_mhz);
    watts.push_back(state.power_watts);
  }
  if (!clocks.empty()) timing.sm_clock_mhz = static_cast<int>(Median(clocks));
  if (!watts.empty()) timing.power_watts = Median(watts);
  return timing;
}

Result<Timer> Timer::Create(const DeviceProperties& device) {
  Result<Stream> stream = Stream::Create();
  if (!stream.ok()) return stream.error();
  Timer timer(std::move(stream).value());
  Result<Nvml> nvml = Nvml::Open(device.pci_bus_id);
  if (nvml.ok()) timer.nvml_.emplace(std::move(nvml).value());
  return timer;
}

Result<CudaTiming> Timer::Measure(int launches, const Enqueue& enqueue, double seconds,
                                  int rounds) const {
  Result<LaunchGraph> graph = LaunchGraph::Capture(stream_, launches, enqueue);
  if (!graph.ok()) return graph.error();
  TimedLaunches timed(std::move(graph).value());
  if (Status status = timed.MeasureShort(stream_, nvml()); !status.ok()) return status.error();
  for (int i = 0; i < rounds && seconds > 0; ++i) {
    if (Status status = timed.MeasureRound(stream_, nvml(), seconds); !status.ok()) {
      return status.error();
    }
  }
  return timed.timing();
}

}  // namespace atom::kernels::cuda
