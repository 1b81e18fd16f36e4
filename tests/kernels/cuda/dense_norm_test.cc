// Norms of rows to 16 bits: the bits of the plain quantizer, of which these are a faster kernel.
#include <algorithm>
#include <numeric>
#include <random>

#include "atom/core/half.h"
#include "atom/kernels/cuda/gemm/packed_dense.h"
#include "atom/kernels/cuda/rows/plain_quantize_call.h"

#include "tests/kernels/cuda/cuda_test.h"

namespace atom::kernels::cuda {
namespace {

class DenseNormTest : public CudaTest {
 protected:
  int Below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  std::vector<float> Random(int64_t count) {
    std::normal_distribution<float> normal(0.3f, 2.0f);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = normal(random_);
    return values;
  }
  std::vector<int32_t> RandomOrder(int count) {
    std::vector<int32_t> order(static_cast<size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    std::ranges::shuffle(order, random_);
    return order;
  }
  /// What a kernel leaves of `call`, packed, with what it does not write.
  std::vector<uint16_t> Packed(PlainQuantizeCall call,
                               cudaError_t (*enqueue)(const PlainQuantizeCall&, cudaStream_t)) {
    const PackedDenseActivationLayout layout = {call.rows, 0, call.columns};
    DeviceArray<uint16_t> to(static_cast<size_t>(layout.bytes() / 2));
    call.to = to.data();
    EXPECT_EQ(enqueue(call, stream().get()), cudaSuccess);
    EXPECT_TRUE(stream().Synchronize().ok());
    return to.Download();
  }
  /// Both kernels, with and without a permutation and a bias.
  void Compare(PlainQuantizeCall call, const int32_t* order, const float* bias) {
    for (const RowSource source : {RowSource::kRmsNorm, RowSource::kLayerNorm}) {
      for (const bool permuted : {false, true}) {
        for (const bool biased : {false, true}) {
          call.source = source;
          call.permutation = permuted ? order : nullptr;
          call.bias = biased ? bias : nullptr;
          ASSERT_TRUE(IsDenseNorm(call));
          EXPECT_EQ(Packed(call, EnqueueDenseNorm), Packed(call, EnqueuePlainQuantize))
              << call.rows << " x " << call.columns << ", source " << static_cast<int>(source)
              << (permuted ? ", permuted" : "") << (biased ? ", biased" : "");
        }
      }
    }
  }

  std::mt19937_64 random_{std::random_device{}()};
};

TEST_F(DenseNormTest, HasTheBitsOfThePlainQuantizer) {
  for (const int columns : {1, 63, 200, 512, 2048, 2051, 4096, 5120, 8190, 8192}) {
    PlainQuantizeCall call;
    call.rows = 1 + Below(19);
    call.columns = columns;
    call.epsilon = 1e-5f;
    const int stride = columns + Below(9);
    const std::vector<float> values = Random(int64_t{call.rows} * stride);
    std::vector<uint16_t> halves, bfloats;
    for (const float value : values) {
      halves.push_back(ToHalf(value).bits);
      bfloats.push_back(ToBFloat16(value).bits);
    }
    const DeviceArray<float> x(values), weight(Random(columns)), bias(Random(columns));
    const DeviceArray<uint16_t> x_half(halves), x_bfloat(bfloats);
    const DeviceArray<int32_t> order(RandomOrder(columns));
    call.weight = weight.data();
    for (const Rows& rows :
         {Rows{x.data(), RowType::kF32, stride}, Rows{x_half.data(), RowType::kF16, stride},
          Rows{x_bfloat.data(), RowType::kBF16, stride}}) {
      call.x = rows;
      Compare(call, order.data(), bias.data());
    }
  }
}

TEST(DenseNorm, WiderRowsAreLeftToThePlainQuantizer) {
  PlainQuantizeCall call;
  call.source = RowSource::kRmsNorm;
  call.columns = kMaxDenseNormColumns;
  EXPECT_TRUE(IsDenseNorm(call));
  call.columns += 1;
  EXPECT_FALSE(IsDenseNorm(call));
}

}  // namespace
}  // namespace atom::kernels::cuda
