#include "atom/cli/bench_cuda.h"

#include "atom/bench/kernels/cuda_rows.h"
#include "atom/bench/kernels/gemm_bench.h"

namespace atom::cli {
namespace {

struct RowsFlags : BenchFlags, CudaFlags {
  kernels::CudaBenchOptions options;

  void AddTo(CLI::App& command) {
    backend.backend = "cuda";
    BenchFlags::AddTo(command);
    CudaFlags::AddTo(command, options);
  }
};

// Prints the table as it grows and writes all rows at the end.
Status RunCuda(const BenchFlags& flags, const char* name, kernels::CudaBench& bench,
               const std::function<Status(const kernels::OnCudaRow&)>& run) {
  const bool table = flags.json != "-";
  if (table) fmt::print("{}\n{}\n", bench::CudaHeader(bench.card()), bench::CudaTableHeader());
  nlohmann::json rows = nlohmann::json::array();
  const Status status = run([&](const kernels::CudaBenchRow& row) {
    rows.push_back(bench::ToJson(name, row));
    if (!table) return;
    fmt::print("{}\n", bench::TableLine(row));
    std::fflush(stdout);
  });
  if (!status.ok()) return status;
  for (const std::string& remark : bench.remarks()) fmt::print(stderr, "{}\n", remark);
  return WriteJson(flags.json, bench::CudaReport(bench, std::move(rows)));
}

Status RunCudaRows(RowsFlags& flags) {
  if (flags.backend.backend != "cuda") {
    return MakeError("bench rows: the fused quantizers are kernels of --backend cuda");
  }
  if (flags.quick) flags.options.seconds = 0;
  const Result<std::unique_ptr<kernels::CudaBench>> bench = kernels::MakeCudaBench();
  if (!bench.ok()) return bench.error();
  return RunCuda(flags, "rows", **bench, [&](const kernels::OnCudaRow& on_row) {
    return (*bench)->Rows(flags.options, on_row);
  });
}

}  // namespace

void CudaFlags::AddTo(CLI::App& command, kernels::CudaBenchOptions& options) {
  command_ = &command;
  command.add_option("--cases", options.cases, "cuda: only cases whose name holds this");
  command
      .add_option("--seconds", options.seconds, "cuda: of a sustained round; 0: short figures only")
      ->check(CLI::Range(0.0, 60.0))
      ->capture_default_str();
  command.add_option("--rounds", options.rounds, "cuda: sustained rounds, the median counts")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  own_ = {"--cases", "--seconds", "--rounds"};
}

bool CudaFlags::Given(const std::string& name) const { return command_->count(name) > 0; }

Status CudaFlags::RefuseFor(const std::string& backend) const {
  for (const std::string& name : own_) {
    if (Given(name)) return MakeError("{} is a flag of --backend cuda, not of {}", name, backend);
  }
  return {};
}

Status CudaFlags::RefuseOthers(const std::vector<std::string>& names) const {
  for (const std::string& name : names) {
    if (Given(name)) {
      return MakeError("{}: --backend cuda has cases of its own, which --cases chooses from", name);
    }
  }
  return {};
}

void CudaGemmFlags::AddTo(CLI::App& command) {
  CudaFlags::AddTo(command, *this);
  command.add_option("--outliers", outliers, "cuda: INT8 columns of 4-bit weights")
      ->check(CLI::Range(int64_t{0}, int64_t{4096}))
      ->capture_default_str();
  command.add_option("--experts", experts, "cuda: grouped products, --m rows routed to so many")
      ->check(CLI::Range(0, kernels::kMaxCudaExperts))
      ->capture_default_str();
  command.add_flag("--ablation", ablation, "cuda: 4-bit recipes without outlier columns too");
  command.add_flag("--all-kernels", all_kernels, "cuda: every kernel that computes a case");
  for (const char* name : {"--outliers", "--experts", "--ablation", "--all-kernels"}) Own(name);
}

void CudaAttentionFlags::AddTo(CLI::App& command) {
  CudaFlags::AddTo(command, *this);
  command.add_option("--sdpa", sdpa, "cuda: JSON of tools/attention_baselines.py, for ratios");
  Own("--sdpa");
}

Status RunCudaGemm(const BenchFlags& flags, CudaGemmFlags& cuda,
                   const std::vector<std::string>& kernels, const std::vector<int64_t>& rows,
                   const std::vector<std::string>& shapes) {
  if (cuda.Given("--kernels")) cuda.recipes = kernels;
  cuda.tokens = {1, 16, 64, 256, 1024, 4096};
  if (cuda.Given("--m")) cuda.tokens = rows;
  cuda.shapes = {{8192, 8192}, {28672, 8192}, {4096, 4096}, {5120, 5120}, {13824, 5120}};
  if (cuda.Given("--nk")) {
    cuda.shapes.clear();
    for (const std::string& text : shapes) {
      const Result<bench::GemmShape> shape = bench::ParseGemmShape(text);
      if (!shape.ok()) return shape.error();
      cuda.shapes.push_back({shape->n, shape->k});
    }
  }
  if (flags.quick) cuda.seconds = 0;
  const Result<std::unique_ptr<kernels::CudaBench>> bench = kernels::MakeCudaBench();
  if (!bench.ok()) return bench.error();
  return RunCuda(flags, "gemm", **bench,
                 [&](const kernels::OnCudaRow& on_row) { return (*bench)->Gemm(cuda, on_row); });
}

Status RunCudaAttention(const BenchFlags& flags, CudaAttentionFlags& cuda) {
  Status refused = cuda.RefuseOthers({"--shapes", "--kv", "--depths", "--tests"});
  if (!refused.ok()) return refused;
  if (flags.quick) cuda.seconds = 0;
  const Result<std::unique_ptr<kernels::CudaBench>> bench = kernels::MakeCudaBench();
  if (!bench.ok()) return bench.error();
  if (!cuda.sdpa.empty()) {
    auto baselines = bench::ReadAttentionBaselines(cuda.sdpa, (*bench)->card());
    if (!baselines.ok()) return baselines.error();
    cuda.baselines = std::move(baselines).value();
  }
  return RunCuda(flags, "attention", **bench, [&](const kernels::OnCudaRow& on_row) {
    return (*bench)->Attention(cuda, on_row);
  });
}

void AddBenchRows(CLI::App& parent, int& exit_code) {
  const auto flags = std::make_shared<RowsFlags>();
  AddBenchCommand<RowsFlags>(parent, "rows", "The fused quantizers of --backend cuda", flags,
                             exit_code, RunCudaRows);
}

}  // namespace atom::cli
