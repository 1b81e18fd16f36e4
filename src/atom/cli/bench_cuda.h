// `atom bench gemm|attention|rows --backend cuda`: single kernels on a GPU. Lists that the command
// line does not name have defaults of their own there.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "atom/cli/bench_flags.h"
#include "atom/core/result.h"
#include "atom/kernels/cuda_bench.h"

namespace atom::cli {

/// Flags of a command that may also run elsewhere.
class CudaFlags {
 public:
  /// Errors: a flag of --backend cuda with another one.
  Status RefuseFor(const std::string& backend) const;
  /// Errors: a flag of `names`, which other backends have, with --backend cuda.
  Status RefuseOthers(const std::vector<std::string>& names) const;
  bool Given(const std::string& name) const;

 protected:
  void AddTo(CLI::App& command, kernels::CudaBenchOptions& options);
  void Own(const char* name) { own_.emplace_back(name); }

 private:
  CLI::App* command_ = nullptr;
  std::vector<std::string> own_;
};

struct CudaGemmFlags : CudaFlags, kernels::CudaGemmOptions {
  void AddTo(CLI::App& command);
};
struct CudaAttentionFlags : CudaFlags, kernels::CudaAttentionOptions {
  std::string sdpa;

  void AddTo(CLI::App& command);
};

Status RunCudaGemm(const BenchFlags& flags, CudaGemmFlags& cuda,
                   const std::vector<std::string>& kernels, const std::vector<int64_t>& rows,
                   const std::vector<std::string>& shapes);
Status RunCudaAttention(const BenchFlags& flags, CudaAttentionFlags& cuda);

}  // namespace atom::cli
