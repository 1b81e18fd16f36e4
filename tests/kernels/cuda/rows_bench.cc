// Times the fused quantizers beside the card's read bandwidth: cuda_rows_bench [FILE.json]
#include <cmath>

#include "atom/kernels/cuda/device/check.h"
#include "atom/kernels/cuda/rows/fused_quantize.h"

#include "tests/kernels/cuda/bench_inputs.h"
#include "tests/kernels/cuda/timing.h"

namespace atom::kernels::cuda {
namespace {

struct Case {
  const char* name;
  FusedSource source;
  int columns, group;
  FusedScale scale;
  bool hadamard, residual;
  RowType type = RowType::kF16;
  int rows = 4096;
  bool permuted = true;
};

int Main(int argc, char** argv) {
  const Result<DeviceProperties> device = OpenDevice();
  if (!device.ok()) {
    fmt::print(stderr, "{}\n", device.error().message);
    return 1;
  }
  Timer timer(*device);
  constexpr int kMostRows = 4096, kCopies = 4;  // inputs rotate, so that they come from memory
  constexpr int64_t kMost = int64_t{kMostRows} * 2 * 16384;  // halves; fp32 rows are half as wide
  auto* x = BenchAllocate<uint16_t>(kCopies * kMost);
  auto* residual = BenchAllocate<uint16_t>(kMost);
  auto* codes = BenchAllocate<int8_t>(kCopies * kMost / 2);
  auto* tokens = BenchAllocate<TokenScales>(kMostRows);
  auto* group_scales = BenchAllocate<float>(int64_t{kMostRows} * 1024);
  auto* weight = BenchAllocate<float>(16384);
  auto* permutation = BenchAllocate<int32_t>(16384);
  FillHalf(x, kCopies * kMost);
  FillHalf(residual, kMost);
  Timer::Require(cudaMemset(weight, 0x3F, 16384 * 4));
  Timer::Require(cudaDeviceSynchronize());
  const int64_t read_bytes = 2 * kCopies * kMost;
  const Timing read = timer.Measure(4, [&](int, cudaStream_t stream) {
    return Check(ReadAll(x, read_bytes, device->multiprocessors,
                         reinterpret_cast<uint32_t*>(tokens), stream),
                 "read");
  });
  const double bandwidth = static_cast<double>(read_bytes) / read.microseconds / 1e3;
  fmt::print("{}: reads {:.0f} GB/s; us, GB/s of bytes read and written, share\n", device->name,
             bandwidth);
  std::string json = fmt::format("{{\"device\": \"{}\", \"read_gb_s\": {:.1f}, \"cases\": [",
                                 device->name, bandwidth);
  constexpr FusedSource kNorm = FusedSource::kRmsNorm, kSilu = FusedSource::kSiluMul;
  constexpr FusedScale kInteger = FusedScale::kInteger, kGroup = FusedScale::kGroup;
  constexpr RowType kF32 = RowType::kF32;
  const char* separator = "";
  for (const Case& c :
       {Case{"norm", kNorm, 4096, 128, kInteger, true, false},
        Case{"norm", kNorm, 8192, 128, kInteger, true, false},
        Case{"norm", kNorm, 4096, 32, kInteger, true, false},
        Case{"norm", kNorm, 8192, 32, kInteger, true, false},
        Case{"norm", kNorm, 4096, 128, kGroup, false, false},
        Case{"norm", kNorm, 4096, 128, kInteger, true, true},
        Case{"norm", kNorm, 16384, 128, kInteger, true, false},
        Case{"values", FusedSource::kValues, 4096, 128, kInteger, true, false},
        Case{"silu", kSilu, 11008, 128, kInteger, true, false},
        // What gathering costs: the same in the order of x.
        Case{"norm", kNorm, 4096, 128, kInteger, true, false, RowType::kF16, 4096, false},
        // As the backend calls them.
        Case{"norm", kNorm, 4096, 128, kInteger, true, false, kF32},
        Case{"norm", kNorm, 8192, 128, kInteger, true, false, kF32},
        Case{"norm", kNorm, 4096, 128, kGroup, false, false, kF32},
        Case{"values", FusedSource::kValues, 4096, 128, kInteger, true, false, kF32},
        Case{"norm", kNorm, 4096, 128, kInteger, true, false, kF32, 64},
        Case{"norm", kNorm, 4096, 128, kInteger, true, false, kF32, 1},
        Case{"norm", kNorm, 4096, 128, kGroup, false, false, kF32, 1},
        Case{"values", FusedSource::kValues, 4096, 128, kGroup, false, false, kF32, 1},
        Case{"silu", kSilu, 11008, 128, kGroup, false, false, kF32, 64},
        Case{"silu", kSilu, 11008, 128, kGroup, false, false, kF32, 1}}) {
    std::vector<int32_t> order;
    for (int i = 0; i < c.columns; ++i) {
      order.push_back(static_cast<int32_t>(int64_t{i} * 1237 % c.columns));
    }
    if (c.columns % 1237 == 0) return 1;
    Timer::Require(cudaMemcpy(permutation, order.data(), 4 * order.size(), cudaMemcpyHostToDevice));
    const int64_t width = c.source == kSilu ? 2 * c.columns : c.columns;
    FusedQuantizeCall call;
    call.rows = c.rows;
    call.columns = c.columns;
    call.source = c.source;
    if (c.residual) call.residual = {residual, c.type, width};
    call.weight = weight;
    call.epsilon = 1e-5f;
    call.permutation = c.source == kSilu || !c.permuted ? nullptr : permutation;
    call.outliers = 128;
    call.group = c.group;
    call.hadamard = c.hadamard;
    call.scale = c.scale;
    call.tokens = tokens;
    call.group_scales = group_scales;
    const Timing timing = timer.Measure(2 * kCopies, [&](int i, cudaStream_t stream) {
      call.x = {x + i % kCopies * kMost, c.type, width};
      call.codes = codes + i % kCopies * (kMost / 2);
      return LaunchFusedQuantize(call, stream);
    });
    const double bytes =
        static_cast<double>(c.rows) *
        (static_cast<double>(RowTypeBytes(c.type) * width) * (c.residual ? 3 : 1) + c.columns + 16);
    const double rate = bytes / timing.microseconds / 1e3;
    fmt::print(
        "{:<7} {:>4} x {:>5} {} group {:>3} {} {}{} {:>8.2f} us {:>6.0f} {:>5.1f} % {:>5} MHz "
        "{:>4.0f} W\n",
        c.name, c.rows, c.columns, c.type == kF32 ? "f32" : "f16", c.group,
        c.scale == kInteger ? "integer" : "group  ", c.hadamard ? "hadamard" : "        ",
        c.residual    ? " residual"
        : !c.permuted ? " in order"
                      : "         ",
        timing.microseconds, rate, 100 * rate / bandwidth, timing.card.sm_clock_mhz,
        timing.card.power_watts);
    json += fmt::format(
        "{}\n  {{\"case\": \"{} {} group {}{}{}{}{}\", \"rows\": {}, \"us\": {:.3f}, \"gb_s\": "
        "{:.1f}, \"share\": "
        "{:.4f}, \"sm_clock_mhz\": {}}}",
        separator, c.name, c.columns, c.group, c.scale == kInteger ? " integer" : "",
        c.hadamard ? " hadamard" : "",
        c.residual    ? " residual"
        : !c.permuted ? " in order"
                      : "",
        c.type == kF32 ? " fp32" : "", c.rows, timing.microseconds, rate, rate / bandwidth,
        timing.card.sm_clock_mhz);
    separator = ",";
  }
  if (argc > 1) {
    std::FILE* file = std::fopen(argv[1], "w");
    if (file == nullptr) return 1;
    fmt::print(file, "{}\n]}}\n", json);
    std::fclose(file);
  }
  return 0;
}

}  // namespace
}  // namespace atom::kernels::cuda

int main(int argc, char** argv) { return atom::kernels::cuda::Main(argc, argv); }
