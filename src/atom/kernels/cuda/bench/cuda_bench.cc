#include "atom/kernels/cuda_bench.h"

#include <optional>

#include "atom/kernels/cuda/bench/attention_bench.h"
#include "atom/kernels/cuda/bench/bench_inputs.h"
#include "atom/kernels/cuda/bench/bench_memory.h"
#include "atom/kernels/cuda/bench/gemm_bench.h"
#include "atom/kernels/cuda/bench/multiply_loop.h"
#include "atom/kernels/cuda/bench/row_share.h"
#include "atom/kernels/cuda/bench/rows_bench.h"
#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels {
namespace cuda {
namespace {

constexpr double kCeilingSeconds = 0.2;
constexpr int64_t kReadBytes = int64_t{2} << 30;

Result<CudaCeilings> MeasureCeilings(const DeviceProperties& device, const Timer& timer) {
  BenchMemory memory;
  auto* data = memory.Take<uint32_t>(kReadBytes / 4);
  auto* sink = memory.Take<uint32_t>(1);
  if (!memory.status().ok()) return memory.status().error();
  FillRandom(data, kReadBytes / 4);
  if (Status status = Check(cudaDeviceSynchronize(), "fill memory"); !status.ok()) {
    return status.error();
  }
  CudaCeilings ceilings;
  const auto measure = [&](const char* name, double work, const Enqueue& enqueue) -> Status {
    const Result<CudaTiming> timing = timer.Measure(4, enqueue, kCeilingSeconds);
    if (!timing.ok()) return timing.error();
    ceilings.emplace_back(name, work / timing->us() * 1e6);
    return {};
  };
  Status status = measure(kDramCeiling, kReadBytes, [&](int, cudaStream_t stream) {
    return Check(ReadAll(data, kReadBytes, device.multiprocessors, sink, stream), "read memory");
  });
  for (const MultiplyTypes types : {MultiplyTypes::kInt8, MultiplyTypes::kBFloat16}) {
    if (!status.ok()) break;
    const auto work = static_cast<double>(MultiplyLoopOperations(types, device.multiprocessors));
    status = measure(types == MultiplyTypes::kInt8 ? kInt8Ceiling : kBFloat16Ceiling, work,
                     [&](int, cudaStream_t stream) {
                       return Check(MultiplyLoop(types, device.multiprocessors, sink, stream),
                                    "multiply");
                     });
  }
  if (!status.ok()) return status.error();
  return ceilings;
}

class OpenedBench final : public CudaBench {
 public:
  OpenedBench(DeviceProperties device, Timer timer)
      : device_(std::move(device)),
        timer_(std::move(timer)),
        card_{device_.name, device_.multiprocessors, {}} {}

  Status Open() {
    Result<CudaCeilings> ceilings = MeasureCeilings(device_, timer_);
    if (!ceilings.ok()) return ceilings.error();
    card_.ceilings = std::move(ceilings).value();
    if (timer_.nvml() == nullptr) remarks_.push_back(fmt::format("NVML is missing: no clocks"));
    return {};
  }

  const CudaCard& card() const override { return card_; }
  const std::vector<std::string>& remarks() const override { return remarks_; }

  Status Gemm(const CudaGemmOptions& options, const OnCudaRow& on_row) override {
    std::optional<CublasLt> lt;
    if (options.baselines) {
      Result<CublasLt> opened = CublasLt::Open();
      if (opened.ok()) {
        lt.emplace(std::move(opened).value());
      } else {
        remarks_.push_back(opened.error().message);
      }
    }
    return BenchGemm(options, device_, timer_, card_, lt ? &*lt : nullptr, on_row);
  }
  Status Attention(const CudaAttentionOptions& options, const OnCudaRow& on_row) override {
    return BenchAttention(options, timer_, card_, on_row);
  }
  Status Rows(const CudaBenchOptions& options, const OnCudaRow& on_row) override {
    return BenchRows(options, timer_, card_, on_row);
  }

 private:
  DeviceProperties device_;
  Timer timer_;
  CudaCard card_;
  std::vector<std::string> remarks_;
};

}  // namespace
}  // namespace cuda

Result<std::unique_ptr<CudaBench>> MakeCudaBench() {
  Result<cuda::DeviceProperties> device = cuda::OpenDevice();
  if (!device.ok()) return device.error();
  Result<cuda::Timer> timer = cuda::Timer::Create(*device);
  if (!timer.ok()) return timer.error();
  auto bench =
      std::make_unique<cuda::OpenedBench>(std::move(device).value(), std::move(timer).value());
  if (Status status = bench->Open(); !status.ok()) return status.error();
  return std::unique_ptr<CudaBench>(std::move(bench));
}

}  // namespace atom::kernels
