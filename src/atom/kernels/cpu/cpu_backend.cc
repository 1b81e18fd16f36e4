#include "atom/kernels/cpu/cpu_backend.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>

#include "atom/kernels/cpu/ops.h"

namespace atom::kernels {
namespace {

const cpu::KernelTable& KernelsFor(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::kAmx:
      return cpu::AmxKernels();
    case CpuIsa::kAvx512:
      return cpu::Avx512Kernels();
    case CpuIsa::kAvxVnni:
      return cpu::AvxVnniKernels();
    case CpuIsa::kAvx2:
      return cpu::Avx2Kernels();
    case CpuIsa::kScalar:
      break;
  }
  return cpu::ScalarKernels();
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(int threads, CpuIsa isa)
      : pool_(threads), workspace_(pool_.threads()), context_{KernelsFor(isa), pool_, workspace_} {}

  std::string_view name() const override { return "cpu"; }
  std::string Description() const override {
    return fmt::format("{}, {} {}", CpuIsaName(context_.kernels.isa), pool_.threads(),
                       pool_.threads() == 1 ? "thread" : "threads");
  }
  DType hidden_dtype() const override { return DType::kF32; }
  bool HasKernels(quant::Feature) const override { return true; }
  bool simulates() const override { return true; }

  /// Kernels read whole vectors, also behind the last KV row of the last page.
  DeviceBuffer Allocate(size_t bytes) override {
    auto* data = static_cast<std::byte*>(cpu::AllocateUnset(bytes));
    InPieces(bytes, [&](size_t begin, size_t size) { std::memset(data + begin, 0, size); });
    return DeviceBuffer(this, data, bytes);
  }
  void Upload(std::span<const std::byte> from, void* to) override {
    InPieces(from.size(), [&](size_t begin, size_t size) {
      std::memcpy(static_cast<std::byte*>(to) + begin, from.data() + begin, size);
    });
  }
  void Download(const void* from, std::span<std::byte> to) override {
    if (!to.empty()) std::memcpy(to.data(), from, to.size());
  }
  HostBuffer AllocateHost(size_t bytes) override {
    return HostBuffer(this, static_cast<std::byte*>(cpu::AllocateZeroed(bytes)), bytes);
  }

  // Whatever is enqueued is done at once.
  void EnqueueDownload(const void* from, std::span<std::byte> to) override { Download(from, to); }
  Ticket Mark() override { return 0; }
  void Wait(Ticket) override {}

  int64_t ScratchBytes(const StepPlan& plan) const override {
    const cpu::ScratchSize size = ScratchOf(plan);
    return static_cast<int64_t>(size.shared) + pool_.threads() * static_cast<int64_t>(size.worker) +
           HostStep::Bytes(plan.batch);
  }
  void Prepare(const StepPlan& plan) override {
    workspace_.Reserve(ScratchOf(plan));
    step_.Reserve(plan.batch);
  }

  int64_t kv_page_positions() const override { return cpu::kKvPagePositions; }
  int64_t KvPageBytes(const KvShape& shape) const override {
    return cpu::CpuKvLayer::LayoutOf(shape).PageBytes();
  }
  std::unique_ptr<KvLayer> MakeKvLayer(const KvShape& shape, int64_t pages) override {
    return std::make_unique<cpu::CpuKvLayer>(
        shape, pages, Allocate(static_cast<size_t>(pages * KvPageBytes(shape))));
  }
  bool HasKvKernels(const quant::KvFormat&) const override { return true; }
  UnpackedKvPage Unpack(const KvLayer& layer, int64_t page) const override {
    return cpu::UnpackKvPage(cpu::CpuKvLayer::Of(layer), page);
  }

  std::unique_ptr<PackedWeight> Prepack(const quant::QuantizedView& weight,
                                        std::span<const float> bias) override {
    return cpu::PackIntegerWeight(weight, bias, pool_);
  }
  std::unique_ptr<PackedWeight> PrepackDense(const TensorView& weight,
                                             std::span<const float> bias) override {
    return cpu::PackDenseWeight(weight, bias, pool_);
  }
  bool keeps_codes() const override { return true; }
  std::unique_ptr<PackedWeight> PrepackCodes(const quant::CodeMatrix& weight,
                                             std::span<const float> bias) override {
    return cpu::PackCodeWeight(weight, bias, pool_);
  }
  quant::QuantizedMatrix Unpack(const PackedWeight& weight) const override {
    return cpu::UnpackIntegerWeight(cpu::CpuWeight::Of(weight));
  }
  std::unique_ptr<PackedActivation> MakeActivation(const quant::ActivationFormat& format, int64_t k,
                                                   int64_t capacity) override {
    return std::make_unique<cpu::CpuActivation>(format, k, capacity);
  }
  int64_t ActivationBytes(const quant::ActivationFormat& format, int64_t k,
                          int64_t capacity) const override {
    return cpu::CpuActivation::Bytes(format, k, capacity);
  }
  UnpackedActivation Unpack(const PackedActivation& activation) const override {
    return cpu::UnpackActivation(cpu::CpuActivation::Of(activation));
  }

  bool computes_mixtures() const override { return true; }
  std::unique_ptr<ExpertRouting> MakeRouting(const RouterShape& shape, int64_t capacity) override {
    return std::make_unique<HostRouting>(shape, capacity);
  }
  int64_t RoutingBytes(const RouterShape& shape, int64_t capacity) const override {
    return HostRouting::Bytes(shape, capacity);
  }
  UnpackedRouting Unpack(const ExpertRouting& routing) const override {
    return HostRouting::Of(routing).Unpacked();
  }

  void BeginStep(const Batch& batch) override { step_.Begin(batch); }
  void Embed(const DeviceEmbedding& embedding, const DeviceTensor& out) override {
    cpu::Embed(context_, step_, embedding, out);
  }
  void NormQuantize(const DeviceTensor& x, const DeviceNorm& norm, const DeviceBuffer* permutation,
                    PackedActivation& out) override {
    cpu::NormQuantize(context_, x, norm, permutation, cpu::CpuActivation::Of(out));
  }
  void NormAdd(const DeviceTensor& x, const DeviceNorm& norm, const DeviceTensor& y) override {
    cpu::NormAdd(context_, x, norm, y);
  }
  void Norm(const DeviceTensor& x, const DeviceNorm& norm, const DeviceTensor& y) override {
    cpu::Norm(context_, x, norm, y);
  }
  void ReorderQuantize(const DeviceTensor& x, const DeviceBuffer* permutation,
                       PackedActivation& out) override {
    cpu::ReorderQuantize(context_, x, permutation, cpu::CpuActivation::Of(out));
  }
  void ActivationQuantize(const DeviceTensor& x, ActivationFunction function, bool gated,
                          PackedActivation& out) override {
    cpu::ActivationQuantize(context_, x, function, gated, cpu::CpuActivation::Of(out));
  }
  void Linear(const PackedActivation& x, std::span<const PackedWeight* const> weights,
              const DeviceTensor& y, OutputMode mode) override {
    cpu::Linear(context_, cpu::CpuActivation::Of(x), weights, y, mode);
  }
  void Route(const DeviceTensor& logits, const RouterShape& shape,
             ExpertRouting& routing) override {
    cpu::Route(context_, logits, shape, HostRouting::Of(routing));
  }
  void GroupedLinear(const PackedActivation& x, const ExpertRouting& routing,
                     std::span<const PackedWeight* const> weights, const DeviceTensor& y) override {
    cpu::GroupedLinear(context_, cpu::CpuActivation::Of(x), HostRouting::Of(routing), weights, y);
  }
  void Combine(const DeviceTensor& x, const ExpertRouting& routing, const DeviceTensor& y,
               OutputMode mode) override {
    cpu::Combine(context_, x, HostRouting::Of(routing), y, mode);
  }
  void RopeAppendKv(const DeviceTensor& qkv, const AttentionShape& shape, const HeadNorms& norms,
                    const RopeTable& rope, KvLayer& kv) override {
    cpu::RopeAppendKv(context_, step_.view(), qkv, shape, norms, rope, cpu::CpuKvLayer::Of(kv));
  }
  void Attention(const DeviceTensor& qkv, const AttentionShape& shape, const KvLayer& kv,
                 const DeviceTensor& out) override {
    cpu::Attention(context_, step_.view(), qkv, shape, cpu::CpuKvLayer::Of(kv), out);
  }
  void GatherLogitRows(const DeviceTensor& x, const DeviceTensor& out) override {
    cpu::GatherLogitRows(step_.view(), x, out);
  }
  void Softcap(const DeviceTensor& x, float cap) override { cpu::Softcap(context_, x, cap); }
  void NegativeLogLikelihood(const DeviceTensor& logits, std::span<const int32_t> targets,
                             DeviceSpan<double> out) override {
    cpu::NegativeLogLikelihood(context_, logits, targets, out);
  }
  void Sample(const DeviceTensor& logits, std::span<const SampleRow> rows,
              DeviceSpan<int32_t> tokens) override {
    cpu::Sample(context_, logits, rows, tokens);
    for (const SampleRow& row : rows) step_.KeepToken(row.slot, tokens.data[row.row]);
  }
  void TokenLogProbs(const DeviceTensor& logits, std::span<const LogProbQuery> queries,
                     DeviceSpan<int32_t> tokens, const DeviceLogProbs& out) override {
    cpu::TokenLogProbs(context_, logits, queries, tokens, out);
  }

 private:
  /// Calls work(begin, size) for parts of `bytes`, on all threads.
  template <class Work>
  void InPieces(size_t bytes, Work work) {
    constexpr size_t kPiece = size_t{1} << 21;
    pool_.ParallelFor(static_cast<int64_t>((bytes + kPiece - 1) / kPiece), [&](int64_t i, int) {
      const size_t begin = static_cast<size_t>(i) * kPiece;
      work(begin, std::min(kPiece, bytes - begin));
    });
  }

  cpu::ScratchSize ScratchOf(const StepPlan& plan) const {
    cpu::ScratchSize size = cpu::LogitScratch(plan.vocabulary);
    for (const LinearPlan& linear : plan.linears) {
      size.Include(linear.router.experts > 0 ? cpu::GroupedScratch(linear, plan.batch.rows)
                                             : cpu::LinearScratch(linear, plan.batch.rows));
      size.Include(cpu::RowQuantizerScratch(linear.k));
    }
    for (const AttentionShape& shape : plan.attention) {
      size.Include(cpu::RopeKvScratch(shape));
      size.Include(cpu::AttentionScratch(shape, plan.batch, pool_.threads()));
    }
    return size;
  }

  void Free(void* data) override { std::free(data); }
  void FreeHost(void* data) override { std::free(data); }

  ThreadPool pool_;
  cpu::Workspace workspace_;
  cpu::CpuContext context_;
  HostStep step_;
};

}  // namespace

Result<std::unique_ptr<Backend>> MakeCpuBackend(const BackendOptions& options) {
  const Result<CpuIsa> isa = ChooseCpuIsa();
  if (!isa.ok()) return isa.error();
  return MakeCpuBackend(options, *isa);
}

Result<std::unique_ptr<Backend>> MakeCpuBackend(const BackendOptions& options, CpuIsa isa) {
  if (isa > DetectCpuIsa()) {
    return MakeError("backend cpu: {} is more than this processor supports ({})", CpuIsaName(isa),
                     CpuIsaName(DetectCpuIsa()));
  }
  return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(options.threads, isa));
}

}  // namespace atom::kernels
