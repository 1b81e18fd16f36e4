// The dense algebra of quantization beside the CUDA backend: sums over tokens, factors, the column
// loop of GPTQ and its errors on the GPU.
#include <utility>

#include "atom/core/check.h"
#include "atom/kernels/cuda/calibration/cuda_gptq.h"
#include "atom/kernels/cuda/calibration/device_values.h"
#include "atom/kernels/cuda/calibration/product_call.h"
#include "atom/kernels/cuda/calibration/token_call.h"
#include "atom/kernels/cuda/device/device.h"
#include "atom/kernels/cuda_backend.h"

namespace atom::kernels::cuda {
namespace {

/// Products of fewer multiplications than a copy to the GPU is worth stay on the host.
constexpr int64_t kFewMultiplications = int64_t{1} << 28;

class CudaSum final : public quant::ProductSum {
 public:
  CudaSum(const StagedStream& stream, quant::SumKind kind, int64_t k)
      : stream_(stream), kind_(kind), k_(k), sum_(k * k) {
    sum_.Clear(stream_);
  }

  void Add(std::span<const float> a, std::span<const float> b, int64_t rows, float alpha) override {
    ATOM_CHECK(std::ssize(a) == rows * k_ && a.size() == b.size(),
               "a has {} values, b {}, for {} x {}", a.size(), b.size(), rows, k_);
    if (rows == 0) return;
    const ProductCall call = {.a = a.data(),
                              .lda = k_,
                              .transpose_a = true,
                              .b = b.data(),
                              .ldb = k_,
                              .m = k_,
                              .n = k_,
                              .k = rows,
                              .alpha = alpha,
                              .c = sum_.data(),
                              .ldc = k_,
                              .upper = kind_ == quant::SumKind::kGram};
    Require(Check(HasSplitProduct(call) ? EnqueueSplitProduct(call, stream_.get())
                                        : EnqueueProduct(call, stream_.get()),
                  "launch a sum over tokens"));
    Require(stream_.Synchronize());  // the caller's matrices may change
  }

  std::vector<float> Take() override {
    std::vector<float> sum(static_cast<size_t>(k_ * k_));
    sum_.Download(sum, stream_);
    return sum;
  }

 private:
  const StagedStream& stream_;
  quant::SumKind kind_;
  int64_t k_;
  DeviceValues<float> sum_;
};

class CudaAlgebra final : public quant::DenseAlgebra {
 public:
  explicit CudaAlgebra(Stream stream) : stream_(std::move(stream)) {}

  ThreadPool& pool() override { return host_->pool(); }

  quant::TokenSizes MeasureTokens(std::span<const float> x, int64_t rows, int64_t k,
                                  int64_t outliers) override {
    ATOM_CHECK(std::ssize(x) == rows * k, "{} values for {} x {}", x.size(), rows, k);
    if (energies_.size() < rows) {
      energies_ = DeviceValues<double>(rows);
      largest_ = DeviceValues<float>(2 * rows);
      roots_ = DeviceValues<float>(rows);
    }
    const TokenSizesCall call = {.x = x.data(),
                                 .rows = rows,
                                 .k = k,
                                 .outliers = outliers,
                                 .energies = energies_.data(),
                                 .largest = largest_.data()};
    Require(Check(EnqueueTokenSizes(call, stream_.get()), "launch the sizes of tokens"));
    quant::TokenSizes sizes{.energies = std::vector<double>(static_cast<size_t>(rows))};
    std::vector<float> largest(2 * sizes.energies.size());
    energies_.Download(sizes.energies, stream_);
    largest_.Download(largest, stream_);
    for (size_t row = 0; row < sizes.energies.size(); ++row) {
      sizes.largest_low_bit = std::max(sizes.largest_low_bit, largest[2 * row]);
      sizes.largest_outlier = std::max(sizes.largest_outlier, largest[2 * row + 1]);
    }
    return sizes;
  }

  void WeighTokens(std::span<float> x, std::span<float> difference, int64_t k,
                   std::span<const float> roots) override {
    const int64_t rows = std::ssize(roots);
    ATOM_CHECK(std::ssize(x) == rows * k, "{} values for {} x {}", x.size(), rows, k);
    if (roots_.size() < rows) roots_ = DeviceValues<float>(rows);
    roots_.Upload(roots, stream_);
    const WeighTokensCall call = {
        .x = x.data(), .y = difference.data(), .roots = roots_.data(), .rows = rows, .k = k};
    Require(Check(EnqueueWeighTokens(call, stream_.get()), "launch the weights of tokens"));
    Require(stream_.Synchronize());
  }

  std::unique_ptr<quant::ProductSum> MakeSum(quant::SumKind kind, int64_t k) override {
    return std::make_unique<CudaSum>(stream_, kind, k);
  }
  void AddGram(std::span<const float> x, int64_t rows, int64_t k, float alpha,
               std::span<float> h) override {
    host_->AddGram(x, rows, k, alpha, h);
  }
  void AddCross(std::span<const float> a, std::span<const float> b, int64_t rows, int64_t k,
                float alpha, std::span<float> c) override {
    host_->AddCross(a, b, rows, k, alpha, c);
  }
  Result<std::vector<float>> InverseCholesky(std::vector<float> h, int64_t k) override {
    return cuda::InverseCholesky(std::move(h), k, stream_);
  }
  void SubtractProduct(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                       int64_t ldb, float* c, int64_t ldc) override {
    if (m * n * k < kFewMultiplications || lda != k || ldb != n || ldc != n) {
      return host_->SubtractProduct(m, n, k, a, lda, b, ldb, c, ldc);
    }
    Subtract(m, n, k, a, b, false, c);
  }
  void SubtractTransposed(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
                          const float* b, int64_t ldb, float* c, int64_t ldc) override {
    if (m * n * k < kFewMultiplications || lda != k || ldb != k || ldc != n) {
      return host_->SubtractTransposed(m, n, k, a, lda, b, ldb, c, ldc);
    }
    Subtract(m, n, k, a, b, true, c);
  }

  bool RoundByGptq(const quant::GptqProblem& problem) override {
    return cuda::RoundByGptq(problem, stream_);
  }
  bool MeasureError(std::span<const float> w, std::span<const float> q, int64_t n, int64_t k,
                    std::span<const float> hessian, quant::OutputError& error) override {
    error = cuda::MeasureError(w, q, n, k, hessian, stream_);
    return true;
  }

 private:
  /// c −= a · op(b), contiguous all.
  void Subtract(int64_t m, int64_t n, int64_t k, const float* a, const float* b, bool transposed,
                float* c) {
    const DeviceValues<float> left(std::span(a, static_cast<size_t>(m * k)), stream_);
    const DeviceValues<float> right(std::span(b, static_cast<size_t>(n * k)), stream_);
    const std::span<float> result(c, static_cast<size_t>(m * n));
    const DeviceValues<float> sum(result, stream_);
    const ProductCall call = {.a = left.data(),
                              .lda = k,
                              .b = right.data(),
                              .ldb = transposed ? k : n,
                              .transpose_b = transposed,
                              .m = m,
                              .n = n,
                              .k = k,
                              .alpha = -1.0f,
                              .c = sum.data(),
                              .ldc = n};
    Require(Check(EnqueueProduct(call, stream_.get()), "launch a product"));
    sum.Download(result, stream_);
  }

  std::unique_ptr<quant::DenseAlgebra> host_ = quant::MakeCpuAlgebra();
  StagedStream stream_;
  DeviceValues<double> energies_;  // of one window's tokens
  DeviceValues<float> largest_, roots_;
};

}  // namespace
}  // namespace atom::kernels::cuda

namespace atom::kernels {

Result<std::unique_ptr<quant::DenseAlgebra>> MakeCudaAlgebra() {
  if (Result<cuda::DeviceProperties> device = cuda::OpenDevice(); !device.ok()) {
    return MakeError("backend cuda: {}", device.error().message);
  }
  Result<cuda::Stream> stream = cuda::Stream::Create();
  if (!stream.ok()) return MakeError("backend cuda: {}", stream.error().message);
  return std::unique_ptr<quant::DenseAlgebra>(
      std::make_unique<cuda::CudaAlgebra>(std::move(stream).value()));
}

}  // namespace atom::kernels
