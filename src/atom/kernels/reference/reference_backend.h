// The reference backend: docs/numerics.md as code, to be read beside it. One file an op:
//
//   quantize.cc    NormQuantize, NormAdd, ReorderQuantize,
//                  ActivationQuantize                                    numerics 2 and 4
//   linear.cc      Linear                                                numerics 3
//   mixture.cc     Route, GroupedLinear, Combine                         numerics 4
//   rope_kv.cc     RopeAppendKv                                          numerics 4
//   attention.cc   Attention                                             numerics 4
//   logits.cc      Embed, GatherLogitRows, Softcap, NegativeLogLikelihood,
//                  Sample, TokenLogProbs                                 numerics 4
//
// Scalar code in exactly the order of that page, so that it shares every bit with the cpu backend.
// It is the specification: it may be slow, and its ops may allocate; threads share rows, outputs or
// heads and never a sum.
#pragma once

#include <functional>

#include "atom/core/result.h"
#include "atom/core/thread_pool.h"
#include "atom/kernels/backend.h"
#include "atom/kernels/host_step.h"
#include "atom/kernels/registry.h"

namespace atom::kernels::reference {

class ReferenceBackend : public Backend {
 public:
  /// 0 threads: every processor this process may use.
  explicit ReferenceBackend(int threads) : pool_(threads) {}

  std::string_view name() const override { return "reference"; }
  std::string Description() const override;
  DType hidden_dtype() const override { return DType::kF32; }
  bool HasKernels(quant::Feature) const override { return true; }
  bool simulates() const override { return true; }

  DeviceBuffer Allocate(size_t bytes) override;
  void Upload(std::span<const std::byte> from, void* to) override;
  void Download(const void* from, std::span<std::byte> to) override;
  HostBuffer AllocateHost(size_t bytes) override;
  void EnqueueDownload(const void* from, std::span<std::byte> to) override { Download(from, to); }
  Ticket Mark() override { return 0; }  // whatever is enqueued is done at once
  void Wait(Ticket) override {}

  int64_t ScratchBytes(const StepPlan& plan) const override { return HostStep::Bytes(plan.batch); }
  void Prepare(const StepPlan& plan) override { step_.Reserve(plan.batch); }

  int64_t kv_page_positions() const override;
  int64_t KvPageBytes(const KvShape& shape) const override;
  std::unique_ptr<KvLayer> MakeKvLayer(const KvShape& shape, int64_t pages) override;
  UnpackedKvPage Unpack(const KvLayer& layer, int64_t page) const override;
  bool HasKvKernels(const quant::KvFormat&) const override { return true; }

  std::unique_ptr<PackedWeight> Prepack(const quant::QuantizedView& weight,
                                        std::span<const float> bias) override;
  std::unique_ptr<PackedWeight> PrepackDense(const TensorView& weight,
                                             std::span<const float> bias) override;
  quant::QuantizedMatrix Unpack(const PackedWeight& weight) const override;
  std::unique_ptr<PackedActivation> MakeActivation(const quant::ActivationFormat& format, int64_t k,
                                                   int64_t capacity) override;
  int64_t ActivationBytes(const quant::ActivationFormat& format, int64_t k,
                          int64_t capacity) const override;
  UnpackedActivation Unpack(const PackedActivation& activation) const override;

  bool computes_mixtures() const override { return true; }
  std::unique_ptr<ExpertRouting> MakeRouting(const RouterShape& shape, int64_t capacity) override;
  int64_t RoutingBytes(const RouterShape& shape, int64_t capacity) const override;
  UnpackedRouting Unpack(const ExpertRouting& routing) const override;

  void BeginStep(const Batch& batch) override { step_.Begin(batch); }

  void Embed(const DeviceEmbedding& embedding, const DeviceTensor& out) override;
  void NormQuantize(const DeviceTensor& x, const DeviceNorm& norm, const DeviceBuffer* permutation,
                    PackedActivation& out) override;
  void NormAdd(const DeviceTensor& x, const DeviceNorm& norm, const DeviceTensor& y) override;
  void Norm(const DeviceTensor& x, const DeviceNorm& norm, const DeviceTensor& y) override;
  void ReorderQuantize(const DeviceTensor& x, const DeviceBuffer* permutation,
                       PackedActivation& out) override;
  void ActivationQuantize(const DeviceTensor& x, ActivationFunction function, bool gated,
                          PackedActivation& out) override;
  void Linear(const PackedActivation& x, std::span<const PackedWeight* const> weights,
              const DeviceTensor& y, OutputMode mode) override;
  void Route(const DeviceTensor& logits, const RouterShape& shape, ExpertRouting& routing) override;
  void GroupedLinear(const PackedActivation& x, const ExpertRouting& routing,
                     std::span<const PackedWeight* const> weights, const DeviceTensor& y) override;
  void Combine(const DeviceTensor& x, const ExpertRouting& routing, const DeviceTensor& y,
               OutputMode mode) override;
  void RopeAppendKv(const DeviceTensor& qkv, const AttentionShape& shape, const HeadNorms& norms,
                    const RopeTable& rope, KvLayer& kv) override;
  void Attention(const DeviceTensor& qkv, const AttentionShape& shape, const KvLayer& kv,
                 const DeviceTensor& out) override;
  void GatherLogitRows(const DeviceTensor& x, const DeviceTensor& out) override;
  void Softcap(const DeviceTensor& x, float cap) override;
  void NegativeLogLikelihood(const DeviceTensor& logits, std::span<const int32_t> targets,
                             DeviceSpan<double> out) override;
  void Sample(const DeviceTensor& logits, std::span<const SampleRow> rows,
              DeviceSpan<int32_t> tokens) override;
  void TokenLogProbs(const DeviceTensor& logits, std::span<const LogProbQuery> queries,
                     DeviceSpan<int32_t> tokens, const DeviceLogProbs& out) override;

 private:
  /// Fills one row of K values, in the order the linear reads them.
  using FillRow = std::function<void(int64_t row, std::span<float> values)>;

  void Free(void* data) override;
  void FreeHost(void* data) override { Free(data); }
  void QuantizeRows(int64_t rows, const FillRow& fill, PackedActivation& out);
  const StepView& step() const { return step_.view(); }

  ThreadPool pool_;
  HostStep step_;
};

/// Row `row` of a tensor, which is fp32 here.
inline std::span<float> Row(const DeviceTensor& tensor, int64_t row) {
  return {static_cast<float*>(tensor.data) + row * tensor.stride, static_cast<size_t>(tensor.cols)};
}

}  // namespace atom::kernels::reference

namespace atom::kernels {

Result<std::unique_ptr<Backend>> MakeReferenceBackend(const BackendOptions& options);

}  // namespace atom::kernels
