// The CUDA backend beside the reference backend, and what a test keeps on each.
#pragma once

#include <cmath>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "atom/kernels/cuda/backend/cuda_backend.h"
#include "atom/kernels/reference/reference_backend.h"
#include "atom/kernels/registry.h"
#include "atom/quant/two_level.h"

#include "tests/kernels/cuda/cuda_test.h"

namespace atom::kernels::cuda {

using quant::QuantizedMatrix;

/// A backend and what a test keeps on it.
class Side {
 public:
  explicit Side(std::unique_ptr<Backend> backend) : backend_(std::move(backend)) {
    backend_->Prepare({.batch = {.rows = 512, .sequences = 16, .pages = 1024},
                       .attention = {{.heads = 8, .kv_heads = 2, .head_dim = 128}},
                       .linears = {},
                       .vocabulary = 1000});
  }
  Backend* operator->() { return backend_.get(); }

  template <class T>
  const DeviceBuffer& Put(const std::vector<T>& values) {
    buffers_.push_back(
        std::make_unique<DeviceBuffer>(backend_->Allocate(values.size() * sizeof(T))));
    backend_->Upload(std::as_bytes(std::span(values)), buffers_.back()->data());
    return *buffers_.back();
  }
  DeviceTensor Tensor(const std::vector<float>& values, int64_t rows) {
    const int64_t cols = std::ssize(values) / rows;
    return {Put(values).data(), rows, cols, cols, DType::kF32};
  }
  template <class T = float>
  std::vector<T> Get(const void* data, int64_t count) {
    std::vector<T> values(static_cast<size_t>(count));
    backend_->Sync();
    backend_->Download(data, std::as_writable_bytes(std::span(values)));
    return values;
  }
  std::vector<float> Get(const DeviceTensor& tensor) {
    return Get(tensor.data, tensor.rows * tensor.cols);
  }

 private:
  std::unique_ptr<Backend> backend_;
  std::vector<std::unique_ptr<DeviceBuffer>> buffers_;
};

class CudaBackendTest : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (IsSkipped()) return;
    Result<std::unique_ptr<Backend>> made = MakeBackend("cuda", {});
    if (!made.ok()) GTEST_SKIP() << made.error().message;
    cuda_.emplace(std::move(made).value());
    reference_.emplace(MakeBackend("reference", {}).value());
  }

  Side& cuda() { return *cuda_; }
  Side& reference() { return *reference_; }

  std::vector<float> Random(int64_t count, float spread = 1.0f) {
    std::normal_distribution<float> normal(0.0f, spread);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = normal(random_);
    return values;
  }
  int Below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }

  QuantizedMatrix RandomWeight(int64_t n, int64_t k4, int64_t k8, int64_t group) {
    QuantizedMatrix matrix(n, k4, k8, group);
    for (uint8_t& byte : matrix.codes4) byte = static_cast<uint8_t>(random_());
    for (int8_t& code : matrix.codes8) code = static_cast<int8_t>(random_());
    std::uniform_real_distribution<float> scale(0.001f, 0.02f);
    for (Half& value : matrix.scales4) value = ToHalf(scale(random_));
    for (Half& value : matrix.scales8) value = ToHalf(scale(random_) / 16);
    return matrix;
  }
  QuantizedMatrix RandomTwoLevelWeight(int64_t n, int64_t k4, int64_t k8, int64_t group) {
    QuantizedMatrix matrix(n, k4, k8, group, quant::ScaleFormat::kTwoLevel);
    const QuantizedMatrix codes = RandomWeight(n, k4, k8, group);
    matrix.codes4 = codes.codes4;
    matrix.codes8 = codes.codes8;
    matrix.scales8 = codes.scales8;
    std::uniform_real_distribution<float> step(0.001f, 0.02f);
    for (float& scale : matrix.row_scales4) scale = quant::RowScale(step(random_));
    for (int64_t group_index = 0; group_index < matrix.groups(); ++group_index) {
      for (int64_t row = 0; row < n; ++row) {
        matrix.SetMultiplier4(row, group_index, 1 + Below(15));
      }
    }
    return matrix;
  }

  std::mt19937_64 random_{std::random_device{}()};

 private:
  std::optional<Side> cuda_, reference_;
};

/// ‖a − b‖ / ‖b‖.
inline double RelativeError(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    error += std::pow(double{a[i]} - b[i], 2);
    norm += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(error / norm);
}

}  // namespace atom::kernels::cuda
