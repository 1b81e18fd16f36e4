// The Backend: what the forward pass asks of a device, one virtual call per op per batch. Every
// backend is treated as a device: memory comes from Allocate, nothing above kernels/ dereferences
// device memory, ops only enqueue, and a step allocates nothing, so that a GPU can capture it as a
// graph. docs/numerics.md says what each op computes; the `reference` backend is its executable
// form.
//
//   once     ScratchBytes ─ Prepare(plan) ─ Prepack, MakeActivation, MakeKvLayer
//   a step   BeginStep(batch) ─ ops … ─ EnqueueDownload of results ─ Mark ┄┄ Wait(mark) ─ host
//
// Vocabulary: M rows (tokens), N outputs, K inputs, G group; a pair is a row and one of the experts
// that it chose, pair t * top_k + j: row t and the j-th of them, ascending by number. Tensors
// between ops are row-major, of the type that they name: the residual stream of hidden_dtype(),
// logits always fp32. In the `reference` and `cpu` backends all are fp32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "atom/core/tensor_view.h"
#include "atom/kernels/batch.h"
#include "atom/kernels/device_memory.h"
#include "atom/kernels/kv_layer.h"
#include "atom/kernels/log_probs.h"
#include "atom/kernels/op_parameters.h"
#include "atom/kernels/sampling.h"
#include "atom/kernels/step_arena.h"
#include "atom/quant/code_matrix.h"
#include "atom/quant/feature.h"
#include "atom/quant/formats.h"
#include "atom/quant/quantized_matrix.h"

namespace atom::kernels {

/// A linear's weight (and bias) in the backend's own layout, made at load time.
class PackedWeight {
 public:
  virtual ~PackedWeight() = default;
  int64_t n() const { return n_; }
  int64_t k() const { return k_; }

 protected:
  PackedWeight(int64_t n, int64_t k) : n_(n), k_(k) {}

 private:
  int64_t n_;
  int64_t k_;
};

/// Room for the quantized input of linears: written by the fused quantizers, read by Linear, in
/// the backend's own layout.
class PackedActivation {
 public:
  virtual ~PackedActivation() = default;
  const quant::ActivationFormat& format() const { return format_; }
  int64_t k() const { return k_; }
  int64_t capacity() const { return capacity_; }  ///< rows there is room for
  int64_t rows() const { return rows_; }          ///< rows that the last quantizer wrote
  void set_rows(int64_t rows) { rows_ = rows; }
  /// For the next quantizer: how values are clipped changes no layout.
  void set_clip(float clip) { format_.clip = clip; }

 protected:
  PackedActivation(const quant::ActivationFormat& format, int64_t k, int64_t capacity)
      : format_(format), k_(k), capacity_(capacity) {}

 private:
  quant::ActivationFormat format_;
  int64_t k_;
  int64_t capacity_;
  int64_t rows_ = 0;
};

/// What Unpack gives back of a PackedActivation, on the host.
struct UnpackedActivation {
  int64_t rows = 0;
  std::vector<float> dense;          ///< [M][K], for dense formats only
  std::vector<int8_t> codes;         ///< [M][K], otherwise: low-bit codes, then the outliers'
  std::vector<Half> scales;          ///< [M][K4/G], one a row when group is 0; or, two-level,
  std::vector<uint8_t> multipliers;  ///< [M][K4/G], and
  std::vector<float> row_scales;     ///< [M]
  std::vector<Half> outlier_scales;  ///< [M], empty without outlier columns
};

/// The experts that the rows of a step have chosen, and their weights: written by Route, read by
/// GroupedLinear and Combine, in the backend's own layout.
class ExpertRouting {
 public:
  virtual ~ExpertRouting() = default;
  int64_t experts() const { return experts_; }
  int64_t top_k() const { return top_k_; }
  int64_t capacity() const { return capacity_; }  ///< rows there is room for
  int64_t rows() const { return rows_; }          ///< rows that the last Route wrote
  int64_t pairs() const { return rows_ * top_k(); }
  void set_rows(int64_t rows) { rows_ = rows; }

 protected:
  ExpertRouting(const RouterShape& shape, int64_t capacity)
      : experts_(shape.experts), top_k_(shape.top_k), capacity_(capacity) {}

 private:
  int64_t experts_;
  int64_t top_k_;
  int64_t capacity_;
  int64_t rows_ = 0;
};

/// What Unpack gives back of an ExpertRouting, on the host: of each pair.
struct UnpackedRouting {
  std::vector<int32_t> experts;  ///< [M * top_k], ascending within a row
  std::vector<float> weights;    ///< [M * top_k]
};

/// A linear of a model, as far as the memory of its product depends on it.
struct LinearPlan {
  quant::ActivationFormat input;
  int64_t k = 0;
  int64_t n = 0;
  int64_t weight_group = 0;  ///< columns that share a weight scale; 0: a dense weight
  /// Of a grouped product, whose outputs are those of pairs; no experts: a plain one.
  RouterShape router = {};
  int64_t input_rows = 1;  ///< of its input for a row of the step: top_k before experts' `down`
};

/// What steps ask of a backend at the most. All memory that ops take beside their arguments, and
/// all that BeginStep keeps of a batch, follows from it.
struct StepPlan {
  BatchLimits batch;
  std::vector<AttentionShape> attention;  ///< distinct ones
  std::vector<LinearPlan> linears;        ///< distinct ones, the head's too
  int64_t vocabulary = 0;                 ///< logits of a row; 0: none are sampled or measured
};

/// Hidden states [rows][cols] of many windows, kept between two layers of calibration where the
/// backend has its memory, as pipeline/hidden_store.h keeps them on the host.
class SampleStore {
 public:
  virtual ~SampleStore() = default;
  virtual void Write(int64_t sample, const DeviceTensor& hidden) = 0;
  virtual void Read(int64_t sample, const DeviceTensor& hidden) = 0;
  /// False from the first Write on that had an infinity or a NaN. Waits.
  virtual bool finite() const = 0;
};

enum class OutputMode {
  kOverwrite,
  kAdd,  ///< y += result: the residual stream
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name() const = 0;  ///< "reference", "cpu"
  /// For humans: instruction set or device, threads.
  virtual std::string Description() const = 0;
  virtual DType hidden_dtype() const = 0;
  /// True where packed codes of such a recipe are computed with; of an exact window, which is no
  /// matter of codes: where RopeAppendKv and Attention know it.
  virtual bool HasKernels(quant::Feature) const { return false; }
  /// True where everything can run fake-quantized: quantized and at once dequantized.
  virtual bool simulates() const { return false; }

  // Memory. Upload and Download wait until the copy is done.
  /// Of a device with memory of its own; nothing where it is the machine's.
  virtual std::optional<DeviceRoom> Room() const { return std::nullopt; }
  virtual DeviceBuffer Allocate(size_t bytes) = 0;  ///< zeroed
  /// Host memory that EnqueueDownload may copy to: pinned, where that makes a difference. Zeroed.
  virtual HostBuffer AllocateHost(size_t bytes) = 0;
  virtual void Upload(std::span<const std::byte> from, void* to) = 0;
  virtual void Download(const void* from, std::span<std::byte> to) = 0;

  // Order. Ops and downloads run one after the other, in the order they were enqueued in, perhaps
  // after the call has returned.
  /// Copies to memory of AllocateHost what the ops enqueued so far leave at `from`.
  virtual void EnqueueDownload(const void* from, std::span<std::byte> to) = 0;
  using Ticket = uint64_t;
  /// Stands for all that was enqueued so far.
  virtual Ticket Mark() = 0;
  virtual void Wait(Ticket ticket) = 0;
  /// Steps worth enqueuing while the results of one before them are not known yet: 0 where ops are
  /// done when they return.
  virtual int steps_in_flight() const { return 0; }
  /// Waits until all that was enqueued so far has finished.
  void Sync() { Wait(Mark()); }

  // Memory of steps.
  /// Bytes that Prepare(plan) takes, before anything is allocated: what memory plans ask.
  virtual int64_t ScratchBytes(const StepPlan& plan) const = 0;
  /// Bytes of pinned host memory that the backend itself takes for such steps.
  virtual int64_t PinnedBytes(const StepPlan& /*plan*/) const { return 0; }
  /// Makes room for steps that ask for no more than the plan; nothing is allocated inside them. May
  /// be called again between steps: room grows to the most that was asked for.
  virtual void Prepare(const StepPlan& plan) = 0;
  /// The rows that a step of `rows` rows which decodes (decode_step.h) is computed with: few
  /// different numbers on a backend that captures a graph for each, `rows` itself on others. Rows
  /// behind the batch's own are padding: they are computed and nobody looks at them.
  virtual int64_t RowBucket(int64_t rows) const { return rows; }

  // KV cache.
  virtual int64_t kv_page_positions() const = 0;
  virtual int64_t KvPageBytes(const KvShape& shape) const = 0;  ///< of one layer
  virtual std::unique_ptr<KvLayer> MakeKvLayer(const KvShape& shape, int64_t pages) = 0;
  /// The same with a pool of exact pages beside it, where the format has an exact window.
  std::unique_ptr<KvLayer> MakeKvLayer(const KvShape& shape, const PagePool& pool);
  virtual UnpackedKvPage Unpack(const KvLayer& layer, int64_t page) const = 0;
  /// Whether there are kernels for a packed KV format.
  virtual bool HasKvKernels(const quant::KvFormat& format) const { return format.is_basic(); }
  /// The format, or, where it is packed and has no kernels, its simulation with the same values.
  quant::KvFormat Runnable(const quant::KvFormat& format) const {
    return format.packed() && !HasKvKernels(format) ? format.Simulated() : format;
  }

  // Load time.
  /// bias is empty or [N].
  virtual std::unique_ptr<PackedWeight> Prepack(const quant::QuantizedView& weight,
                                                std::span<const float> bias) = 0;
  /// An unquantized weight [N][K] in F32, F16 or BF16, kept in that type.
  virtual std::unique_ptr<PackedWeight> PrepackDense(const TensorView& weight,
                                                     std::span<const float> bias) = 0;
  /// Codes of others, by which products are those of the dense weight that they stand for, bit for
  /// bit. Where keeps_codes() they stay packed; elsewhere they are dequantized here.
  virtual bool keeps_codes() const { return false; }
  virtual std::unique_ptr<PackedWeight> PrepackCodes(const quant::CodeMatrix& weight,
                                                     std::span<const float> bias);
  /// The same weight in memory of its own, where that is faster than to pack it again; else null.
  virtual std::unique_ptr<PackedWeight> Duplicate(const PackedWeight& /*weight*/) {
    return nullptr;
  }
  /// The codes and scales that Prepack was given, bit for bit. REQUIRES: made by Prepack.
  virtual quant::QuantizedMatrix Unpack(const PackedWeight& weight) const = 0;
  virtual std::unique_ptr<PackedActivation> MakeActivation(const quant::ActivationFormat& format,
                                                           int64_t k, int64_t capacity) = 0;
  virtual int64_t ActivationBytes(const quant::ActivationFormat& format, int64_t k,
                                  int64_t capacity) const = 0;
  virtual UnpackedActivation Unpack(const PackedActivation& activation) const = 0;

  // Mixtures of experts, where computes_mixtures(): a model with one is not loaded elsewhere.
  virtual bool computes_mixtures() const { return false; }
  virtual std::unique_ptr<ExpertRouting> MakeRouting(const RouterShape& shape, int64_t capacity);
  virtual int64_t RoutingBytes(const RouterShape& shape, int64_t capacity) const;
  virtual UnpackedRouting Unpack(const ExpertRouting& routing) const;

  // Calibration.
  /// out[M][K] = the values of an activation that is dense (16 bits, or fake-quantized), fp32.
  virtual void UnpackDense(const PackedActivation& activation, const DeviceTensor& out);
  /// What the statistic of such an activation's channels (quant/stats.h) makes of one more sample:
  /// sums has [K].
  virtual void AddSample(const PackedActivation& activation, quant::Metric metric,
                         DeviceSpan<double> sums);
  /// Null where hidden states are better kept on the host, or have no room.
  virtual std::unique_ptr<SampleStore> MakeSampleStore(int64_t /*samples*/, int64_t /*rows*/,
                                                       int64_t /*cols*/) {
    return nullptr;
  }

  // One step. BeginStep copies the arrays that the ops below read: the batch may change afterwards.
  // REQUIRES: CheckBatch has seen it, and the plan that was prepared has room for it.
  virtual void BeginStep(const Batch& batch) = 0;

  /// out[t] = table[tokens[t]] · scale, plus positions[position of t + offset] where there are any.
  /// Tokens may be those of token slots.
  virtual void Embed(const DeviceEmbedding& embedding, const DeviceTensor& out) = 0;

  /// out = quantize(gather(norm(x))). `permutation` is [K] int32 on the device
  /// (out[j] = in[permutation[j]]) or null: identity.
  virtual void NormQuantize(const DeviceTensor& x, const DeviceNorm& norm,
                            const DeviceBuffer* permutation, PackedActivation& out) = 0;
  /// y += norm(x): a norm behind attention or FFN, before its result joins the residual stream.
  virtual void NormAdd(const DeviceTensor& x, const DeviceNorm& norm, const DeviceTensor& y) = 0;
  /// y = norm(x), which may be y itself: a norm behind the sum of the residual stream.
  virtual void Norm(const DeviceTensor& x, const DeviceNorm& norm, const DeviceTensor& y) = 0;
  /// out = quantize(gather(x)).
  virtual void ReorderQuantize(const DeviceTensor& x, const DeviceBuffer* permutation,
                               PackedActivation& out) = 0;
  /// Gated: x is [M][2K], gate, then up; out = quantize(f(gate) · up). Otherwise x is [M][K];
  /// out = quantize(f(x)). No gather: the rows of the linears before it were permuted offline.
  virtual void ActivationQuantize(const DeviceTensor& x, ActivationFunction function, bool gated,
                                  PackedActivation& out) = 0;

  /// y[M][N] = x · Wᵀ + bias. Weights lie side by side, at most three: y has the outputs of the
  /// first, then those of the second, and so on.
  virtual void Linear(const PackedActivation& x, std::span<const PackedWeight* const> weights,
                      const DeviceTensor& y, OutputMode mode) = 0;
  void Linear(const PackedActivation& x, const PackedWeight& weight, const DeviceTensor& y,
              OutputMode mode) {
    const PackedWeight* const one = &weight;
    Linear(x, std::span(&one, 1), y, mode);
  }

  // A mixture of experts: Route, GroupedLinear (gate and up), ActivationQuantize over the pairs,
  // GroupedLinear (down), Combine.
  /// Each row of logits [M][experts] chooses its experts.
  virtual void Route(const DeviceTensor& logits, const RouterShape& shape, ExpertRouting& routing);
  /// y[p][N] = x · W[expert of p]ᵀ + bias, for each pair p. x has a row for each row of the step
  /// (pairs of a row share it) or for each pair. Weights are those of expert 0, side by side as in
  /// Linear, then those of expert 1, and so on.
  virtual void GroupedLinear(const PackedActivation& x, const ExpertRouting& routing,
                             std::span<const PackedWeight* const> weights, const DeviceTensor& y);
  /// y[t] = Σ_j weight of pair (t, j) · x[t * top_k + j], j ascending; or y[t] += that.
  virtual void Combine(const DeviceTensor& x, const ExpertRouting& routing, const DeviceTensor& y,
                       OutputMode mode);

  /// qkv is [T][(heads + 2 kv_heads) * head_dim]: q, k, v. Normalizes the heads of q and k where
  /// `norms` says so, rotates q in place, rotates k, and appends k and v to the pages that the
  /// batch's slots name, in the layer's format; as fp16 to the exact pages too, where the format
  /// has an exact window.
  virtual void RopeAppendKv(const DeviceTensor& qkv, const AttentionShape& shape,
                            const HeadNorms& norms, const RopeTable& rope, KvLayer& kv) = 0;
  /// out[T][heads * head_dim] = softmax(cap(q·Kᵀ / divisor))·V over the positions that the query
  /// sees: up to its own, at most the last `window`; q as RopeAppendKv left it. K and V come from
  /// the pages, this step's own tokens included; from the exact pages where the query reads exactly
  /// (KvFormat::FirstExact).
  virtual void Attention(const DeviceTensor& qkv, const AttentionShape& shape, const KvLayer& kv,
                         const DeviceTensor& out) = 0;

  /// out[i] = x[logit_rows[i]].
  virtual void GatherLogitRows(const DeviceTensor& x, const DeviceTensor& out) = 0;
  /// x = cap · tanh(x / cap), in place: logits of models that cap them.
  virtual void Softcap(const DeviceTensor& x, float cap) = 0;

  // Results stay on the device (step_results.h has a place for them and their copy on the host).
  /// out[i] = -log softmax(logits[i])[targets[i]], in natural logarithms.
  virtual void NegativeLogLikelihood(const DeviceTensor& logits, std::span<const int32_t> targets,
                                     DeviceSpan<double> out) = 0;
  /// tokens[row] chosen from logits[row] by SampleToken, for the rows that `rows` names, and kept
  /// in their token slots. The logits stay as they are; edits and masks are read before the return.
  virtual void Sample(const DeviceTensor& logits, std::span<const SampleRow> rows,
                      DeviceSpan<int32_t> tokens) = 0;
  /// out[i] = what queries[i] asks about a row of logits: LogProbsOf. `tokens` is what Sample wrote
  /// for these logits.
  virtual void TokenLogProbs(const DeviceTensor& logits, std::span<const LogProbQuery> queries,
                             DeviceSpan<int32_t> tokens, const DeviceLogProbs& out) = 0;

 private:
  friend class DeviceBuffer;
  friend class HostBuffer;
  [[noreturn]] void RefuseMixtures() const;
  virtual void Free(void* data) = 0;
  virtual void FreeHost(void* data) = 0;
};

}  // namespace atom::kernels
