#include "atom/kernels/cuda/bench/rows_bench.h"

#include <fmt/format.h>
#include <numeric>

#include "atom/core/check.h"
#include "atom/kernels/cuda/bench/bench_inputs.h"
#include "atom/kernels/cuda/bench/bench_memory.h"
#include "atom/kernels/cuda/bench/row_share.h"
#include "atom/kernels/cuda/device/check.h"
#include "atom/kernels/cuda/rows/fused_quantize.h"

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

constexpr int kMostRows = 4096, kCopies = 4;  // inputs rotate, so that they come from memory
constexpr int64_t kMost = int64_t{kMostRows} * 2 * 16384;  // halves; fp32 rows are half as wide

std::string NameOf(const Case& c) {
  return fmt::format("{} {} x {} {} group {}{}{}{}{}", c.name, c.rows, c.columns,
                     c.type == RowType::kF32 ? "fp32" : "fp16", c.group,
                     c.scale == FusedScale::kInteger ? " integer" : "",
                     c.hadamard ? " hadamard" : "", c.residual ? " residual" : "",
                     c.permuted || c.source == FusedSource::kSiluMul ? "" : " in order");
}

}  // namespace

Status BenchRows(const CudaBenchOptions& options, const Timer& timer, const CudaCard& card,
                 const OnCudaRow& on_row) {
  BenchMemory memory;
  auto* x = memory.Take<uint16_t>(kCopies * kMost);
  auto* residual = memory.Take<uint16_t>(kMost);
  auto* codes = memory.Take<int8_t>(kCopies * kMost / 2);
  auto* tokens = memory.Take<TokenScales>(kMostRows);
  auto* group_scales = memory.Take<float>(int64_t{kMostRows} * 1024);
  auto* weight = memory.Upload(std::vector<float>(16384, 0.75f));
  auto* permutation = memory.Take<int32_t>(16384);
  if (!memory.status().ok()) return memory.status();
  FillHalf(x, kCopies * kMost);
  FillHalf(residual, kMost);
  constexpr FusedSource kNorm = FusedSource::kRmsNorm, kSilu = FusedSource::kSiluMul;
  constexpr FusedScale kInteger = FusedScale::kInteger, kGroup = FusedScale::kGroup;
  constexpr RowType kF32 = RowType::kF32;
  for (const Case& c :
       {Case{"norm", kNorm, 4096, 128, kInteger, true, false},
        Case{"norm", kNorm, 8192, 128, kInteger, true, false},
        Case{"norm", kNorm, 4096, 32, kInteger, true, false},
        Case{"norm", kNorm, 8192, 32, kInteger, true, false},
        Case{"norm", kNorm, 4096, 128, kGroup, false, false},
        Case{"norm", kNorm, 4096, 128, kInteger, true, true},
        Case{"norm", kNorm, 16384, 128, kInteger, true, false},
        Case{"norm", kNorm, 5120, 128, kInteger, true, false},
        Case{"values", FusedSource::kValues, 4096, 128, kInteger, true, false},
        Case{"silu", kSilu, 11008, 128, kInteger, true, false},
        Case{"silu", kSilu, 13824, 128, kInteger, true, false},
        // What gathering costs: the same in the order of x.
        Case{"norm", kNorm, 4096, 128, kInteger, true, false, RowType::kF16, 4096, false},
        Case{"norm", kNorm, 4096, 128, kGroup, false, false, RowType::kF16, 4096, false},
        Case{"norm", kNorm, 4096, 128, kGroup, false, false, RowType::kF16, 256},
        Case{"norm", kNorm, 4096, 128, kGroup, false, false, RowType::kF16, 256, false},
        Case{"norm", kNorm, 4096, 128, kGroup, false, false, RowType::kF16, 16},
        Case{"norm", kNorm, 4096, 128, kGroup, false, false, RowType::kF16, 16, false},
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
    const std::string name = NameOf(c);
    if (name.find(options.cases) == std::string::npos) continue;
    constexpr int kStep = 1237;  // no width has it as a factor: a permutation
    ATOM_CHECK(std::gcd(c.columns, kStep) == 1, "{} columns", c.columns);
    std::vector<int32_t> order;
    for (int i = 0; i < c.columns; ++i) {
      order.push_back(static_cast<int32_t>(int64_t{i} * kStep % c.columns));
    }
    const Status copied = Check(
        cudaMemcpy(permutation, order.data(), 4 * order.size(), cudaMemcpyHostToDevice), "copy");
    if (!copied.ok()) return copied;
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
    const auto enqueue = [&](int i, cudaStream_t stream) {
      call.x = {x + i % kCopies * kMost, c.type, width};
      call.codes = codes + i % kCopies * (kMost / 2);
      return LaunchFusedQuantize(call, stream);
    };
    const Result<CudaTiming> timing =
        timer.Measure(2 * kCopies, enqueue, options.seconds, options.rounds > 0 ? 1 : 0);
    if (!timing.ok()) return timing.error();
    CudaBenchRow row{.name = name, .timing = *timing};
    row.sizes = {{"rows", c.rows}, {"columns", c.columns}, {"group", c.group}};
    row.bytes =
        static_cast<double>(c.rows) *
        (static_cast<double>(RowTypeBytes(c.type) * width) * (c.residual ? 3 : 1) + c.columns + 16);
    FillShare(card, {}, row);
    on_row(row);
  }
  return {};
}

}  // namespace atom::kernels::cuda
