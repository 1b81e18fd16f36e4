// Times the streaming GEMMs: every kernel that fits, or the planned one, over rotating weights that
// do not fit L2, as dependent launches of one CUDA graph; medians. The read bandwidth of the card
// is measured in the same run. One JSON object a line.
//
//   cuda_streaming_gemm_bench [--all] [--no-overlap] [--recipe NAME] [--nk 4096x4096,…] [--m
//   1,16,64] [--k8 128]
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "atom/core/rng.h"
#include "atom/kernels/cuda/device/device.h"
#include "atom/kernels/cuda/device/nvml.h"
#include "atom/kernels/cuda/device/stream.h"
#include "atom/kernels/cuda/gemm/streaming/streaming_gemm.h"

#include "tests/kernels/cuda/bench_inputs.h"

namespace atom::kernels::cuda {
namespace {

void Must(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(code));
  std::exit(1);
}
void Must(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.error().message.c_str());
  std::exit(1);
}

struct Memory {
  explicit Memory(int64_t bytes) {
    Must(cudaMalloc(&data, static_cast<size_t>(bytes)), "allocate");
  }
  ~Memory() { (void)cudaFree(data); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void* data = nullptr;
};

// Median microseconds of `graph`, after 60 ms of warming up.
double MedianMicroseconds(cudaGraphExec_t graph, const Stream& stream, int replays) {
  const Event start = Event::Create().value();
  const Event end = Event::Create().value();
  const auto once = [&] {
    Must(start.Record(stream));
    Must(cudaGraphLaunch(graph, stream.get()), "launch a graph");
    Must(end.Record(stream));
    Must(end.Synchronize());
    return end.MicrosecondsSince(start).value();
  };
  for (double spent = 0; spent < 60e3;) spent += once();
  std::vector<double> times;
  for (int i = 0; i < replays; ++i) times.push_back(once());
  std::nth_element(times.begin(), times.begin() + replays / 2, times.end());
  return times[static_cast<size_t>(replays / 2)];
}

template <class Enqueue>
double Time(const Stream& stream, int launches, int replays, const Enqueue& enqueue) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t ready = nullptr;
  Must(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal), "capture");
  for (int i = 0; i < launches; ++i) enqueue(i);
  Must(cudaStreamEndCapture(stream.get(), &graph), "end capture");
  Must(cudaGraphInstantiate(&ready, graph, 0), "instantiate");
  const double total = MedianMicroseconds(ready, stream, replays);
  (void)cudaGraphExecDestroy(ready);
  (void)cudaGraphDestroy(graph);
  return total / launches;
}

double ReadBandwidth(const Stream& stream, int multiprocessors) {
  constexpr int64_t kBytes = int64_t{2} << 30;
  const Memory from(kBytes);
  const Memory to(256);
  Must(cudaMemset(from.data, 1, kBytes), "fill");
  const double us = Time(stream, 2, 7, [&](int) {
    Must(ReadAll(from.data, kBytes, multiprocessors, static_cast<uint32_t*>(to.data), stream.get()),
         "read");
  });
  return kBytes / us / 1e3;
}

// Operands of one product; weights in as many copies as exceed L2 several times.
class Operands {
 public:
  Operands(const GemmDesc& desc, int64_t weight_bytes, const std::vector<uint8_t>& pattern)
      : copies_(static_cast<int>(std::max<int64_t>(3, (int64_t{400} << 20) / weight_bytes))),
        bytes_(weight_bytes),
        weights_(bytes_ * copies_),
        rows_(16 * (desc.total_n() + 64)),
        x_((desc.m + 8) * (desc.k() + 512) * 2),
        tokens_(16 * (desc.m + 8)),
        groups_(4 * (desc.m + 8) * (desc.k() / 128 + 1)),
        y_(desc.m * desc.total_n() * 4) {
    const int64_t size = static_cast<int64_t>(pattern.size());
    for (int64_t at = 0; at < bytes_ * copies_; at += size) {
      Must(cudaMemcpy(static_cast<char*>(weights_.data) + at, pattern.data(),
                      static_cast<size_t>(std::min(size, bytes_ * copies_ - at)),
                      cudaMemcpyHostToDevice),
           "fill weights");
    }
    Rng rng(5);
    std::vector<uint8_t> x(static_cast<size_t>((desc.m + 8) * (desc.k() + 512) * 2));
    const bool wide = desc.recipe == GemmRecipe::kW4A16 || desc.recipe == GemmRecipe::kDense;
    for (size_t i = 0; i + 1 < x.size(); i += 2) {
      const uint64_t bits = rng.Next();
      const auto sixteen =
          ToBFloat16(static_cast<float>(static_cast<int>(bits % 2048) - 1024) / 512);
      x[i] = wide ? static_cast<uint8_t>(sixteen.bits) : static_cast<uint8_t>(bits % 16 * 8 - 60);
      x[i + 1] = wide ? static_cast<uint8_t>(sixteen.bits >> 8)
                      : static_cast<uint8_t>(bits / 16 % 16 * 8 - 60);
    }
    Must(cudaMemcpy(x_.data, x.data(), x.size(), cudaMemcpyHostToDevice), "fill x");
    Ones(rows_, 4 * (desc.total_n() + 64));
    Ones(tokens_, 4 * (desc.m + 8));
    Ones(groups_, (desc.m + 8) * (desc.k() / 128 + 1));
  }

  int copies() const { return copies_; }
  GemmOperands Copy(int i, const GemmDesc& desc) const {
    GemmOperands operands;
    operands.weights[0] = {static_cast<const uint8_t*>(weights_.data) + i % copies_ * bytes_,
                           static_cast<const RowScales*>(rows_.data)};
    operands.x = static_cast<const int8_t*>(x_.data);
    operands.tokens = static_cast<const TokenScales*>(tokens_.data);
    operands.group_scales = static_cast<const float*>(groups_.data);
    operands.y = y_.data;
    operands.y_stride = desc.total_n();
    return operands;
  }

 private:
  static void Ones(const Memory& to, int64_t count) {
    const std::vector<float> ones(static_cast<size_t>(count), 1e-3f);
    Must(cudaMemcpy(to.data, ones.data(), ones.size() * 4, cudaMemcpyHostToDevice), "fill scales");
  }
  int copies_;
  int64_t bytes_;
  Memory weights_, rows_, x_, tokens_, groups_, y_;
};

// A few random row blocks in the layout of the recipe.
std::vector<uint8_t> Pattern(const GemmDesc& desc) {
  constexpr int64_t kRows = 4 * kBlockRows;
  Rng rng(9);
  if (desc.recipe == GemmRecipe::kDense) {
    const PackedDenseLayout layout{kRows, desc.k8};
    std::vector<uint16_t> values(static_cast<size_t>(kRows * desc.k8));
    for (uint16_t& v : values) v = ToBFloat16(static_cast<float>(rng.Normal())).bits;
    std::vector<uint16_t> packed(static_cast<size_t>(layout.bytes() / 2));
    PackDense(layout, values, packed);
    std::vector<uint8_t> bytes(packed.size() * 2);
    std::memcpy(bytes.data(), packed.data(), bytes.size());
    return bytes;
  }
  const bool integer = desc.recipe == GemmRecipe::kInteger;
  const PackedWeightLayout layout{kRows, desc.k4, desc.k8, desc.group,
                                  integer ? GroupScale::kInteger : GroupScale::kHalf};
  const auto groups = static_cast<size_t>(desc.k4 == 0 ? 0 : desc.k4 / desc.group * kRows);
  std::vector<uint8_t> codes4(static_cast<size_t>(kRows * desc.k4 / 2));
  std::vector<uint8_t> multipliers(integer ? groups : 0);
  std::vector<Half> scales(integer ? 0 : groups, ToHalf(0.01f));
  std::vector<int8_t> codes8(static_cast<size_t>(kRows * desc.k8));
  for (uint8_t& c : codes4) c = static_cast<uint8_t>(rng.Next());
  for (uint8_t& k : multipliers) k = static_cast<uint8_t>(1 + rng.Below(15));
  for (int8_t& c : codes8) c = static_cast<int8_t>(rng.Next());
  std::vector<uint8_t> packed(static_cast<size_t>(layout.bytes()));
  PackWeight(layout, {codes4, multipliers, scales, codes8}, packed);
  return packed;
}

int64_t WeightBytes(const GemmDesc& desc) {
  if (desc.recipe == GemmRecipe::kDense) return PackedDenseLayout{desc.n[0], desc.k8}.bytes();
  return PackedWeightLayout{desc.n[0], desc.k4, desc.k8, desc.group, GroupScale::kHalf}.bytes();
}

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

struct Options {
  bool all = false;
  bool overlap = true;
  std::string recipe;
  std::vector<std::string> nk = {"28672x8192", "8192x8192", "4096x4096"};
  std::vector<std::string> m = {"1", "16", "64"};
  int64_t k8 = 128;
};

void Bench(const GemmDesc& desc, const Options& options, const GemmDevice& card,
           const Stream& stream, double bandwidth, const Nvml* nvml) {
  if (!WhyNotStreamed(desc).empty()) return;
  const int64_t bytes = WeightBytes(desc);
  const Operands operands(desc, bytes, Pattern(desc));
  const StreamPlan planned = PlanStream(desc, card);
  for (const StreamKernelInfo& info : kStreamKernels) {
    if (!options.all && info.kernel != planned.kernel) continue;
    const int tile = info.shape.tile_tokens();
    // Of tiles much larger or smaller than M nothing is to be learnt.
    const bool fits =
        desc.m > 64 ? tile >= 128 : tile >= desc.m && (tile == 8 || tile < 4 * desc.m);
    if (info.kernel != planned.kernel && !fits) continue;
    const std::optional<StreamPlan> plan = PlanStream(desc, card, info.kernel);
    if (!plan) continue;
    const int launches = desc.m > 64 ? 3 : std::max(operands.copies(), 40);
    const double us = Time(stream, launches, 9, [&](int i) {
      Must(LaunchStreamGemm(desc, *plan, operands.Copy(i, desc), {stream.get(), options.overlap}));
    });
    const CardState state = nvml != nullptr ? nvml->Read() : CardState{};
    const double flops = 2.0 * static_cast<double>(desc.m * desc.total_n() * desc.k());
    const double rate = static_cast<double>(bytes) / us / 1e3;
    std::printf(
        "{\"recipe\":\"%s\",\"kernel\":\"%s\",\"planned\":%s,\"n\":%lld,\"k\":%lld,\"k8\":%lld,"
        "\"m\":%lld,\"us\":%.3f,\"gb_per_s\":%.0f,\"share_of_read_bandwidth\":%.3f,"
        "\"tops\":%.1f,\"estimated_clocks\":%.0f,\"grid\":%d,\"slots\":%d,\"sm_clock_mhz\":%d,"
        "\"watts\":%.0f}\n",
        std::string(Name(desc.recipe)).c_str(), std::string(info.name).c_str(),
        info.kernel == planned.kernel ? "true" : "false", static_cast<long long>(desc.total_n()),
        static_cast<long long>(desc.k()), static_cast<long long>(desc.k8),
        static_cast<long long>(desc.m), us, rate, rate / bandwidth, flops / us / 1e6,
        plan->estimated_clocks, plan->grid.row_tiles * plan->grid.token_tiles * info.shape.cluster,
        plan->layout.slots, state.sm_clock_mhz, state.power_watts);
    std::fflush(stdout);
  }
}

int Main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const std::string value = i + 1 < argc ? argv[i + 1] : "";
    if (name == "--all") {
      options.all = true;
      continue;
    }
    if (name == "--no-overlap") {
      options.overlap = false;
      continue;
    }
    if (name == "--recipe") options.recipe = value;
    if (name == "--nk") options.nk = Split(value);
    if (name == "--m") options.m = Split(value);
    if (name == "--k8") options.k8 = std::stoll(value);
    ++i;
  }
  Result<DeviceProperties> device = OpenDevice();
  if (!device.ok()) {
    std::fprintf(stderr, "%s\n", device.error().message.c_str());
    return 1;
  }
  const Stream stream = Stream::Create().value();
  Result<Nvml> nvml = Nvml::Open(device->pci_bus_id);
  const GemmDevice card{device->multiprocessors, device->shared_bytes_per_block};
  const double bandwidth = ReadBandwidth(stream, device->multiprocessors);
  std::printf("{\"device\":\"%s\",\"read_gb_per_s\":%.0f}\n", device->name.c_str(), bandwidth);
  for (const GemmRecipe recipe : {GemmRecipe::kInteger, GemmRecipe::kGroup, GemmRecipe::kInt8,
                                  GemmRecipe::kW4A16, GemmRecipe::kDense}) {
    if (!options.recipe.empty() && options.recipe != Name(recipe)) continue;
    for (const std::string& nk : options.nk) {
      for (const std::string& m : options.m) {
        GemmDesc desc;
        desc.recipe = recipe;
        desc.m = std::stoll(m);
        desc.n[0] = std::stoll(nk.substr(0, nk.find('x')));
        const int64_t k = std::stoll(nk.substr(nk.find('x') + 1));
        const bool one_width = recipe == GemmRecipe::kInt8 || recipe == GemmRecipe::kDense;
        desc.k8 = one_width ? k : options.k8;
        desc.k4 = k - desc.k8;
        desc.group = one_width ? 0 : 128;
        desc.output = GemmOutput::kHalf;
        Bench(desc, options, card, stream, bandwidth, nvml.ok() ? &*nvml : nullptr);
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace atom::kernels::cuda

int main(int argc, char** argv) { return atom::kernels::cuda::Main(argc, argv); }
