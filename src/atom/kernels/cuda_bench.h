// Benches of single CUDA kernels, for `atom bench gemm|attention|rows --backend cuda`. As
// cuda_backend.h: defined by cuda/, or by nocuda/, where there is nothing to measure.
//
// Launches are replayed as CUDA graphs, inputs rotate over more than the L2 holds.
//   short       median of replays after 60 ms of warming up
//   sustained   rounds of some tenths of a second, contenders in turn, median of the rounds: what
//               the card's power allows
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "atom/core/result.h"

namespace atom::kernels {

struct CudaTiming {
  double short_us = 0;      ///< of one launch
  double sustained_us = 0;  ///< 0: not measured
  int sm_clock_mhz = 0;     ///< read meanwhile; 0 where the driver does not tell
  double power_watts = 0;

  /// The sustained time where there is one.
  double us() const { return sustained_us > 0 ? sustained_us : short_us; }
};

/// What bounds a row, per second: bytes of "dram", operations of "wgmma_s8" and "wgmma_bf16".
using CudaCeilings = std::vector<std::pair<std::string, double>>;

struct CudaCard {
  std::string name;
  int multiprocessors = 0;
  CudaCeilings ceilings;  ///< measured when the bench began
};

/// One measured case.
struct CudaBenchRow {
  std::string name = {};    ///< "integer 8192 x 8192, M 64"
  std::string kernel = {};  ///< what computed it; empty where there is one kernel only
  std::vector<std::pair<std::string, double>> sizes = {};  ///< {"n", 8192}, …
  CudaTiming timing = {};
  double operations = 0;     ///< 0 where only bytes count
  double bytes = 0;          ///< read and written, each once
  std::string ceiling = {};  ///< the one that leaves the least room
  double share = 0;          ///< of that ceiling; 0 where none was measured
  std::vector<std::pair<std::string, double>> ratio =
      {};  ///< {"cublas_fp16", their time / this one}
};
using OnCudaRow = std::function<void(const CudaBenchRow&)>;

struct CudaBenchOptions {
  std::string cases;     ///< only cases whose name holds it
  double seconds = 0.3;  ///< of a sustained round; 0: short figures only
  int rounds = 3;
};

inline constexpr int kMaxCudaExperts = 256;

struct CudaGemmShape {
  int64_t n = 0;
  int64_t k = 0;
};

struct CudaGemmOptions : CudaBenchOptions {
  /// "integer", "group", "int8", "w4a16", "dense"; empty: these. "s4": the kernel for older cards.
  std::vector<std::string> recipes;
  std::vector<CudaGemmShape> shapes;
  std::vector<int64_t> tokens;
  int64_t outliers = 128;
  /// 0: one product. Otherwise grouped products of so many experts, to which `tokens` rows are
  /// routed at random; without a baseline.
  int64_t experts = 0;
  bool baselines = true;     ///< cuBLASLt, where it is found
  bool all_kernels = false;  ///< every kernel that computes a case, not only the planned one
  bool ablation = false;     ///< 4-bit recipes without outlier columns too
};

struct CudaAttentionOptions : CudaBenchOptions {
  /// {"decode 128 x 1024 heads 32/32 d128", best µs of another's fp16 attention}
  std::vector<std::pair<std::string, double>> baselines;
};

class CudaBench {
 public:
  virtual ~CudaBench() = default;

  virtual const CudaCard& card() const = 0;
  /// One linear of every recipe, beside cuBLASLt's.
  virtual Status Gemm(const CudaGemmOptions& options, const OnCudaRow& on_row) = 0;
  /// Decode, prefill and append over a paged cache.
  virtual Status Attention(const CudaAttentionOptions& options, const OnCudaRow& on_row) = 0;
  /// The fused quantizers.
  virtual Status Rows(const CudaBenchOptions& options, const OnCudaRow& on_row) = 0;
  /// What could not be measured here, a sentence each.
  virtual const std::vector<std::string>& remarks() const = 0;
};

/// Opens the GPU and measures its ceilings. Fails with a sentence without CUDA or without a GPU.
Result<std::unique_ptr<CudaBench>> MakeCudaBench();

}  // namespace atom::kernels
