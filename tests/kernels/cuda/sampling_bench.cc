// Times sampling and log-probabilities beside the card's read bandwidth:
// cuda_sampling_bench [FILE.json]
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "atom/kernels/cuda/bench/bench_inputs.h"
#include "atom/kernels/cuda/bench/bench_memory.h"
#include "atom/kernels/cuda/bench/timer.h"
#include "atom/kernels/cuda/device/check.h"
#include "atom/kernels/cuda/sampling/sampling.h"

namespace atom::kernels::cuda {
namespace {

constexpr int kMaxRows = 256;
constexpr int64_t kPoolBytes = int64_t{1} << 29;  // of logits, larger than L2

class Bench {
 public:
  explicit Bench(const DeviceProperties& device)
      : device_(device), timer_(Timer::Create(device).value()) {
    std::mt19937_64 random(1);
    std::normal_distribution<float> normal(0.0f, 3.0f);
    std::vector<float> logits(1 << 20);
    for (float& z : logits) z = normal(random);
    logits_ = static_cast<float*>(memory_.Fill(std::as_bytes(std::span(logits)), kPoolBytes));
    tokens_ = memory_.Take<int32_t>(kMaxRows);
    workspace_ = memory_.Take<std::byte>(
        std::max(SampleWorkspaceBytes(kMaxVocabulary, device.multiprocessors),
                 LogProbWorkspaceBytes(kMaxVocabulary, kMaxRows)));
    results_ = memory_.Take<std::byte>(kMaxRows * kMaxTop * sizeof(TokenValue) * 2);
    ATOM_CHECK(memory_.status().ok(), "{}", memory_.status().error().message);
    const auto read = [&](int, cudaStream_t stream) -> Status {
      return Check(ReadAll(logits_, kPoolBytes, device_.multiprocessors,
                           reinterpret_cast<uint32_t*>(workspace_), stream),
                   "read");
    };
    const CudaTiming timing = timer_.Measure(4, read).value();
    bandwidth_ = static_cast<double>(kPoolBytes) / timing.short_us / 1e3;
    fmt::print("{}: read bandwidth {:.0f} GB/s at {} MHz\n", device.name, bandwidth_,
               timing.sm_clock_mhz);
  }

  void Sample(const char* name, const SamplingParams& params, int rows, int vocabulary) {
    SampleRows packed;
    for (int row = 0; row < rows; ++row) packed.Add(row, params, (row + 0.5) / rows);
    const auto choices = Upload(packed.choices());
    const auto edits = Upload(packed.edits());
    SampleCall call = {.logits = {nullptr, vocabulary, vocabulary},
                       .choices = choices,
                       .rows = rows,
                       .edits = edits,
                       .allowed = nullptr,
                       .tokens = tokens_,
                       .slots = nullptr,
                       .workspace = reinterpret_cast<float*>(workspace_)};
    Report(name, rows, vocabulary, [&](int i, cudaStream_t stream) {
      call.logits.data = Logits(i, rows, vocabulary);
      return LaunchSample(call, device_.multiprocessors, stream);
    });
  }

  void LogProbs(const char* name, int top, int rows, int vocabulary) {
    std::vector<DeviceQuery> queries;
    for (int row = 0; row < rows; ++row) queries.push_back({row, row, top});
    LogProbCall call = {
        .logits = {nullptr, vocabulary, vocabulary},
        .queries = Upload(std::span<const DeviceQuery>(queries)),
        .count = rows,
        .tokens = tokens_,
        .workspace = workspace_,
        .targets = nullptr,
        .top = reinterpret_cast<TokenValue*>(results_),
        .losses = reinterpret_cast<double*>(results_ + kMaxRows * kMaxTop * sizeof(TokenValue))};
    Report(name, rows, vocabulary, [&](int i, cudaStream_t stream) {
      call.logits.data = Logits(i, rows, vocabulary);
      return LaunchLogProbs(call, stream);
    });
  }

  void Write(const char* path) const { std::ofstream(path) << results_json_.dump(1) << "\n"; }

 private:
  /// The i-th input, so that L2 holds none of it.
  const float* Logits(int i, int rows, int vocabulary) const {
    const int64_t values = int64_t{rows} * vocabulary;
    return logits_ + i % (kPoolBytes / 4 / values) * values;
  }
  template <class T>
  T* Upload(std::span<const T> values) {
    return memory_.Upload(std::vector<T>(values.begin(), values.end()));
  }
  void Report(const char* name, int rows, int vocabulary,
              const std::function<Status(int, cudaStream_t)>& enqueue) {
    const CudaTiming timing = timer_.Measure(16, enqueue).value();
    const double rate = 4.0 * rows * vocabulary / timing.short_us / 1e3;
    fmt::print("{:24} {:4} rows x {:6}: {:8.1f} us, {:6.0f} GB/s, {:3.0f} % of reading, {} MHz\n",
               name, rows, vocabulary, timing.short_us, rate, 100 * rate / bandwidth_,
               timing.sm_clock_mhz);
    results_json_.push_back({{"op", name},
                             {"rows", rows},
                             {"vocabulary", vocabulary},
                             {"us", timing.short_us},
                             {"gb_per_s", rate},
                             {"share_of_read", rate / bandwidth_},
                             {"sm_mhz", timing.sm_clock_mhz},
                             {"watts", timing.power_watts},
                             {"card", device_.name}});
  }

  DeviceProperties device_;
  Timer timer_;
  BenchMemory memory_;
  double bandwidth_ = 0;
  float* logits_ = nullptr;
  int32_t* tokens_ = nullptr;
  std::byte* workspace_ = nullptr;
  std::byte* results_ = nullptr;
  nlohmann::json results_json_ = nlohmann::json::array();
};

int Run(const char* path) {
  const Result<DeviceProperties> device = OpenDevice();
  if (!device.ok()) {
    fmt::print("skipped: {}\n", device.error().message);
    return 0;
  }
  Bench bench(*device);
  std::vector<LogitEdit> edits;
  for (int32_t id = 0; id < 1024; ++id) edits.push_back({97 * id, 1.1f, 0.0f});
  for (const int vocabulary : {49152, 151936}) {
    for (const int rows : {1, 16, 64, 256}) {
      bench.Sample("greedy", {}, rows, vocabulary);
      bench.Sample("top_p 0.95", {.temperature = 1.0f, .top_p = 0.95f}, rows, vocabulary);
      bench.Sample("top_k 50, top_p 0.9", {.temperature = 0.8f, .top_k = 50, .top_p = 0.9f}, rows,
                   vocabulary);
      if (vocabulary > 97 * 1024) {
        bench.Sample("top_p, 1024 penalties", {.temperature = 1.0f, .top_p = 0.95f, .edits = edits},
                     rows, vocabulary);
      }
      bench.LogProbs("loss", 0, rows, vocabulary);
      bench.LogProbs("log-probabilities, top 5", 5, rows, vocabulary);
    }
  }
  if (path != nullptr) bench.Write(path);
  return 0;
}

}  // namespace
}  // namespace atom::kernels::cuda

int main(int argc, char** argv) { return atom::kernels::cuda::Run(argc > 1 ? argv[1] : nullptr); }
