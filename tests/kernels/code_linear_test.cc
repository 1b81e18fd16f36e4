// Linear with the codes of others, on every backend x format x shape: the bits of the dense product
// with the values that they stand for (docs/numerics.md, section 3), on that backend and on the
// reference.
#include "device_under_test.h"
#include "random_codes.h"
#include "tests/sanitizers.h"

namespace atom::kernels {
namespace {

using quant::CodeMatrix;

struct Shape3 {
  int64_t m, n, k, group;
};

class CodeLinear : public ::testing::TestWithParam<std::tuple<BackendCase, CodeFormat>> {};

std::vector<float> Multiply(Device& device, const PackedWeight& weight, const Shape3& shape,
                            const std::vector<float>& x, OutputMode mode) {
  const auto input = device->MakeActivation({}, shape.k, shape.m);
  Canvas rows(device, shape.m, shape.k, x);
  device->ReorderQuantize(rows.Tensor(), nullptr, *input);
  Canvas y(device, shape.m, shape.n,
           std::vector<float>(static_cast<size_t>(shape.m * shape.n), 0.25f));
  device->Linear(*input, weight, y.Tensor(), mode);
  return y.Values();
}

std::vector<Shape3> Shapes() {
  std::vector<Shape3> shapes = {{1, 96, 256, 32}, {3, 33, 100, 32}, {1, 5, 7, 3}, {2, 64, 130, 65},
                                {5, 70, 96, 96},  {17, 40, 64, 16}, {1, 1, 1, 1}};
  if (!tests::kSanitized) {
    shapes.push_back({1, 300, 1160, 128});
    shapes.push_back({30, 200, 1100, 44});
  }
  return shapes;
}

TEST_P(CodeLinear, HasTheBitsOfDenseValues) {
  const auto& [which, format] = GetParam();
  Device device(which);
  Device reference({"reference", ""});
  for (const Shape3& s : Shapes()) {
    SCOPED_TRACE(fmt::format("{} x {} x {}, groups of {}", s.m, s.n, s.k, s.group));
    const CodeMatrix codes = RandomCodes(format, s.n, s.k, s.group, 5);
    Rng rng(9);
    const std::vector<float> x = RandomNormal(rng, s.m * s.k);
    const std::vector<float> bias = RandomNormal(rng, s.n);
    const Buffer values = codes.Dequantize();
    const TensorView dense{codes.value, {s.n, s.k}, values.data()};
    const auto mode = s.m % 2 == 0 ? OutputMode::kAdd : OutputMode::kOverwrite;
    const auto found = Multiply(device, *device->PrepackCodes(codes, bias), s, x, mode);
    EXPECT_EQ(found, Multiply(device, *device->PrepackDense(dense, bias), s, x, mode));
    EXPECT_EQ(found, Multiply(reference, *reference->PrepackDense(dense, bias), s, x, mode));
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, CodeLinear,
                         ::testing::Combine(::testing::ValuesIn(BackendsUnderTest()),
                                            ::testing::ValuesIn(CodeFormats())),
                         [](const auto& instance) {
                           return CaseName(std::get<0>(instance.param)) + "_" +
                                  std::get<1>(instance.param).name;
                         });

}  // namespace
}  // namespace atom::kernels
