// The tiled GEMM kernels against a scalar reference on fresh random data: every bit equal, whatever
// the shape; outputs poisoned, and what lies between the rows of Y untouched.
#include <atomic>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/kernels/cuda/cuda_test.h"
#include "tests/kernels/cuda/gemm_problem.h"
#include "tests/kernels/cuda/handover.h"

namespace atom::kernels::cuda {
namespace {

uint64_t FreshSeed() {
  static const uint64_t seed = std::random_device{}();
  static std::atomic<uint64_t> next{seed * 1000};
  return next++;
}

int64_t ElementBytes(GemmOutput output) { return output == GemmOutput::kFloat ? 4 : 2; }

// The bytes of one value of Y.
uint32_t Rounded(GemmOutput output, float v) {
  switch (output) {
    case GemmOutput::kHalf:
      return ToHalf(v).bits;
    case GemmOutput::kBFloat16:
      return ToBFloat16(v).bits;
    case GemmOutput::kFloat:
      return std::bit_cast<uint32_t>(v);
  }
  return 0;
}
float Widened(GemmOutput output, uint32_t bits) {
  switch (output) {
    case GemmOutput::kHalf:
      return ToFloat(Half{static_cast<uint16_t>(bits)});
    case GemmOutput::kBFloat16:
      return ToFloat(BFloat16{static_cast<uint16_t>(bits)});
    case GemmOutput::kFloat:
      return std::bit_cast<float>(bits);
  }
  return 0;
}

class Output {
 public:
  Output(GemmOutput type, int64_t rows, int64_t stride)
      : type_(type),
        stride_(stride),
        bytes_(static_cast<size_t>(rows * stride * ElementBytes(type))) {}

  void* data() const { return bytes_.data(); }
  void Fetch() { host_ = bytes_.Download(); }
  uint32_t At(int64_t row, int64_t column) const {
    const int64_t size = ElementBytes(type_);
    uint32_t bits = 0;
    std::memcpy(&bits, &host_[static_cast<size_t>((row * stride_ + column) * size)],
                static_cast<size_t>(size));
    return bits;
  }
  const std::vector<uint8_t>& host() const { return host_; }
  uint32_t poison() const { return type_ == GemmOutput::kFloat ? 0xffffffffu : 0xffffu; }

  void FillWithOnes() {
    std::vector<uint8_t> ones(bytes_.size());
    for (size_t i = 0; i < ones.size(); i += static_cast<size_t>(ElementBytes(type_))) {
      const uint32_t one = Rounded(type_, 1.25f);
      std::memcpy(&ones[i], &one, static_cast<size_t>(ElementBytes(type_)));
    }
    ASSERT_EQ(cudaMemcpy(bytes_.data(), ones.data(), ones.size(), cudaMemcpyHostToDevice),
              cudaSuccess);
  }

 private:
  GemmOutput type_;
  int64_t stride_;
  DeviceArray<uint8_t> bytes_;
  std::vector<uint8_t> host_;
};

class CudaTiledGemm : public CudaTest {
 protected:
  GemmDevice gemm_device() const {
    return {device().multiprocessors, device().shared_bytes_per_block};
  }

  void Launch(const GemmDesc& desc, const GemmPlan& plan, GemmOperands operands) {
    const Handover handover(plan);
    operands.handover = handover.data();
    const Status launched = LaunchGemm(desc, plan, operands, {stream().get()});
    ASSERT_TRUE(launched.ok()) << launched.error().message;
    const Status ended = stream().Synchronize();
    ASSERT_TRUE(ended.ok()) << ended.error().message << ", " << ToString(plan);
    handover.ExpectTakenBack();
  }

  // Every plan of the recipe, all of Y.
  void CheckAll(const GemmDesc& desc, int64_t gap, bool bias) {
    const HostProblem problem = RandomProblem(desc, FreshSeed(), bias);
    const DeviceProblem on_device(problem);
    std::vector<std::vector<float>> expected(static_cast<size_t>(desc.m));
    std::atomic<int64_t> next{0};
    {
      std::vector<std::jthread> threads;
      for (unsigned t = 0; t < std::thread::hardware_concurrency(); ++t) {
        threads.emplace_back([&] {
          for (int64_t m = next++; m < desc.m; m = next++) {
            expected[static_cast<size_t>(m)] = ReferenceRow(problem, m);
          }
        });
      }
    }
    for (const GemmPlan& plan : PlansOnAnyCard(desc, gemm_device())) {
      const int64_t stride = desc.total_n() + gap;
      Output y(desc.output, desc.m, stride);
      if (desc.add) y.FillWithOnes();
      Launch(desc, plan, on_device.Operands(y.data(), stride));
      if (HasFatalFailure()) return;
      y.Fetch();
      Compare(desc, plan, expected, stride, y);
      if (HasFailure()) return;
    }
  }

  void Compare(const GemmDesc& desc, const GemmPlan& plan,
               const std::vector<std::vector<float>>& expected, int64_t stride, const Output& y) {
    int64_t wrong = 0;
    for (int64_t m = 0; m < desc.m; ++m) {
      for (int64_t n = 0; n < stride; ++n) {
        uint32_t want = desc.add ? Rounded(desc.output, 1.25f) : y.poison();
        if (n < desc.total_n()) {
          const float value = expected[static_cast<size_t>(m)][static_cast<size_t>(n)];
          want = Rounded(desc.output, desc.add ? 1.25f + value : value);
        }
        if (y.At(m, n) == want) continue;
        if (++wrong <= 3) {
          ADD_FAILURE() << ToString(plan) << "\n M " << desc.m << " N " << desc.total_n() << " K4 "
                        << desc.k4 << " K8 " << desc.k8 << " G " << desc.group << " "
                        << Name(desc.output) << ": y(" << m << ", " << n << ") is "
                        << Widened(desc.output, y.At(m, n)) << ", not "
                        << Widened(desc.output, want);
        }
      }
    }
    EXPECT_EQ(wrong, 0) << "of " << desc.m * stride;
  }
};

TEST_F(CudaTiledGemm, IntegerScalesAnyShape) {
  const GemmRecipe recipe = GemmRecipe::kInteger;
  const GemmDesc cases[] = {
      {recipe, 1, {64}, 128, 0, 128},    {recipe, 256, {256}, 512, 128, 128},
      {recipe, 64, {128}, 256, 128, 32}, {recipe, 300, {520}, 1152, 64, 32},
      {recipe, 17, {72}, 448, 192, 64},  {recipe, 129, {392}, 640, 256, 128},
      {recipe, 1, {8}, 32, 16, 32},      {recipe, 513, {136}, 3968, 128, 64},
      {recipe, 65, {1032}, 96, 33, 0},   {recipe, 300, {264}, 512, 384, 128},
  };
  for (const GemmDesc& desc : cases) {
    for (const bool bias : {false, true}) CheckAll(desc, bias ? 8 : 0, bias);
    if (HasFailure()) return;
  }
}

TEST_F(CudaTiledGemm, EveryOutput) {
  for (const GemmOutput output : {GemmOutput::kHalf, GemmOutput::kBFloat16, GemmOutput::kFloat}) {
    for (const bool add : {false, true}) {
      CheckAll({GemmRecipe::kInteger, 83, {200}, 256, 128, 64, output, add}, 0, true);
      CheckAll({GemmRecipe::kInteger, 270, {77}, 256, 64, 32, output, add}, 3, false);
      CheckAll({GemmRecipe::kInt8, 83, {136}, 0, 320, 0, output, add}, 4, true);
      CheckAll({GemmRecipe::kGroup, 83, {136}, 256, 128, 128, output, add}, 1, false);
      if (HasFailure()) return;
    }
  }
}

TEST_F(CudaTiledGemm, WeightsSideBySide) {
  for (const GemmRecipe recipe : {GemmRecipe::kInteger, GemmRecipe::kGroup, GemmRecipe::kInt8}) {
    const bool int8 = recipe == GemmRecipe::kInt8;
    const int64_t k4 = int8 ? 0 : 384;
    const int64_t k8 = int8 ? 512 : 128;
    const int64_t group = int8 ? 0 : 128;
    CheckAll({recipe, 90, {192, 64, 64}, k4, k8, group}, 0, true);
    CheckAll({recipe, 300, {576, 192, 200}, k4, k8, group}, 8, true);
    CheckAll({recipe, 33, {100, 36}, k4, k8, group}, 0, true);
    if (HasFailure()) return;
  }
}

TEST_F(CudaTiledGemm, FloatGroupScalesAnyShape) {
  const GemmRecipe recipe = GemmRecipe::kGroup;
  const GemmDesc cases[] = {
      {recipe, 1, {64}, 128, 0, 128},       {recipe, 256, {384}, 512, 128, 128},
      {recipe, 300, {520}, 1152, 64, 128},  {recipe, 17, {72}, 512, 192, 256},
      {recipe, 129, {400}, 640, 256, 128},  {recipe, 70, {200}, 768, 128, 0},
      {recipe, 515, {136}, 3968, 128, 128},
  };
  for (const GemmDesc& desc : cases) {
    CheckAll(desc, 0, false);
    if (HasFailure()) return;
  }
}

TEST_F(CudaTiledGemm, Int8AnyShape) {
  const GemmRecipe recipe = GemmRecipe::kInt8;
  const GemmDesc cases[] = {
      {recipe, 1, {64}, 0, 128}, {recipe, 256, {256}, 0, 640},  {recipe, 300, {520}, 0, 1184},
      {recipe, 17, {72}, 0, 16}, {recipe, 129, {392}, 0, 4096}, {recipe, 65, {1032}, 0, 576},
  };
  for (const GemmDesc& desc : cases) {
    CheckAll(desc, 0, true);
    if (HasFailure()) return;
  }
}

// Contract item 2: a row does not depend on how many rows are beside it, nor on the kernel.
TEST_F(CudaTiledGemm, RowZeroNeverDependsOnM) {
  for (const GemmRecipe recipe : {GemmRecipe::kInteger, GemmRecipe::kGroup, GemmRecipe::kInt8}) {
    const bool int8 = recipe == GemmRecipe::kInt8;
    GemmDesc desc{recipe, 4096, {320}, int8 ? 0 : 2048, int8 ? 2048 : 128, int8 ? 0 : 128};
    desc.output = GemmOutput::kFloat;
    const HostProblem whole = RandomProblem(desc, FreshSeed(), true);
    const std::vector<float> expected = ReferenceRow(whole, 0);
    for (const int64_t m : {1, 17, 64, 256, 4096}) {
      HostProblem part = whole;
      part.desc.m = m;
      part.x.resize(static_cast<size_t>(m * desc.k()));
      part.tokens.resize(static_cast<size_t>(part.m8()));
      for (int64_t g = 0; g < (part.token_group_scales.empty() ? 0 : part.groups()); ++g) {
        for (int64_t t = 0; t < part.m8(); ++t) {
          part.token_group_scales[static_cast<size_t>(g * part.m8() + t)] =
              whole.token_group_scales[static_cast<size_t>(g * whole.m8() + t)];
        }
      }
      const DeviceProblem on_device(part);
      for (const GemmPlan& plan : GemmPlans(part.desc, gemm_device())) {
        Output y(desc.output, m, 320);
        Launch(part.desc, plan, on_device.Operands(y.data(), 320));
        if (HasFatalFailure()) return;
        y.Fetch();
        for (int64_t n = 0; n < 320; ++n) {
          ASSERT_EQ(y.At(0, n), std::bit_cast<uint32_t>(expected[static_cast<size_t>(n)]))
              << ToString(plan) << " M " << m << " n " << n;
        }
      }
    }
  }
}

// Shapes of real layers, many tiles a CTA; sampled rows against the reference, and every bit of
// repeated runs: what depends on timing would differ.
TEST_F(CudaTiledGemm, LayersOfModelsRepeatBitForBit) {
  const GemmDesc cases[] = {
      {GemmRecipe::kInteger, 2000, {5120}, 4992, 128, 128},
      {GemmRecipe::kInteger, 1024, {4096}, 10880, 128, 32},
      {GemmRecipe::kGroup, 1500, {5120}, 4992, 128, 128},
      {GemmRecipe::kInt8, 1000, {4096}, 0, 5120, 0},
  };
  for (const GemmDesc& desc : cases) {
    const HostProblem problem = RandomProblem(desc, FreshSeed());
    const DeviceProblem on_device(problem);
    const int64_t stride = desc.total_n();
    for (const GemmPlan& plan : GemmPlans(desc, gemm_device())) {
      Output y(desc.output, desc.m, stride);
      Launch(desc, plan, on_device.Operands(y.data(), stride));
      if (HasFatalFailure()) return;
      y.Fetch();
      for (const int64_t m : {int64_t{0}, int64_t{255}, desc.m / 2, desc.m - 1}) {
        const std::vector<float> expected = ReferenceRow(problem, m);
        for (int64_t n = 0; n < stride; ++n) {
          ASSERT_EQ(y.At(m, n), Rounded(desc.output, expected[static_cast<size_t>(n)]))
              << ToString(plan) << " (" << m << ", " << n << ")";
        }
      }
      const std::vector<uint8_t> first = y.host();
      for (int repeat = 0; repeat < 10; ++repeat) {
        Output again(desc.output, desc.m, stride);
        Launch(desc, plan, on_device.Operands(again.data(), stride));
        if (HasFatalFailure()) return;
        again.Fetch();
        ASSERT_TRUE(again.host() == first) << ToString(plan) << " repeat " << repeat;
      }
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cuda
