// The backend that runs on one NVIDIA GPU. Its ops run on one stream:
//
//   op                            kernel                                   limits
//   Embed, NormAdd, Gather,       rows/row_ops                             even widths
//   Softcap
//   …Quantize  integers in groups rows/fused_quantize                      fp16 scales: of 128;
//                                                                          two-level: to 128;
//                                                                          RMSNorm, SiLU
//              all else           rows/plain_quantize                      one CTA a row
//   Linear  4-bit × 8-bit         gemm/gemm_choice                         groups of 128 · n, with
//                                                                          two-level scales 32 · n
//           8-bit × 8-bit         gemm/gemm_choice
//           4-bit × 16-bit        gemm/gemm_choice                         groups of 64 and 128
//           16-bit × 16-bit       gemm/gemm_choice                         bf16
//   Route, GroupedLinear,         moe/, and gemm/gemm_choice once an op    256 experts
//   Combine
//   RopeAppendKv, Attention       attention/                               head_dim 64, 80, 96, 128
//                                                                          or 256
//   Sample, losses, log-probs     sampling/                                262,144 tokens
//
// Ops are collected and enqueued when a result is asked for; decode steps that come again run as
// CUDA graphs (op_queue.h). Rows between ops are fp32. A failure of the device is a DeviceError,
// whose text is one sentence.
#pragma once

#include <bit>
#include <memory>
#include <vector>

#include "atom/core/thread_pool.h"
#include "atom/kernels/backend.h"
#include "atom/kernels/cuda/attention/attention_call.h"
#include "atom/kernels/cuda/backend/cuda_activation.h"
#include "atom/kernels/cuda/backend/cuda_kv_layer.h"
#include "atom/kernels/cuda/backend/cuda_step.h"
#include "atom/kernels/cuda/backend/cuda_weight.h"
#include "atom/kernels/cuda/backend/decode_padding.h"
#include "atom/kernels/cuda/backend/device_error.h"
#include "atom/kernels/cuda/backend/op_queue.h"
#include "atom/kernels/cuda/device/staging.h"
#include "atom/kernels/cuda/gemm/gemm.h"
#include "atom/kernels/cuda/rows/plain_quantize_call.h"

namespace atom::kernels::cuda {

class CudaBackend final : public Backend {
 public:
  /// `threads` of the host; 0: as many as it has.
  static Result<std::unique_ptr<Backend>> Create(int threads);

  std::string_view name() const override { return "cuda"; }
  std::string Description() const override;
  DType hidden_dtype() const override { return DType::kF32; }
  bool HasKernels(quant::Feature) const override { return true; }

  DeviceBuffer Allocate(size_t bytes) override;
  HostBuffer AllocateHost(size_t bytes) override;
  std::optional<DeviceRoom> Room() const override;
  int64_t PinnedBytes(const StepPlan& plan) const override;
  std::unique_ptr<PackedWeight> Duplicate(const PackedWeight& weight) override;
  void Upload(std::span<const std::byte> from, void* to) override;
  void Download(const void* from, std::span<std::byte> to) override;
  void EnqueueDownload(const void* from, std::span<std::byte> to) override;
  Ticket Mark() override;
  void Wait(Ticket ticket) override;

  /// While the host looks at the results of one step, the next one runs.
  int steps_in_flight() const override { return 1; }
  int64_t RowBucket(int64_t rows) const override { return RowBucketOf(rows); }
  int64_t ScratchBytes(const StepPlan& plan) const override;
  void Prepare(const StepPlan& plan) override;

  int64_t kv_page_positions() const override;
  int64_t KvPageBytes(const KvShape& shape) const override;
  using Backend::MakeKvLayer;
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
  void UnpackDense(const PackedActivation& activation, const DeviceTensor& out) override;
  bool computes_mixtures() const override { return true; }
  std::unique_ptr<ExpertRouting> MakeRouting(const RouterShape& shape, int64_t capacity) override;
  int64_t RoutingBytes(const RouterShape& shape, int64_t capacity) const override;
  UnpackedRouting Unpack(const ExpertRouting& routing) const override;
  void AddSample(const PackedActivation& activation, quant::Metric metric,
                 DeviceSpan<double> sums) override;
  std::unique_ptr<SampleStore> MakeSampleStore(int64_t samples, int64_t rows,
                                               int64_t cols) override;

  void BeginStep(const Batch& batch) override;
  void Embed(const DeviceEmbedding& embedding, const DeviceTensor& out) override;
  void NormQuantize(const DeviceTensor& x, const DeviceNorm& norm, const DeviceBuffer* permutation,
                    PackedActivation& out) override;
  void NormAdd(const DeviceTensor& x, const DeviceNorm& norm, const DeviceTensor& y) override {
    EnqueueNorm(x, norm, y, true);
  }
  void Norm(const DeviceTensor& x, const DeviceNorm& norm, const DeviceTensor& y) override {
    EnqueueNorm(x, norm, y, false);
  }
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
  friend class CudaSampleStore;
  static constexpr size_t kMarks = 16;

  CudaBackend(int threads, DeviceProperties device, Stream stream, std::vector<Event> marks);
  void Free(void* data) override;
  void FreeHost(void* data) override;

  /// Uploads a host array to an allocation of its own.
  template <class T>
  DeviceBuffer Copy(std::span<const T> values) {
    DeviceBuffer buffer = Allocate(values.size_bytes());
    Upload(std::as_bytes(values), buffer.data());
    return buffer;
  }
  template <class T>
  std::vector<T> CopyBack(const DeviceBuffer& buffer, int64_t count) const;
  /// Enqueues the ops that were collected.
  void Flush() const { Require(ops_.Flush(stream_)); }
  GemmDevice gemm_device() const;
  /// Before a weight whose products may be divided along K.
  void HaveHandover();
  /// Before a grouped product.
  void HaveGathered(int64_t bytes);
  /// The weights of a grouped product on the device, of `readers` an expert. Checked once a list:
  /// of hundreds of weights a layer, a step reads no more than their addresses.
  const GemmWeight* ExpertTable(std::span<const PackedWeight* const> weights, size_t readers);
  /// Quantizes into `out`: x, source and what the source needs are set.
  void Quantize(PlainQuantizeCall call, const DeviceBuffer* permutation, PackedActivation& out);
  /// y = norm(x), or y += norm(x).
  void EnqueueNorm(const DeviceTensor& x, const DeviceNorm& norm, const DeviceTensor& y, bool add);
  /// Attention of a run of sequences with one query each.
  void Decode(const SequenceRun& run, const AttentionParams& params, const DeviceTensor& qkv,
              const KvLayer& kv, const DeviceTensor& out);
  /// Behind prefill, where there is an exact window.
  void AttendExactly(const SequenceRun& run, const PrefillAttention& before, const KvLayer& kv);
  /// Samples what was collected so far.
  void LaunchCollected(const DeviceTensor& logits, DeviceSpan<int32_t> tokens);
  void AskAboutLogits(const DeviceTensor& logits, int64_t count, LogProbCall call);

  mutable ThreadPool pool_;  ///< for what Unpack gives back
  DeviceProperties device_;
  Stream stream_;
  Staging staging_;
  std::vector<Event> marks_;  ///< mark t has event t % kMarks
  Ticket last_mark_ = 0;
  CudaStep step_;
  mutable OpQueue ops_;  ///< when it is flushed changes nothing that a caller sees
  SampleRows sample_rows_;
  std::vector<DeviceQuery> queries_;
  uint64_t weights_made_ = 0;
  DeviceBuffer handover_;  ///< GemmOperands::handover; empty until there are such weights
  DeviceBuffer gathered_;  ///< input of a grouped product: GatheredRows
};

/// Words of an OpKey.
enum class Op : uint64_t {
  kEmbed,
  kQuantize,
  kNormAdd,
  kGather,
  kSoftcap,
  kLinear,
  kRoute,
  kGroupedLinear,
  kCombine,
  kAppend,
  kAttend,
};
inline uint64_t Word(Op op) { return static_cast<uint64_t>(op); }
inline uint64_t Word(const void* address) { return reinterpret_cast<uintptr_t>(address); }
inline uint64_t Word(int64_t number) { return static_cast<uint64_t>(number); }
inline uint64_t Word(float value) { return std::bit_cast<uint32_t>(value); }
inline uint64_t Word(int32_t first, int32_t second) {
  return uint64_t{static_cast<uint32_t>(first)} << 32 | static_cast<uint32_t>(second);
}

/// The rows of a tensor, as kernels take them.
Rows RowsOf(const DeviceTensor& tensor);

}  // namespace atom::kernels::cuda
