// The Backend: what the forward pass asks of a device, one virtual call per op per batch. Every
// backend is treated as a device: memory comes from Allocate, nothing above kernels/ dereferences
// tensor data, and a step allocates nothing, so that a GPU can capture it as a graph.
// docs/numerics.md says what each op computes; the `reference` backend is its executable form.
//
// Vocabulary: M rows (tokens), N outputs, K inputs, G group. Tensors between ops are row-major; in
// the `reference` and `cpu` backends they are fp32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "atom/core/tensor_view.h"
#include "atom/kernels/batch.h"
#include "atom/kernels/kv_page.h"
#include "atom/kernels/log_probs.h"
#include "atom/kernels/op_parameters.h"
#include "atom/kernels/sampling.h"
#include "atom/quant/formats.h"
#include "atom/quant/quantized_matrix.h"

namespace atom::kernels {

class Backend;

/// Owns device memory; move-only. Must not outlive its Backend.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(Backend* backend, void* data, size_t bytes)
      : backend_(backend), data_(data), bytes_(bytes) {}
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  Backend* backend_ = nullptr;
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

/// Points at rows × cols values of Backend::hidden_dtype in device memory; row r starts r * stride
/// elements behind the first. Never owns.
struct DeviceTensor {
  void* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;
};

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
  std::vector<Half> scales;          ///< [M][K4/G], one a row when group is 0
  std::vector<Half> outlier_scales;  ///< [M], empty without outlier columns
};

/// One layer's part of the paged KV cache.
struct KvLayer {
  KvPageLayout layout;
  int64_t pages = 0;
  DeviceBuffer data;  ///< pages * layout.PageBytes()
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

  // Memory. Upload and Download wait until the copy is done.
  virtual DeviceBuffer Allocate(size_t bytes) = 0;  ///< zeroed
  virtual void Upload(std::span<const std::byte> from, void* to) = 0;
  virtual void Download(const void* from, std::span<std::byte> to) = 0;
  /// Waits until every op issued so far has finished.
  virtual void Sync() = 0;

  // Load time.
  /// bias is empty or [N].
  virtual std::unique_ptr<PackedWeight> Prepack(const quant::QuantizedView& weight,
                                                std::span<const float> bias) = 0;
  /// An unquantized weight [N][K] in F32, F16 or BF16, kept in that type.
  virtual std::unique_ptr<PackedWeight> PrepackDense(const TensorView& weight,
                                                     std::span<const float> bias) = 0;
  /// The codes and scales that Prepack was given, bit for bit. REQUIRES: made by Prepack.
  virtual quant::QuantizedMatrix Unpack(const PackedWeight& weight) const = 0;
  virtual std::unique_ptr<PackedActivation> MakeActivation(const quant::ActivationFormat& format,
                                                           int64_t k, int64_t capacity) = 0;
  virtual UnpackedActivation Unpack(const PackedActivation& activation) const = 0;

  // One step. BeginStep hands over the arrays that the ops below read; the batch must live until
  // the step's last op.
  virtual void BeginStep(const Batch& batch) = 0;

  /// out[t] = table[tokens[t]] · scale, plus positions[position of t + offset] where there are any.
  virtual void Embed(const DeviceEmbedding& embedding, const DeviceTensor& out) = 0;

  /// out = quantize(gather(norm(x))). `permutation` is [K] int32 on the device
  /// (out[j] = in[permutation[j]]) or null: identity.
  virtual void NormQuantize(const DeviceTensor& x, const DeviceNorm& norm,
                            const DeviceBuffer* permutation, PackedActivation& out) = 0;
  /// y += norm(x): a norm behind attention or FFN, before its result joins the residual stream.
  virtual void NormAdd(const DeviceTensor& x, const DeviceNorm& norm, const DeviceTensor& y) = 0;
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

  /// qkv is [T][(heads + 2 kv_heads) * head_dim]: q, k, v. Normalizes the heads of q and k where
  /// `norms` says so, rotates q in place, rotates k, and appends k and v to the pages that the
  /// batch's slots name, in the layer's format.
  virtual void RopeAppendKv(const DeviceTensor& qkv, const AttentionShape& shape,
                            const HeadNorms& norms, const RopeTable& rope, KvLayer& kv) = 0;
  /// out[T][heads * head_dim] = softmax(cap(q·Kᵀ / divisor))·V over the positions that the query
  /// sees: up to its own, at most the last `window`; q as RopeAppendKv left it. K and V come from
  /// the pages, this step's own tokens included.
  virtual void Attention(const DeviceTensor& qkv, const AttentionShape& shape, const KvLayer& kv,
                         const DeviceTensor& out) = 0;

  /// out[i] = x[logit_rows[i]].
  virtual void GatherLogitRows(const DeviceTensor& x, const DeviceTensor& out) = 0;
  /// x = cap · tanh(x / cap), in place: logits of models that cap them.
  virtual void Softcap(const DeviceTensor& x, float cap) = 0;
  /// out[i] = -log softmax(logits[i])[targets[i]], in natural logarithms, on the host.
  virtual void NegativeLogLikelihood(const DeviceTensor& logits, std::span<const int32_t> targets,
                                     std::span<double> out) = 0;
  /// tokens[i] chosen from logits[i] by params[i] with uniforms[i] in [0, 1): SampleToken. The
  /// logits stay as they are.
  virtual void Sample(const DeviceTensor& logits, std::span<const SamplingParams> params,
                      std::span<const double> uniforms, std::span<int32_t> tokens) = 0;
  /// out[i] = what queries[i] asks about a row of logits, on the host: LogProbsOf.
  virtual void TokenLogProbs(const DeviceTensor& logits, std::span<const LogProbQuery> queries,
                             std::span<LogProbs> out) = 0;

 private:
  friend class DeviceBuffer;
  virtual void Free(void* data) = 0;
};

}  // namespace atom::kernels
