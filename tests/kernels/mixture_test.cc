// Mixtures of experts on every backend: which experts a row chooses, against a sort of all of them;
// grouped products, which must be those of each expert alone, bit for bit; their weighted sum.
#include <cmath>
#include <limits>
#include <numeric>

#include "linear_operands.h"
#include "tests/sanitizers.h"

namespace atom::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<RouterShape> RouterShapes() {
  std::vector<RouterShape> shapes;
  for (const auto& [experts, top_k] : {std::pair<int64_t, int64_t>{1, 1},
                                       {2, 1},
                                       {3, 3},
                                       {8, 2},
                                       {17, 5},
                                       {60, 4},
                                       {128, 8},
                                       {256, 8}}) {
    shapes.push_back({experts, top_k, true});
    shapes.push_back({experts, top_k, false});
  }
  return shapes;
}

/// Rows that are random, have many equal logits, or NaNs.
std::vector<float> RandomLogits(Rng& rng, int64_t rows, int64_t experts) {
  std::vector<float> logits = RandomNormal(rng, rows * experts, 2.0);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t e = 0; e < experts; ++e) {
      float& z = logits[static_cast<size_t>(row * experts + e)];
      if (row % 3 == 1) z = std::round(z);
      if (row % 5 == 4 && rng.Below(3) == 0) z = row % 2 == 0 ? kNan : -kInfinity;
    }
  }
  return logits;
}

/// All experts of a row, the likeliest first.
std::vector<int32_t> Ranking(const float* logits, int64_t experts) {
  std::vector<int32_t> order(static_cast<size_t>(experts));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int32_t a, int32_t b) {
    const auto key = [&](int32_t e) { return std::isnan(logits[e]) ? -kInfinity : logits[e]; };
    return key(a) > key(b);
  });
  return order;
}

class MixtureTest : public testing::TestWithParam<BackendCase> {};

UnpackedRouting Route(Device& device, const RouterShape& shape, int64_t rows,
                      const std::vector<float>& logits) {
  const auto routing = device->MakeRouting(shape, rows + 2);
  Canvas z(device, rows, shape.experts, logits);
  device->Route(z.Tensor(), shape, *routing);
  device->Sync();
  return device->Unpack(*routing);
}

void CheckRow(const RouterShape& shape, const float* logits, const int32_t* experts,
              const float* weights) {
  std::vector<int32_t> expected = Ranking(logits, shape.experts);
  const double max = logits[expected[0]];
  std::ranges::sort(expected.begin(), expected.begin() + shape.top_k);
  double sum = 0.0;
  for (int64_t i = 0; i < (shape.renormalize ? shape.top_k : shape.experts); ++i) {
    sum += std::exp(logits[expected[static_cast<size_t>(i)]] - max);
  }
  for (int64_t j = 0; j < shape.top_k; ++j) {
    const int32_t expert = expected[static_cast<size_t>(j)];
    ASSERT_EQ(experts[j], expert) << "choice " << j;
    const double weight = std::exp(double{logits[expert]} - max) / sum;
    if (std::isnan(weight)) {
      ASSERT_TRUE(std::isnan(weights[j]));
    } else {  // exp: 4u each, and the difference in it; the quotient is rounded once
      const double distance = std::min(max - logits[expert], 200.0);
      ASSERT_NEAR(double{weights[j]}, weight, (10.0 + distance) * kUnitRoundoff * weight)
          << "choice " << j;
    }
  }
}

TEST_P(MixtureTest, RowsChooseTheLikeliestExperts) {
  Device device(GetParam());
  Device reference({"reference", ""});
  Rng rng(5);
  for (const RouterShape& shape : RouterShapes()) {
    for (const int64_t rows : {1, 2, 33}) {
      SCOPED_TRACE(testing::Message() << shape.top_k << " of " << shape.experts << ", " << rows);
      const std::vector<float> logits = RandomLogits(rng, rows, shape.experts);
      const UnpackedRouting chosen = Route(device, shape, rows, logits);
      ASSERT_EQ(std::ssize(chosen.experts), rows * shape.top_k);
      for (int64_t row = 0; row < rows; ++row) {
        CheckRow(shape, &logits[static_cast<size_t>(row * shape.experts)],
                 &chosen.experts[static_cast<size_t>(row * shape.top_k)],
                 &chosen.weights[static_cast<size_t>(row * shape.top_k)]);
        if (HasFatalFailure()) return;
      }
      const UnpackedRouting same = Route(reference, shape, rows, logits);
      ASSERT_EQ(chosen.experts, same.experts);
      ASSERT_TRUE(SameBits(chosen.weights, same.weights));
    }
  }
}

TEST_P(MixtureTest, ARowOfNaNsGivesNaNs) {
  Device device(GetParam());
  const UnpackedRouting chosen = Route(device, {4, 2, true}, 1, {kNan, kNan, kNan, kNan});
  EXPECT_EQ(chosen.experts, (std::vector<int32_t>{0, 1}));
  EXPECT_TRUE(std::isnan(chosen.weights[0]) && std::isnan(chosen.weights[1]));
}

TEST_P(MixtureTest, CombineAddsTheExpertsInOrder) {
  Device device(GetParam());
  Rng rng(6);
  for (const RouterShape& shape : {RouterShape{8, 2, true}, {5, 1, false}, {9, 4, false}}) {
    for (const int64_t cols : {1, 16, 37, 130}) {
      const int64_t rows = 5;
      const auto routing = device->MakeRouting(shape, rows);
      Canvas z(device, rows, shape.experts, RandomLogits(rng, rows, shape.experts));
      device->Route(z.Tensor(), shape, *routing);
      device->Sync();
      const UnpackedRouting chosen = device->Unpack(*routing);
      const std::vector<float> x = RandomNormal(rng, rows * shape.top_k * cols);
      const std::vector<float> residual = RandomNormal(rng, rows * cols, 10.0);
      Canvas in(device, rows * shape.top_k, cols, x);
      Canvas fresh(device, rows, cols), added(device, rows, cols, residual);
      device->Combine(in.Tensor(), *routing, fresh.Tensor(), OutputMode::kOverwrite);
      device->Combine(in.Tensor(), *routing, added.Tensor(), OutputMode::kAdd);
      const std::vector<float> y = fresh.Values(), sum = added.Values();
      for (int64_t i = 0; i < rows * cols; ++i) {
        float acc = 0.0f;
        for (int64_t j = 0; j < shape.top_k; ++j) {
          const int64_t pair = i / cols * shape.top_k + j;
          acc = std::fma(chosen.weights[static_cast<size_t>(pair)],
                         x[static_cast<size_t>(pair * cols + i % cols)], acc);
        }
        const auto at = static_cast<size_t>(i);
        ASSERT_TRUE(y[at] == acc || std::isnan(acc)) << i;
        ASSERT_TRUE(sum[at] == residual[at] + acc || std::isnan(acc)) << i;
      }
    }
  }
}

class GroupedLinearTest : public testing::TestWithParam<std::tuple<BackendCase, LinearFormat>> {
 protected:
  const BackendCase& backend() const { return std::get<0>(GetParam()); }
  const LinearFormat& format() const { return std::get<1>(GetParam()); }
};

constexpr RouterShape kRouter = {6, 2, true};
constexpr int64_t kWidths[] = {70, 33};  // of two linears side by side

/// Experts with `readers` linears each; the first expert's `rows` rows are the input.
struct Experts {
  Experts(Device& device, const LinearFormat& format, const KShape& shape, int64_t rows,
          int64_t readers)
      : input(RandomOperands(format, shape, rows, 1, false)) {
    for (int64_t i = 0; i < kRouter.experts * readers; ++i) {
      Operands o = RandomOperands(format, shape, 1 + i, kWidths[i % readers], i % readers == 0);
      weights.push_back(PackWeight(device, o));
      pointers.push_back(weights.back().get());
    }
    for (int64_t r = 0; r < readers; ++r) columns += kWidths[r];
  }
  std::span<const PackedWeight* const> Of(int32_t expert) const {
    const size_t readers = pointers.size() / static_cast<size_t>(kRouter.experts);
    return std::span(pointers).subspan(static_cast<size_t>(expert) * readers, readers);
  }

  Operands input;
  std::vector<std::unique_ptr<PackedWeight>> weights;
  std::vector<const PackedWeight*> pointers;
  int64_t columns = 0;
};

/// Routing of rows [first, first + count).
std::unique_ptr<ExpertRouting> RouteRows(Device& device, const std::vector<float>& logits,
                                         int64_t first, int64_t count) {
  auto routing = device->MakeRouting(kRouter, count);
  const auto begin = logits.begin() + first * kRouter.experts;
  Canvas z(device, count, kRouter.experts, {begin, begin + count * kRouter.experts});
  device->Route(z.Tensor(), kRouter, *routing);
  device->Sync();
  return routing;
}

/// Logits of rows that mostly like experts 1 and 2, and never 5.
std::vector<float> LopsidedLogits(Rng& rng, int64_t rows) {
  std::vector<float> logits = RandomNormal(rng, rows * kRouter.experts);
  for (int64_t row = 0; row < rows; ++row) {
    float* z = &logits[static_cast<size_t>(row * kRouter.experts)];
    z[1] += 2.0f;
    z[2] += 1.0f;
    z[5] = -9.0f;
  }
  return logits;
}

TEST_P(GroupedLinearTest, IsEachExpertAlone) {
  Device device(backend());
  Rng rng(11);
  const std::vector<int64_t> sizes =
      tests::kSanitized ? std::vector<int64_t>{1, 9} : std::vector<int64_t>{1, 3, 70};
  for (const KShape& shape : format().shapes) {
    for (const int64_t rows : sizes) {
      if (rows == sizes.back() && &shape != &format().shapes.front()) continue;
      for (const bool of_pairs : {false, true}) {
        SCOPED_TRACE(testing::Message() << "M " << rows << ", K4 " << shape.k4 << ", K8 "
                                        << shape.k8 << (of_pairs ? ", a row a pair" : ""));
        const int64_t inputs = of_pairs ? rows * kRouter.top_k : rows;
        const Experts experts(device, format(), shape, inputs, of_pairs ? 1 : 2);
        const auto routing = RouteRows(device, LopsidedLogits(rng, rows), 0, rows);
        const UnpackedRouting chosen = device->Unpack(*routing);
        const auto x = Quantize(device, experts.input, 0, inputs);
        Canvas y(device, rows * kRouter.top_k, experts.columns);
        device->GroupedLinear(*x, *routing, experts.pointers, y.Tensor());
        const std::vector<float> grouped = y.Values();
        for (int64_t pair = 0; pair < rows * kRouter.top_k; ++pair) {
          const int64_t row = of_pairs ? pair : pair / kRouter.top_k;
          Canvas alone(device, 1, experts.columns);
          device->Linear(*Quantize(device, experts.input, row, 1),
                         experts.Of(chosen.experts[static_cast<size_t>(pair)]), alone.Tensor(),
                         OutputMode::kOverwrite);
          const auto begin = grouped.begin() + pair * experts.columns;
          ASSERT_TRUE(SameBits({begin, begin + experts.columns}, alone.Values())) << pair;
        }
      }
    }
  }
}

TEST_P(GroupedLinearTest, DoesNotDependOnThreadsOrRowsBeside) {
  constexpr int64_t kRows = 37;
  const KShape& shape = format().shapes[0];
  Rng rng(12);
  const std::vector<float> logits = LopsidedLogits(rng, kRows);
  std::vector<float> expected;
  for (const int threads : {1, 2, 5}) {
    Device device(backend(), threads);
    const Experts experts(device, format(), shape, kRows, 2);
    for (const std::vector<int64_t>& chunks :
         {std::vector<int64_t>{kRows}, {1, 4, 1, 31}, {20, 17}}) {
      Canvas y(device, kRows * kRouter.top_k, experts.columns);
      int64_t first = 0;
      for (const int64_t count : chunks) {
        const auto routing = RouteRows(device, logits, first, count);
        device->GroupedLinear(*Quantize(device, experts.input, first, count), *routing,
                              experts.pointers,
                              y.Rows(first * kRouter.top_k, count * kRouter.top_k));
        first += count;
      }
      const std::vector<float> values = y.Values();
      if (expected.empty()) expected = values;
      ASSERT_TRUE(SameBits(values, expected)) << threads << " threads";
    }
  }
}

std::string GroupedName(const testing::TestParamInfo<std::tuple<BackendCase, LinearFormat>>& info) {
  return CaseName(std::get<0>(info.param)) + "_" + std::get<1>(info.param).name;
}

INSTANTIATE_TEST_SUITE_P(Backends, MixtureTest, testing::ValuesIn(BackendsUnderTest()),
                         BackendCaseName);
INSTANTIATE_TEST_SUITE_P(Backends, GroupedLinearTest,
                         testing::Combine(testing::ValuesIn(BackendsUnderTest()),
                                          testing::ValuesIn(LinearFormats())),
                         GroupedName);

}  // namespace
}  // namespace atom::kernels
