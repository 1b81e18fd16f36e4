// The s4 GEMM against the contract (docs/numerics.md, section 3), bit for bit.
#include "atom/kernels/cuda/gemm/s4/s4_gemm.h"

#include <cmath>
#include <random>

#include "tests/kernels/cuda/cuda_test.h"

namespace atom::kernels::cuda {
namespace {

struct Shape {
  int m, n, k4, k8, group;
  bool add = false, bias = false;
};

/// Random codes and scales on the host, and what the contract makes of them.
class Problem {
 public:
  Problem(const Shape& shape, std::mt19937_64& random)
      : shape_(shape),
        groups_(shape.k4 == 0 ? 0 : shape.k4 / shape.group),
        x4_(Codes(shape.m, shape.k4, -8, 7, random)),
        w4_(Codes(shape.n, shape.k4, -8, 7, random)),
        x8_(Codes(shape.m, shape.k8, -128, 127, random)),
        w8_(Codes(shape.n, shape.k8, -128, 127, random)) {
    x_scales_ = Scales(groups_ * token_stride(), random);
    w_scales_ = Scales(groups_ * shape.n, random);
    x8_scales_ = Scales(shape.m, random);
    w8_scales_ = Scales(shape.n, random);
    bias_ = Scales(shape.n, random);
    old_ = Scales(shape.m * stride(), random);
  }

  int token_stride() const { return shape_.m + 3; }
  int stride() const { return shape_.n + 5; }
  float Old(int m, int n) const { return old_[static_cast<size_t>(m * stride() + n)]; }

  float Expected(int m, int n) const {
    float acc = 0.0f;
    for (int g = 0; g < groups_; ++g) {
      const float scale = x_scales_[static_cast<size_t>(g * token_stride() + m)] *
                          w_scales_[static_cast<size_t>(g * shape_.n + n)];
      acc = std::fma(Sum(x4_, w4_, shape_.k4, m, n, g * shape_.group, shape_.group), scale, acc);
    }
    if (shape_.k8 > 0) {
      const float scale = x8_scales_[static_cast<size_t>(m)] * w8_scales_[static_cast<size_t>(n)];
      acc = std::fma(Sum(x8_, w8_, shape_.k8, m, n, 0, shape_.k8), scale, acc);
    }
    if (shape_.bias) acc = acc + bias_[static_cast<size_t>(n)];
    return shape_.add ? Old(m, n) + acc : acc;
  }

  /// What the device gives, all of it: columns behind N too.
  std::vector<float> Run(const Stream& stream) const {
    const int stride4 = (shape_.k4 / 2 + 15) / 16 * 16 + 16, stride8 = shape_.k8 + 16;
    const DeviceArray<uint8_t> x4(Nibbles(x4_, shape_.m, shape_.k4, stride4)),
        w4(Nibbles(w4_, shape_.n, shape_.k4, stride4)),
        x8(Bytes(x8_, shape_.m, shape_.k8, stride8)), w8(Bytes(w8_, shape_.n, shape_.k8, stride8));
    const DeviceArray<float> x_scales(x_scales_), x8_scales(x8_scales_), bias(bias_), y(old_);
    const DeviceArray<__half> w_scales(Halves(w_scales_)), w8_scales(Halves(w8_scales_));
    const Status launched = LaunchS4Gemm({.m = shape_.m,
                                          .n = shape_.n,
                                          .k4 = shape_.k4,
                                          .k8 = shape_.k8,
                                          .group = shape_.group,
                                          .x4 = {x4.data(), stride4},
                                          .x8 = {x8.data(), stride8},
                                          .w4 = {w4.data(), stride4},
                                          .w8 = {w8.data(), stride8},
                                          .x_scales = x_scales.data(),
                                          .token_stride = token_stride(),
                                          .x_outlier_scales = x8_scales.data(),
                                          .w_scales = w_scales.data(),
                                          .w_outlier_scales = w8_scales.data(),
                                          .bias = shape_.bias ? bias.data() : nullptr,
                                          .y = {y.data(), RowType::kF32, stride()},
                                          .add = shape_.add},
                                         stream.get());
    EXPECT_TRUE(launched.ok()) << launched.error().message;
    return y.Download();
  }

 private:
  static std::vector<int8_t> Codes(int rows, int columns, int low, int high,
                                   std::mt19937_64& random) {
    std::vector<int8_t> codes(static_cast<size_t>(rows * columns));
    for (int8_t& code : codes) {
      code = static_cast<int8_t>(std::uniform_int_distribution<int>(low, high)(random));
    }
    return codes;
  }
  /// fp16 values, as scales are stored.
  static std::vector<float> Scales(int count, std::mt19937_64& random) {
    std::vector<float> scales(static_cast<size_t>(count));
    for (float& scale : scales) {
      scale = __half2float(
          __float2half_rn(std::uniform_real_distribution<float>(0.001f, 0.1f)(random)));
    }
    return scales;
  }
  static std::vector<__half> Halves(const std::vector<float>& values) {
    std::vector<__half> halves;
    for (const float value : values) halves.push_back(__float2half_rn(value));
    return halves;
  }
  static std::vector<uint8_t> Bytes(const std::vector<int8_t>& codes, int rows, int columns,
                                    int stride) {
    std::vector<uint8_t> bytes(static_cast<size_t>(rows * stride), 0x77);
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < columns; ++c) {
        bytes[static_cast<size_t>(r * stride + c)] =
            static_cast<uint8_t>(codes[static_cast<size_t>(r * columns + c)]);
      }
    }
    return bytes;
  }
  static std::vector<uint8_t> Nibbles(const std::vector<int8_t>& codes, int rows, int columns,
                                      int stride) {
    std::vector<uint8_t> bytes(static_cast<size_t>(rows * stride), 0x77);
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < columns; c += 2) {
        const auto low = static_cast<uint8_t>(codes[static_cast<size_t>(r * columns + c)]);
        const auto high = static_cast<uint8_t>(codes[static_cast<size_t>(r * columns + c + 1)]);
        bytes[static_cast<size_t>(r * stride + c / 2)] =
            static_cast<uint8_t>((low & 15) | (high & 15) << 4);
      }
    }
    return bytes;
  }
  static float Sum(const std::vector<int8_t>& x, const std::vector<int8_t>& w, int columns, int m,
                   int n, int begin, int count) {
    int sum = 0;
    for (int k = begin; k < begin + count; ++k) {
      sum += x[static_cast<size_t>(m * columns + k)] * w[static_cast<size_t>(n * columns + k)];
    }
    return static_cast<float>(sum);
  }

  Shape shape_;
  int groups_;
  std::vector<int8_t> x4_, w4_, x8_, w8_;
  std::vector<float> x_scales_, w_scales_, x8_scales_, w8_scales_, bias_, old_;
};

class S4GemmTest : public CudaTest {
 protected:
  void Compare(const Shape& shape) {
    SCOPED_TRACE(fmt::format("{} x {}, {} + {} columns, groups of {}", shape.m, shape.n, shape.k4,
                             shape.k8, shape.group));
    const Problem problem(shape, random_);
    const std::vector<float> y = problem.Run(stream());
    for (int m = 0; m < shape.m; ++m) {
      for (int n = 0; n < problem.stride(); ++n) {
        const float value = y[static_cast<size_t>(m * problem.stride() + n)];
        ASSERT_EQ(value, n < shape.n ? problem.Expected(m, n) : problem.Old(m, n))
            << "token " << m << ", output " << n;
      }
    }
  }

  std::mt19937_64 random_{std::random_device{}()};
};

TEST_F(S4GemmTest, IsTheContractBitForBit) {
  for (const Shape& shape :
       {Shape{1, 1, 128, 0, 128}, Shape{1, 576, 448, 128, 64}, Shape{17, 130, 384, 128, 128},
        Shape{128, 128, 128, 128, 128}, Shape{129, 257, 1280, 128, 128, true},
        Shape{64, 96, 512, 64, 256, false, true}, Shape{3, 40, 0, 576, 0, true, true},
        Shape{200, 64, 320, 16, 64}, Shape{33, 72, 192, 80, 192}}) {
    Compare(shape);
  }
}

TEST_F(S4GemmTest, ATokenNeverDependsOnTheOthers) {
  const Problem one(Shape{1, 300, 640, 128, 128}, random_);
  const std::vector<float> y = one.Run(stream());
  for (int n = 0; n < 300; ++n) EXPECT_EQ(y[static_cast<size_t>(n)], one.Expected(0, n));
}

TEST(S4GemmShapeTest, PlanIsPrintableAndKnowsWhoMultipliesNibbles) {
  S4GemmCall call;
  call.m = 300;
  call.n = 4096;
  call.k4 = 3968;
  call.k8 = 128;
  call.group = 128;
  const S4GemmPlan plan = PlanS4Gemm(call, 86);
  EXPECT_EQ(
      ToString(plan),
      "s4: 3 × 32 tiles of 128 × 128, 33 blocks of K in 4 stages, 256 threads, 65536 bytes of "
      "shared memory, native 4-bit products");
  EXPECT_TRUE(PlanS4Gemm(call, 80).native);
  EXPECT_TRUE(PlanS4Gemm(call, 89).native);
  EXPECT_FALSE(PlanS4Gemm(call, 90).native);
}

TEST(S4GemmShapeTest, SaysWhatItDoesNotCompute) {
  S4GemmCall call;
  call.m = call.n = 1;
  call.k4 = 96;
  call.group = 32;
  EXPECT_EQ(WhyNotComputed(call),
            "groups of 32 in 96 columns: the s4 kernel takes multiples of 64 that divide the "
            "columns");
  call.k4 = call.group = 128;
  EXPECT_EQ(WhyNotComputed(call), "");
  call.k8 = 24;
  EXPECT_EQ(WhyNotComputed(call),
            "24 outlier columns: the s4 kernel takes multiples of 16 up to 131072");
}

}  // namespace
}  // namespace atom::kernels::cuda
