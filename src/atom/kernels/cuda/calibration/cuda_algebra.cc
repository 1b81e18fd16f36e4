// The dense algebra of quantization beside the CUDA backend: sums of products, which see every
// token, on the GPU; what sees a matrix once (factors, the updates of GPTQ) on the host.
#include <array>
#include <optional>
#include <utility>

#include "atom/core/check.h"
#include "atom/kernels/cuda/backend/device_error.h"
#include "atom/kernels/cuda/calibration/product_call.h"
#include "atom/kernels/cuda/device/check.h"
#include "atom/kernels/cuda/device/device.h"
#include "atom/kernels/cuda/device/memory.h"
#include "atom/kernels/cuda_backend.h"

namespace atom::kernels::cuda {
namespace {

/// Room on the device for the operands of one product; grows.
class Operands {
 public:
  explicit Operands(Stream stream) : stream_(std::move(stream)) {}

  const Stream& stream() const { return stream_; }
  /// Device copies of a and b, one where they are the same.
  std::pair<const float*, const float*> Upload(std::span<const float> a, std::span<const float> b) {
    const auto bytes = static_cast<int64_t>(a.size_bytes());
    if (bytes > bytes_) {
      Require(stream_.Synchronize());
      memory_.reset();
      memory_.emplace(Require(DeviceArena::Create(2 * bytes + 2 * kDeviceAlignment)));
      for (float*& place : places_) {
        place =
            Require(memory_->Take<float>("operand", bytes / static_cast<int64_t>(sizeof(float))));
      }
      bytes_ = bytes;
    }
    Require(CopyToDevice(places_[0], a.data(), bytes, stream_));
    if (b.data() == a.data()) return {places_[0], places_[0]};
    Require(CopyToDevice(places_[1], b.data(), bytes, stream_));
    return {places_[0], places_[1]};
  }

 private:
  Stream stream_;
  std::optional<DeviceArena> memory_;
  std::array<float*, 2> places_ = {};
  int64_t bytes_ = 0;
};

class CudaSum final : public quant::ProductSum {
 public:
  CudaSum(Operands& operands, quant::SumKind kind, int64_t k)
      : operands_(operands),
        kind_(kind),
        k_(k),
        memory_(Require(DeviceArena::Create(bytes() + kDeviceAlignment))),
        sum_(Require(memory_.Take<float>("sum of products", k * k))) {
    Require(Check(cudaMemsetAsync(sum_, 0, static_cast<size_t>(bytes()), operands_.stream().get()),
                  "clear a sum of products"));
  }

  void Add(std::span<const float> a, std::span<const float> b, int64_t rows, float alpha) override {
    ATOM_CHECK(std::ssize(a) == rows * k_ && a.size() == b.size(),
               "a has {} values, b {}, for {} x {}", a.size(), b.size(), rows, k_);
    if (rows == 0) return;
    const auto [device_a, device_b] = operands_.Upload(a, b);
    const AddProductCall call = {.a = device_a,
                                 .b = device_b,
                                 .rows = rows,
                                 .k = k_,
                                 .alpha = alpha,
                                 .c = sum_,
                                 .upper = kind_ == quant::SumKind::kGram};
    Require(Check(EnqueueAddProduct(call, operands_.stream().get()), "launch a product"));
    Require(operands_.stream().Synchronize());  // the caller's matrices may change
  }

  std::vector<float> Take() override {
    std::vector<float> sum(static_cast<size_t>(k_ * k_));
    Require(CopyToHost(sum.data(), sum_, bytes(), operands_.stream()));
    Require(operands_.stream().Synchronize());
    return sum;
  }

 private:
  int64_t bytes() const { return k_ * k_ * static_cast<int64_t>(sizeof(float)); }

  Operands& operands_;
  quant::SumKind kind_;
  int64_t k_;
  DeviceArena memory_;
  float* sum_;
};

class CudaAlgebra final : public quant::DenseAlgebra {
 public:
  explicit CudaAlgebra(Stream stream) : operands_(std::move(stream)) {}

  std::unique_ptr<quant::ProductSum> MakeSum(quant::SumKind kind, int64_t k) override {
    return std::make_unique<CudaSum>(operands_, kind, k);
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
    return host_->InverseCholesky(std::move(h), k);
  }
  void SubtractProduct(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                       int64_t ldb, float* c, int64_t ldc) override {
    host_->SubtractProduct(m, n, k, a, lda, b, ldb, c, ldc);
  }
  void SubtractTransposed(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
                          const float* b, int64_t ldb, float* c, int64_t ldc) override {
    host_->SubtractTransposed(m, n, k, a, lda, b, ldb, c, ldc);
  }

 private:
  std::unique_ptr<quant::DenseAlgebra> host_ = quant::MakeCpuAlgebra();
  Operands operands_;
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
