// What recipes with two-level scales and rotated groups ask of the CUDA backend: codes, scales and
// products are the reference's bit for bit, and no row depends on the others.
#include "tests/kernels/cuda/preset_linear.h"

namespace atom::kernels::cuda {
namespace {

using quant::ActivationFormat;

class CudaRecipeTest : public CudaBackendTest {};

TEST_F(CudaRecipeTest, CodesAndProductsAreTheReferencesBitForBit) {
  // 1,536 = 1,472 + 64 columns are no whole K blocks; 1,152 = 1,088 + 64 neither.
  for (const PresetLinear& linear :
       {PresetLinear{"atom-best", 576}, PresetLinear{"atom-best", 1536},
        PresetLinear{"atom-w4a8", 576}, PresetLinear{"atom-w4a8", 1152}, PresetLinear{"w4a8", 1216},
        PresetLinear{"w4a8", 704}}) {
    const int64_t k = linear.k, n = 200;
    const QuantizedMatrix weight = WeightOf(
        linear, n, [&](auto... a) { return RandomTwoLevelWeight(a...); },
        [&](auto... a) { return RandomWeight(a...); });
    const std::vector<float> bias = Random(n);
    std::vector<int32_t> permutation(static_cast<size_t>(k));
    for (size_t i = 0; i < permutation.size(); ++i) permutation[i] = static_cast<int32_t>(i);
    std::shuffle(permutation.begin(), permutation.end(), random_);
    for (const int64_t m : {1, 17, 130, 300}) {
      SCOPED_TRACE(fmt::format("{}, {} inputs, {} rows", linear.preset, k, m));
      const std::vector<float> x = Random(m * k, 2.0f), old = Random(m * n);
      UnpackedActivation codes[2];
      std::vector<float> y[2];
      for (Side* side : {&reference(), &cuda()}) {
        const bool which = side == &cuda();
        const auto activation = (*side)->MakeActivation(linear.input(), k, m + 5);
        (*side)->ReorderQuantize(side->Tensor(x, m), &side->Put(permutation), *activation);
        codes[which] = (*side)->Unpack(*activation);
        const auto packed = (*side)->Prepack(weight, bias);
        EXPECT_EQ((*side)->Unpack(*packed), weight);
        const DeviceTensor out = side->Tensor(old, m);
        (*side)->Linear(*activation, *packed, out, OutputMode::kAdd);
        y[which] = side->Get(out);
      }
      // The CUDA backend keeps codes times multipliers.
      UnpackedActivation& expected = codes[0];
      const auto groups = std::ssize(expected.multipliers) / m;
      for (size_t i = 0; groups > 0 && i < expected.codes.size(); ++i) {
        const auto row = static_cast<int64_t>(i) / k, column = static_cast<int64_t>(i) % k;
        if (column >= k - linear.outliers()) continue;
        const auto at = static_cast<size_t>(row * groups + column / linear.input().group);
        expected.codes[i] = static_cast<int8_t>(expected.codes[i] * expected.multipliers[at]);
      }
      EXPECT_EQ(codes[1].codes, expected.codes);
      EXPECT_EQ(codes[1].row_scales, expected.row_scales);
      EXPECT_EQ(codes[1].scales, expected.scales);
      EXPECT_EQ(codes[1].outlier_scales, expected.outlier_scales);
      EXPECT_EQ(y[1], y[0]);
    }
  }
}

TEST_F(CudaRecipeTest, RotatedRowsOfSixteenBitsAreTheReferencesRounded) {
  const PresetLinear linear{"w4a16", 576};
  const int64_t m = 33;
  const std::vector<float> x = Random(m * linear.k);
  std::vector<float> values[2];
  for (Side* side : {&reference(), &cuda()}) {
    const auto activation = (*side)->MakeActivation(linear.input(), linear.k, m);
    (*side)->ReorderQuantize(side->Tensor(x, m), nullptr, *activation);
    values[side == &cuda()] = (*side)->Unpack(*activation).dense;
  }
  for (float& value : values[0]) value = ToFloat(ToBFloat16(value));
  EXPECT_EQ(values[1], values[0]);
}

TEST_F(CudaRecipeTest, SimulatedRowsAreTheReferencesRounded) {
  for (const PresetLinear& linear :
       {PresetLinear{"atom-best", 1536}, PresetLinear{"atom-w4a8", 1152},
        PresetLinear{"atom-w4a4", 576}, PresetLinear{"w8a8", 300}}) {
    const ActivationFormat format = quant::ActivationFormatFor(linear.recipe(), linear.k, true);
    const int64_t m = 19, n = 70;
    const std::vector<float> x = Random(m * linear.k, 3.0f), weight = Random(n * linear.k);
    const TensorView view{
        DType::kF32, {n, linear.k}, reinterpret_cast<const std::byte*>(weight.data())};
    std::vector<float> values[2], y[2];
    for (Side* side : {&reference(), &cuda()}) {
      const bool which = side == &cuda();
      const auto activation = (*side)->MakeActivation(format, linear.k, m);
      (*side)->ReorderQuantize(side->Tensor(x, m), nullptr, *activation);
      values[which] = (*side)->Unpack(*activation).dense;
      const DeviceTensor out = side->Tensor(std::vector<float>(static_cast<size_t>(m * n), NAN), m);
      // Ops run later: the weight must be there until the result is.
      const auto packed = (*side)->PrepackDense(view, {});
      (*side)->Linear(*activation, *packed, out, OutputMode::kOverwrite);
      y[which] = side->Get(out);
    }
    for (float& value : values[0]) value = ToFloat(ToBFloat16(value));
    EXPECT_EQ(values[1], values[0]) << linear.preset;
    EXPECT_LT(RelativeError(y[1], y[0]), 0x1p-8) << linear.preset;
  }
}

TEST_F(CudaRecipeTest, RowZeroNeverDependsOnTheOthers) {
  for (const std::string_view preset : {"atom-best", "atom-w4a8", "atom-w4a4", "w4a8", "w4a16",
                                        "w8a8", "w4a8-plain", "w4a16-plain"}) {
    const PresetLinear linear{preset, 1152};
    const int64_t n = 320;
    const auto weight =
        cuda()->Prepack(WeightOf(
                            linear, n, [&](auto... a) { return RandomTwoLevelWeight(a...); },
                            [&](auto... a) { return RandomWeight(a...); }),
                        {});
    const std::vector<float> all = Random(4096 * linear.k), norm = Random(linear.k);
    const DeviceNorm device_norm = {.weight = &cuda().Put(norm)};
    std::vector<float> alone;
    for (const int64_t m : {1, 17, 64, 256, 4096}) {
      const auto activation = cuda()->MakeActivation(linear.input(), linear.k, m);
      const std::vector<float> x(all.begin(), all.begin() + m * linear.k);
      cuda()->NormQuantize(cuda().Tensor(x, m), device_norm, nullptr, *activation);
      const DeviceTensor y = cuda().Tensor(std::vector<float>(static_cast<size_t>(m * n), NAN), m);
      cuda()->Linear(*activation, *weight, y, OutputMode::kOverwrite);
      const std::vector<float> row = cuda().Get(y.data, n);
      if (m == 1) alone = row;
      EXPECT_EQ(row, alone) << preset << ", " << m << " rows";
    }
  }
}

// Every number of rows has a plan, a layout and a last tile of its own.
TEST_F(CudaRecipeTest, AnyNumberOfRowsGivesTheSameRows) {
  constexpr int64_t kMost = 2100;
  for (const std::string_view preset : {"atom-w4a8", "atom-best", "w4a8", "atom-w4a4", "w8a8"}) {
    for (const int64_t k : {576, 1536}) {
      const PresetLinear linear{preset, k};
      std::vector<std::unique_ptr<PackedWeight>> weights;
      std::vector<const PackedWeight*> side_by_side;
      int64_t n = 0;
      for (const int64_t outputs : {576, 192, 192}) {
        weights.push_back(cuda()->Prepack(
            WeightOf(
                linear, outputs, [&](auto... a) { return RandomTwoLevelWeight(a...); },
                [&](auto... a) { return RandomWeight(a...); }),
            {}));
        side_by_side.push_back(weights.back().get());
        n += outputs;
      }
      const std::vector<float> x = Random(kMost * k), norm = Random(k);
      const DeviceNorm device_norm = {.weight = &cuda().Put(norm)};
      const DeviceTensor all = cuda().Tensor(x, kMost);
      const DeviceTensor y =
          cuda().Tensor(std::vector<float>(static_cast<size_t>(kMost * n), NAN), kMost);
      const auto activation = cuda()->MakeActivation(linear.input(), k, kMost);
      const auto compute = [&](int64_t m) {
        DeviceTensor rows = all, out = y;
        rows.rows = out.rows = m;
        cuda()->NormQuantize(rows, device_norm, nullptr, *activation);
        cuda()->Linear(*activation, side_by_side, out, OutputMode::kOverwrite);
        return cuda().Get(out);
      };
      const std::vector<float> expected = compute(kMost);
      for (int64_t m = 1; m < kMost; m += m < 700 ? 1 : 97) {
        const std::vector<float> found = compute(m);
        ASSERT_TRUE(std::equal(found.begin(), found.end(), expected.begin()))
            << preset << ", " << k << " inputs, " << m << " rows, the first other one is "
            << (std::mismatch(found.begin(), found.end(), expected.begin()).first - found.begin()) /
                   n;
      }
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cuda
