// Sums of products on the GPU against sums in double.
#include <cmath>
#include <random>

#include "atom/kernels/cuda_backend.h"

#include "tests/kernels/cuda/cuda_test.h"

namespace atom::kernels::cuda {
namespace {

class CudaAlgebraTest : public CudaTest {};

TEST_F(CudaAlgebraTest, SumsOfProductsAreThoseOfDoubles) {
  Result<std::unique_ptr<quant::DenseAlgebra>> algebra = MakeCudaAlgebra();
  ASSERT_TRUE(algebra.ok()) << algebra.error().message;
  std::mt19937 random{std::random_device{}()};
  std::normal_distribution<float> normal;
  const auto matrix = [&](int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = normal(random);
    return values;
  };
  for (const int64_t k : {1, 7, 128, 201, 576}) {
    for (const quant::SumKind kind : {quant::SumKind::kGram, quant::SumKind::kCross}) {
      SCOPED_TRACE(k);
      const auto sum = (*algebra)->MakeSum(kind, k);
      std::vector<double> expected(static_cast<size_t>(k * k)), size(expected);
      int64_t all_rows = 0;
      for (const int64_t rows : {3, 65, 1, 16}) {  // more than the first: operands grow
        const std::vector<float> a = matrix(rows * k);
        const std::vector<float> b = kind == quant::SumKind::kGram ? a : matrix(rows * k);
        sum->Add(a, kind == quant::SumKind::kGram ? a : b, rows, 0.5f);
        all_rows += rows;
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t i = 0; i < k; ++i) {
            for (int64_t j = 0; j < k; ++j) {
              const double product = 0.5 * double{a[static_cast<size_t>(r * k + i)]} *
                                     b[static_cast<size_t>(r * k + j)];
              expected[static_cast<size_t>(i * k + j)] += product;
              size[static_cast<size_t>(i * k + j)] += std::abs(product);
            }
          }
        }
      }
      const std::vector<float> found = sum->Take();
      for (int64_t i = 0; i < k; ++i) {
        for (int64_t j = kind == quant::SumKind::kGram ? i : 0; j < k; ++j) {
          const auto at = static_cast<size_t>(i * k + j);
          const double bound = static_cast<double>(all_rows + 5) * 0x1p-24 * size[at];
          ASSERT_NEAR(found[at], expected[at], bound) << i << ", " << j;
        }
      }
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cuda
