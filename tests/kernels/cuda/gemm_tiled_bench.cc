// Times the tiled GEMM kernels beside cuBLASLt in fp16, INT8 and FP8, in one process, on one card:
//
//   cuda_gemm_tiled_bench [--json FILE] [--rounds 3] [--seconds 0.3] [--filter NAME] [--all]
//                         [--ablation] [SHAPE ...]           SHAPE: NxKxM, default: the usual nine
//
// Weights rotate over copies larger together than four times the L2; launches are replayed as a
// CUDA graph. *short*: median of 7 replays after 60 ms. *sustained*: rounds of `seconds` each,
// contenders in turn, median of the rounds, with the SM clock and the power read in the middle of
// each. --all times every kernel of a recipe, not only the one that the plan takes. --ablation
// times the 4-bit recipes without outlier columns too: what group scales and outliers cost.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <cublasLt.h>
#include <fmt/format.h>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "atom/core/check.h"
#include "atom/core/half.h"
#include "atom/core/rng.h"
#include "atom/kernels/cuda/device/check.h"
#include "atom/kernels/cuda/device/device.h"
#include "atom/kernels/cuda/device/nvml.h"
#include "atom/kernels/cuda/device/stream.h"
#include "atom/kernels/cuda/gemm/gemm.h"

namespace atom::kernels::cuda {
namespace {

void Must(cudaError_t code, const char* action) {
  const Status status = Check(code, action);
  ATOM_CHECK(status.ok(), "{}", status.error().message);
}

/// Device memory, filled from the host once a copy.
class Buffer {
 public:
  Buffer(const std::vector<uint8_t>& bytes, int copies)
      : stride_((bytes.size() + 255) / 256 * 256) {
    Must(cudaMalloc(&data_, stride_ * static_cast<size_t>(copies)), "allocate");
    for (int i = 0; i < copies; ++i) {
      Must(cudaMemcpy(at<uint8_t>(i), bytes.data(), bytes.size(), cudaMemcpyHostToDevice),
           "upload");
    }
  }
  explicit Buffer(size_t bytes) : stride_(bytes) { Must(cudaMalloc(&data_, bytes), "allocate"); }
  ~Buffer() { (void)cudaFree(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  template <class T>
  T* at(int copy = 0) const {
    return reinterpret_cast<T*>(static_cast<uint8_t*>(data_) + stride_ * static_cast<size_t>(copy));
  }

 private:
  void* data_ = nullptr;
  size_t stride_;
};

struct Shape {
  int64_t n = 0;
  int64_t k = 0;
  int64_t m = 0;
};

/// Something to time: launch(copy) enqueues one product with the weights of a copy.
struct Contender {
  std::string name;
  std::string plan;
  int copies = 1;
  std::function<void(int, cudaStream_t)> launch;
  std::vector<std::shared_ptr<Buffer>> buffers;
  cudaGraphExec_t graph = nullptr;
  int launches = 0;  ///< of a graph
  double short_us = 0;
  std::vector<double> sustained_us;
  std::vector<CardState> states;
};

int Copies(int64_t bytes, int64_t l2) {
  return static_cast<int>(std::max<int64_t>(2, (4 * l2 + bytes - 1) / bytes));
}

std::shared_ptr<Buffer> Upload(const std::vector<uint8_t>& bytes, int copies) {
  return std::make_shared<Buffer>(bytes, copies);
}

// Values as quantizers make them: normal, not uniform. Few draws, since bytes repeat harmlessly.
class Normals {
 public:
  explicit Normals(uint64_t seed) {
    Rng rng(seed);
    for (float& v : values_) v = static_cast<float>(rng.Normal());
  }
  float Next() { return values_[next_++ % values_.size()]; }

 private:
  std::vector<float> values_ = std::vector<float>((1u << 20) - 3);
  size_t next_ = 0;
};

int Code(float v, int limit) {
  return std::clamp(static_cast<int>(std::lround(v)), -limit - 1, limit);
}

// ---- cuBLASLt -------------------------------------------------------------------------------

void MustLt(cublasStatus_t status, const char* action) {
  ATOM_CHECK(status == CUBLAS_STATUS_SUCCESS, "cuBLASLt could not {}: {}", action,
             static_cast<int>(status));
}

struct LtKind {
  const char* name;
  cudaDataType_t operand;
  cudaDataType_t result;
  cublasComputeType_t compute;
  cudaDataType_t scale;
};
constexpr LtKind kLtKinds[] = {
    {"cublas_fp16", CUDA_R_16F, CUDA_R_16F, CUBLAS_COMPUTE_32F, CUDA_R_32F},
    {"cublas_int8", CUDA_R_8I, CUDA_R_32I, CUBLAS_COMPUTE_32I, CUDA_R_32I},
    {"cublas_fp8", CUDA_R_8F_E4M3, CUDA_R_16F, CUBLAS_COMPUTE_32F, CUDA_R_32F},
};

uint8_t ToE4M3(float v) {
  const float a = std::min(std::fabs(v), 448.0f);
  const uint8_t sign = v < 0 ? 0x80 : 0;
  if (a < 0.015625f) return static_cast<uint8_t>(sign | static_cast<int>(std::lround(a * 512)));
  int exponent = 0;
  const float fraction = std::frexp(a, &exponent);  // in [0.5, 1)
  int mantissa = static_cast<int>(std::lround(fraction * 16)) - 8;
  if (mantissa == 8) {
    mantissa = 0;
    ++exponent;
  }
  return static_cast<uint8_t>(sign | std::min((exponent + 6) << 3 | mantissa, 0x7e));
}

std::vector<uint8_t> LtValues(const LtKind& kind, int64_t count, uint64_t seed) {
  Normals normals(seed);
  const size_t size = kind.operand == CUDA_R_16F ? 2 : 1;
  std::vector<uint8_t> bytes(static_cast<size_t>(count) * size);
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    const float v = normals.Next();
    if (kind.operand == CUDA_R_16F) {
      const Half h = ToHalf(v);
      std::memcpy(&bytes[2 * i], &h.bits, 2);
    } else if (kind.operand == CUDA_R_8I) {
      bytes[i] = static_cast<uint8_t>(Code(v * 32, 127));
    } else {
      bytes[i] = ToE4M3(v);
    }
  }
  return bytes;
}

class LtProduct {
 public:
  LtProduct(cublasLtHandle_t handle, const LtKind& kind, const Shape& shape) : handle_(handle) {
    MustLt(cublasLtMatmulDescCreate(&desc_, kind.compute, kind.scale), "describe a product");
    const cublasOperation_t transposed = CUBLAS_OP_T;
    Set(CUBLASLT_MATMUL_DESC_TRANSA, transposed);
    if (kind.operand == CUDA_R_8F_E4M3) {
      const int8_t fast = 1;
      Set(CUBLASLT_MATMUL_DESC_FAST_ACCUM, fast);
    }
    const auto n = static_cast<uint64_t>(shape.n);
    const auto k = static_cast<uint64_t>(shape.k);
    const auto m = static_cast<uint64_t>(shape.m);
    MustLt(cublasLtMatrixLayoutCreate(&a_, kind.operand, k, n, shape.k), "lay out A");
    MustLt(cublasLtMatrixLayoutCreate(&b_, kind.operand, k, m, shape.k), "lay out B");
    MustLt(cublasLtMatrixLayoutCreate(&d_, kind.result, n, m, shape.n), "lay out D");
    Must(cudaMalloc(&workspace_, kWorkspace), "allocate");
    cublasLtMatmulPreference_t preference = nullptr;
    MustLt(cublasLtMatmulPreferenceCreate(&preference), "make a preference");
    const size_t limit = kWorkspace;
    MustLt(cublasLtMatmulPreferenceSetAttribute(
               preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &limit, sizeof(limit)),
           "limit the workspace");
    candidates_.resize(8);
    int found = 0;
    MustLt(cublasLtMatmulAlgoGetHeuristic(handle_, desc_, a_, b_, d_, d_, preference, 8,
                                          candidates_.data(), &found),
           "find an algorithm");
    candidates_.resize(static_cast<size_t>(found));
    (void)cublasLtMatmulPreferenceDestroy(preference);
    integer_ = kind.scale == CUDA_R_32I;
  }

  size_t algorithms() const { return candidates_.size(); }
  void Choose(size_t algorithm) { chosen_ = algorithm; }

  bool Run(const void* a, const void* b, void* d, cudaStream_t stream) const {
    const float one = 1, zero = 0;
    const int32_t int_one = 1, int_zero = 0;
    const void* alpha = integer_ ? static_cast<const void*>(&int_one) : &one;
    const void* beta = integer_ ? static_cast<const void*>(&int_zero) : &zero;
    return cublasLtMatmul(handle_, desc_, alpha, a, a_, b, b_, beta, d, d_, d, d_,
                          &candidates_[chosen_].algo, workspace_, kWorkspace,
                          stream) == CUBLAS_STATUS_SUCCESS;
  }

 private:
  static constexpr size_t kWorkspace = size_t{64} << 20;

  template <class T>
  void Set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    MustLt(cublasLtMatmulDescSetAttribute(desc_, attribute, &value, sizeof(value)), "set");
  }

  cublasLtHandle_t handle_;
  cublasLtMatmulDesc_t desc_ = nullptr;
  cublasLtMatrixLayout_t a_ = nullptr, b_ = nullptr, d_ = nullptr;
  void* workspace_ = nullptr;
  std::vector<cublasLtMatmulHeuristicResult_t> candidates_;
  size_t chosen_ = 0;
  bool integer_ = false;
};

double TimeOnce(cudaStream_t stream, const std::function<void()>& work) {
  cudaEvent_t begin = nullptr, end = nullptr;
  Must(cudaEventCreate(&begin), "make an event");
  Must(cudaEventCreate(&end), "make an event");
  Must(cudaEventRecord(begin, stream), "record");
  work();
  Must(cudaEventRecord(end, stream), "record");
  Must(cudaEventSynchronize(end), "wait");
  float ms = 0;
  Must(cudaEventElapsedTime(&ms, begin, end), "read the time");
  (void)cudaEventDestroy(begin);
  (void)cudaEventDestroy(end);
  return ms * 1000.0;
}

// The fastest of what cuBLASLt's heuristic offers.
std::unique_ptr<Contender> MakeLt(cublasLtHandle_t handle, const LtKind& kind, const Shape& shape,
                                  int64_t l2, cudaStream_t stream) {
  auto contender = std::make_unique<Contender>();
  contender->name = kind.name;
  const int64_t size = kind.operand == CUDA_R_16F ? 2 : 1;
  contender->copies = Copies(shape.n * shape.k * size, l2);
  auto w = Upload(LtValues(kind, shape.n * shape.k, 1), contender->copies);
  auto x = Upload(LtValues(kind, shape.m * shape.k, 2), 1);
  auto y = std::make_shared<Buffer>(static_cast<size_t>(shape.n * shape.m * 4));
  auto product = std::make_shared<LtProduct>(handle, kind, shape);
  double best = 1e30;
  size_t best_algorithm = 0;
  for (size_t i = 0; i < product->algorithms(); ++i) {
    product->Choose(i);
    if (!product->Run(w->at<void>(), x->at<void>(), y->at<void>(), stream)) continue;
    const double us = TimeOnce(stream, [&] {
      for (int r = 0; r < 6; ++r) {
        (void)product->Run(w->at<void>(r % contender->copies), x->at<void>(), y->at<void>(),
                           stream);
      }
    });
    if (us < best) {
      best = us;
      best_algorithm = i;
    }
  }
  product->Choose(best_algorithm);
  contender->plan = fmt::format("algorithm {} of {}", best_algorithm, product->algorithms());
  contender->launch = [=](int copy, cudaStream_t s) {
    ATOM_CHECK(product->Run(w->at<void>(copy), x->at<void>(), y->at<void>(), s), "cuBLASLt failed");
  };
  contender->buffers = {w, x, y};
  return contender;
}

// ---- our kernels ----------------------------------------------------------------------------

GemmDesc Describe(GemmRecipe recipe, const Shape& shape, int64_t outliers) {
  GemmDesc desc;
  desc.recipe = recipe;
  desc.m = shape.m;
  desc.n = {shape.n, 0, 0};
  desc.k8 = recipe == GemmRecipe::kInt8 ? shape.k : outliers;
  desc.k4 = shape.k - desc.k8;
  desc.group = recipe == GemmRecipe::kInt8 ? 0 : 128;
  return desc;
}

// Packed bytes with normal codes: nibbles and multipliers straight into the layout.
std::vector<uint8_t> WeightBytes(const GemmDesc& desc) {
  const bool half = desc.recipe == GemmRecipe::kGroup;
  const PackedWeightLayout layout{desc.n[0], desc.k4, desc.k8, desc.group,
                                  half ? GroupScale::kHalf : GroupScale::kInteger};
  Normals normals(3);
  std::vector<uint8_t> bytes(static_cast<size_t>(layout.bytes()));
  for (int64_t rb = 0; rb < layout.row_blocks(); ++rb) {
    for (int64_t b = 0; b < layout.blocks4(); ++b) {
      uint8_t* block = &bytes[static_cast<size_t>(layout.block4_offset(rb, b))];
      for (int64_t i = 0; i < kBlockCodeBytes; ++i) {
        const int low = Code(normals.Next() * 2.5f, 7) & 15;
        const int high = Code(normals.Next() * 2.5f, 7) & 15;
        block[i] = static_cast<uint8_t>((low | high << 4) ^ (half ? 0 : 0x88));
      }
      for (int64_t i = 0; i < kScaleBytes; i += 2) {
        const int k = 8 + std::abs(Code(normals.Next() * 3, 7)) % 8;
        const uint16_t scale = half ? ToHalf(0.01f).bits : static_cast<uint16_t>(k * 0x1111);
        std::memcpy(block + kBlockCodeBytes + i, &scale, 2);
      }
    }
    for (int64_t s = 0; s < layout.steps8(); ++s) {
      uint8_t* step = &bytes[static_cast<size_t>(layout.step8_offset(rb, s))];
      for (int64_t i = 0; i < kStep8Bytes; ++i) {
        step[i] = static_cast<uint8_t>(Code(normals.Next() * 32, 127));
      }
    }
  }
  return bytes;
}

template <class T>
std::vector<uint8_t> Bytes(const std::vector<T>& values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<uint8_t> ActivationBytes(const GemmDesc& desc) {
  const PackedActivationLayout layout{desc.m, desc.k4, desc.k8};
  Normals normals(4);
  std::vector<uint8_t> bytes(static_cast<size_t>(layout.bytes()));
  const auto low = static_cast<size_t>(layout.blocks4() * layout.block_bytes());
  int k = 8;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const float v = normals.Next();
    if (i % 128 == 0) k = 8 + static_cast<int>(i / 128 % 8);
    int value = Code(v * 32, 127);
    if (i < low) value = Code(v * 2.5f, 7) * (desc.recipe == GemmRecipe::kInteger ? k : 1);
    bytes[i] = static_cast<uint8_t>(value);
  }
  return bytes;
}

std::unique_ptr<Contender> MakeOurs(const GemmDesc& desc, const GemmPlan& plan, int64_t l2) {
  auto contender = std::make_unique<Contender>();
  contender->name = std::string(Name(plan.kernel)) + (desc.k8 == 0 ? "_no_outliers" : "");
  contender->plan = ToString(plan);
  const std::vector<uint8_t> weight = WeightBytes(desc);
  contender->copies = Copies(static_cast<int64_t>(weight.size()), l2);
  auto w = Upload(weight, contender->copies);
  const auto rows8 = static_cast<size_t>((desc.n[0] + 63) / 64 * 64);
  const auto m8 = static_cast<size_t>((desc.m + 7) / 8 * 8);
  auto rows = Upload(Bytes(std::vector<RowScales>(rows8, RowScales{1e-3f, 1e-3f, 0, 0})), 1);
  auto x = Upload(ActivationBytes(desc), 1);
  auto tokens = Upload(Bytes(std::vector<TokenScales>(m8, TokenScales{1e-3f, 1e-3f, 5, 0})), 1);
  const auto groups = static_cast<size_t>(std::max<int64_t>(1, desc.k4 / 128));
  auto scales = Upload(Bytes(std::vector<float>(groups * m8, 1e-2f)), 1);
  auto y = std::make_shared<Buffer>(static_cast<size_t>(desc.n[0] * desc.m * 4));
  GemmOperands operands;
  operands.weights[0].rows = rows->at<RowScales>();
  operands.x = x->at<int8_t>();
  operands.tokens = tokens->at<TokenScales>();
  operands.group_scales = scales->at<float>();
  operands.y = y->at<void>();
  operands.y_stride = desc.n[0];
  contender->launch = [=](int copy, cudaStream_t stream) {
    GemmOperands these = operands;
    these.weights[0].codes = w->at<uint8_t>(copy);
    const Status status = LaunchGemm(desc, plan, these, {stream, true});
    ATOM_CHECK(status.ok(), "{}", status.error().message);
  };
  contender->buffers = {w, rows, x, tokens, scales, y};
  return contender;
}

// ---- timing ---------------------------------------------------------------------------------

void Capture(Contender& contender, cudaStream_t stream) {
  for (int i = 0; i < contender.copies; ++i) contender.launch(i, stream);
  const double us = TimeOnce(stream,
                             [&] {
                               for (int i = 0; i < contender.copies; ++i)
                                 contender.launch(i, stream);
                             }) /
                    contender.copies;
  contender.launches =
      (std::max(contender.copies, static_cast<int>(4000 / us)) + contender.copies - 1) /
      contender.copies * contender.copies;
  cudaGraph_t graph = nullptr;
  Must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "begin a graph");
  for (int i = 0; i < contender.launches; ++i) contender.launch(i % contender.copies, stream);
  Must(cudaStreamEndCapture(stream, &graph), "end a graph");
  Must(cudaGraphInstantiate(&contender.graph, graph, 0), "instantiate a graph");
  (void)cudaGraphDestroy(graph);
}

double ReplayUs(const Contender& contender, cudaStream_t stream, int replays) {
  const double us = TimeOnce(stream, [&] {
    for (int i = 0; i < replays; ++i) Must(cudaGraphLaunch(contender.graph, stream), "replay");
  });
  return us / replays / contender.launches;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void TimeShort(Contender& contender, cudaStream_t stream) {
  const double once = ReplayUs(contender, stream, 1) * contender.launches;
  (void)ReplayUs(contender, stream, 1 + static_cast<int>(60e3 / once));
  std::vector<double> samples;
  for (int i = 0; i < 7; ++i) samples.push_back(ReplayUs(contender, stream, 1));
  contender.short_us = Median(samples);
}

void TimeSustained(Contender& contender, cudaStream_t stream, double seconds, const Nvml* nvml) {
  const double once = contender.short_us * contender.launches;
  (void)ReplayUs(contender, stream, 1 + static_cast<int>(0.05e6 / once));
  CardState state;
  std::jthread reader([&] {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds * 0.7));
    if (nvml != nullptr) state = nvml->Read();
  });
  const int replays = 1 + static_cast<int>(seconds * 1e6 / once);
  contender.sustained_us.push_back(ReplayUs(contender, stream, replays));
  reader.join();
  contender.states.push_back(state);
}

// ---- report ---------------------------------------------------------------------------------

struct Options {
  std::string json;
  std::string filter;
  int rounds = 3;
  double seconds = 0.3;
  bool all = false;
  bool ablation = false;
  std::vector<Shape> shapes;
};

double UsOf(const std::vector<std::unique_ptr<Contender>>& contenders, std::string_view name) {
  for (const auto& c : contenders) {
    if (c->name == name && !c->sustained_us.empty()) return Median(c->sustained_us);
  }
  return 0;
}

std::string Report(const Shape& shape, const std::vector<std::unique_ptr<Contender>>& contenders,
                   const DeviceProperties& device) {
  std::string json;
  const double ops = 2.0 * static_cast<double>(shape.n) * static_cast<double>(shape.k) *
                     static_cast<double>(shape.m);
  fmt::print("\n{} x {}, M {}\n{:<26}{:>10}{:>8}{:>10}{:>8}{:>7}{:>6}{:>9}{:>7}{:>7}{:>7}\n",
             shape.n, shape.k, shape.m, "", "short us", "TOPS", "sust. us", "TOPS", "MHz", "W",
             "op/clk/SM", "/fp16", "/int8", "/fp8");
  for (const auto& c : contenders) {
    const double us = c->sustained_us.empty() ? c->short_us : Median(c->sustained_us);
    std::vector<double> clocks, watts;
    for (const CardState& s : c->states) {
      clocks.push_back(s.sm_clock_mhz);
      watts.push_back(s.power_watts);
    }
    const double clock = clocks.empty() ? 0 : Median(clocks);
    const double power = watts.empty() ? 0 : Median(watts);
    const double tops = ops / us * 1e-6;
    const double per_clock = clock == 0 ? 0 : tops * 1e6 / clock / device.multiprocessors;
    const auto ratio = [&](const char* base) { return UsOf(contenders, base) / us; };
    fmt::print(
        "{:<26}{:>10.2f}{:>8.0f}{:>10.2f}{:>8.0f}{:>7.0f}{:>6.0f}{:>9.0f}{:>7.2f}{:>7.2f}{:>7.2f}"
        "\n",
        c->name, c->short_us, ops / c->short_us * 1e-6, us, tops, clock, power, per_clock,
        ratio("cublas_fp16"), ratio("cublas_int8"), ratio("cublas_fp8"));
    json += fmt::format(
        "{{\"card\": \"{}\", \"n\": {}, \"k\": {}, \"m\": {}, \"kernel\": \"{}\", \"plan\": "
        "\"{}\", "
        "\"short_us\": {:.3f}, \"sustained_us\": {:.3f}, \"sustained_tops\": {:.1f}, "
        "\"sm_clock_mhz\": {:.0f}, \"power_watts\": {:.0f}, \"vs_fp16\": {:.3f}, \"vs_int8\": "
        "{:.3f}, "
        "\"vs_fp8\": {:.3f}}}\n",
        device.name, shape.n, shape.k, shape.m, c->name, c->plan, c->short_us, us, tops, clock,
        power, ratio("cublas_fp16"), ratio("cublas_int8"), ratio("cublas_fp8"));
  }
  std::fflush(stdout);
  return json;
}

std::string RunShape(const Shape& shape, const Options& options, const DeviceProperties& device,
                     const Nvml* nvml, cublasLtHandle_t lt, cudaStream_t stream) {
  std::vector<std::unique_ptr<Contender>> contenders;
  for (const LtKind& kind : kLtKinds) {
    contenders.push_back(MakeLt(lt, kind, shape, device.l2_bytes, stream));
  }
  const GemmDevice gemm_device{device.multiprocessors, device.shared_bytes_per_block};
  for (const GemmRecipe recipe : {GemmRecipe::kInteger, GemmRecipe::kGroup, GemmRecipe::kInt8}) {
    for (const int64_t outliers : {128, 0}) {
      if (outliers == 0 && (!options.ablation || recipe == GemmRecipe::kInt8)) continue;
      const GemmDesc desc = Describe(recipe, shape, outliers);
      const GemmPlan chosen = PlanGemm(desc, gemm_device);
      for (const GemmKernelInfo& info : GemmKernels()) {
        if (!options.all && info.kernel != chosen.kernel) continue;
        if (info.name.find(options.filter) == std::string_view::npos) continue;
        const std::optional<GemmPlan> plan = PlanGemm(desc, gemm_device, info.kernel);
        if (plan) contenders.push_back(MakeOurs(desc, *plan, device.l2_bytes));
      }
    }
  }
  for (const auto& c : contenders) {
    Capture(*c, stream);
    TimeShort(*c, stream);
  }
  for (int round = 0; round < options.rounds; ++round) {
    // The card's power budget remembers who ran before: every round in another order.
    std::vector<Contender*> order;
    for (const auto& c : contenders) order.push_back(c.get());
    std::rotate(order.begin(), order.begin() + round * 3 % order.size(), order.end());
    if (round % 2 == 1) std::reverse(order.begin(), order.end());
    for (Contender* c : order) TimeSustained(*c, stream, options.seconds, nvml);
  }
  for (const auto& c : contenders) (void)cudaGraphExecDestroy(c->graph);
  return Report(shape, contenders, device);
}

int Run(const Options& options) {
  const Result<DeviceProperties> device = OpenDevice();
  if (!device.ok()) {
    fmt::print(stderr, "{}\n", device.error().message);
    return 1;
  }
  const Result<Nvml> nvml = Nvml::Open(device->pci_bus_id);
  const Result<Stream> stream = Stream::Create();
  ATOM_CHECK(stream.ok(), "no stream");
  cublasLtHandle_t lt = nullptr;
  MustLt(cublasLtCreate(&lt), "start");
  fmt::print("{}, {} multiprocessors; sustained: {} rounds of {} s\n", device->name,
             device->multiprocessors, options.rounds, options.seconds);
  std::FILE* file = options.json.empty() ? nullptr : std::fopen(options.json.c_str(), "w");
  for (const Shape& shape : options.shapes) {
    const std::string json =
        RunShape(shape, options, *device, nvml.ok() ? &*nvml : nullptr, lt, stream->get());
    if (file != nullptr) {
      std::fputs(json.c_str(), file);
      std::fflush(file);
    }
  }
  if (file != nullptr) std::fclose(file);
  return 0;
}

}  // namespace
}  // namespace atom::kernels::cuda

int main(int argc, char** argv) {
  using atom::kernels::cuda::Shape;
  atom::kernels::cuda::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    Shape shape;
    if (arg == "--json") {
      options.json = value, ++i;
    } else if (arg == "--rounds") {
      options.rounds = std::atoi(value), ++i;
    } else if (arg == "--seconds") {
      options.seconds = std::atof(value), ++i;
    } else if (arg == "--filter") {
      options.filter = value, ++i;
    } else if (arg == "--all") {
      options.all = true;
    } else if (arg == "--ablation") {
      options.ablation = true;
    } else if (std::sscanf(arg.c_str(), "%ldx%ldx%ld", &shape.n, &shape.k, &shape.m) == 3) {
      options.shapes.push_back(shape);
    } else {
      std::fprintf(stderr, "unknown argument %s\n", arg.c_str());
      return 2;
    }
  }
  if (options.shapes.empty()) {
    for (const Shape& s : {Shape{8192, 8192, 0}, Shape{28672, 8192, 0}, Shape{4096, 4096, 0}}) {
      for (const int64_t m : {4096, 1024, 256}) options.shapes.push_back({s.n, s.k, m});
    }
  }
  return atom::kernels::cuda::Run(options);
}
