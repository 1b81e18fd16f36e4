#include "atom/bench/kernels/gemm_product.h"

#include <algorithm>
#include <numeric>

#include "atom/bench/kernels/random_weights.h"
#include "atom/model/device_layer.h"
#include "atom/quant/recipe.h"

namespace atom::bench {
namespace {

constexpr int64_t kDistinct = 3;  // random matrices; the other copies repeat them

int64_t CopiesFor(int64_t rotate_bytes, int64_t bytes) {
  return std::max<int64_t>(1, (rotate_bytes + bytes - 1) / bytes);
}

}  // namespace

GemmProduct::GemmProduct(kernels::Backend& backend, const GemmKernel& kernel, int64_t n, int64_t k,
                         int64_t max_rows, int64_t rotate_bytes)
    : backend_(backend) {
  MakeWeights(kernel, n, k, rotate_bytes);
  MakeInput(k, max_rows);
  output_ = backend.Allocate(static_cast<size_t>(max_rows * n * DTypeSize(backend.hidden_dtype())));
  y_ = {.data = output_.data(), .rows = max_rows, .cols = n, .stride = n};
  activation_ = backend.MakeActivation(format_, k, max_rows);
  SetRows(max_rows);
}

void GemmProduct::MakeWeights(const GemmKernel& kernel, int64_t n, int64_t k,
                              int64_t rotate_bytes) {
  Rng rng(1);
  if (kernel.recipe.empty()) {
    const artifact::DenseMatrix matrix = RandomDense(rng, kernel.dtype, n, k);
    weight_bytes_ = matrix.view.bytes();
    const int64_t copies = CopiesFor(rotate_bytes, weight_bytes_);
    for (int64_t i = 0; i < copies; ++i) {
      weights_.push_back(backend_.PrepackDense(matrix.view, {}));
    }
    return;
  }
  const quant::Recipe recipe = quant::FindRecipe(kernel.recipe).value();  // a preset
  format_ = quant::ActivationFormatFor(recipe, k, /*simulated=*/false);
  std::vector<quant::QuantizedMatrix> matrices;
  for (int64_t i = 0; i < kDistinct; ++i) {
    matrices.push_back(
        RandomMatrix(rng, quant::WeightFormatFor(recipe), n, k, recipe.weight.scales));
  }
  weight_bytes_ = WeightBytes(matrices.front());
  const int64_t copies = CopiesFor(rotate_bytes, weight_bytes_);
  for (int64_t i = 0; i < copies; ++i) {
    weights_.push_back(backend_.Prepack(matrices[static_cast<size_t>(i % kDistinct)], {}));
  }
  if (recipe.reorder) {
    permutation_ = model::UploadValues<int32_t>(backend_, RandomPermutation(rng, k).source());
  }
}

void GemmProduct::MakeInput(int64_t k, int64_t max_rows) {
  Rng rng(2);
  input_ = model::UploadValues<float>(backend_, RandomFloats(rng, max_rows * k));
  x_ = {.data = input_.data(), .rows = max_rows, .cols = k, .stride = k};
}

void GemmProduct::SetRows(int64_t m) {
  x_.rows = m;
  y_.rows = m;
  const kernels::DeviceBuffer* order = permutation_.data() == nullptr ? nullptr : &permutation_;
  backend_.ReorderQuantize(x_, order, *activation_);
}

void GemmProduct::Run() {
  if (!format_.dense()) {
    const kernels::DeviceBuffer* order = permutation_.data() == nullptr ? nullptr : &permutation_;
    backend_.ReorderQuantize(x_, order, *activation_);
  }
  backend_.Linear(*activation_, *weights_[next_++ % weights_.size()], y_,
                  kernels::OutputMode::kOverwrite);
  backend_.Sync();
}

}  // namespace atom::bench
