// Mixtures of experts beside the reference: choices, weights and products of integers are its bit
// for bit, given the same input; no row depends on who else is there, nor on graphs.
#include <bit>
#include <numeric>

#include "atom/kernels/cuda/backend/cuda_routing.h"
#include "atom/kernels/cuda/gemm/gemm_choice.h"
#include "atom/kernels/cuda/moe/moe_ops.h"

#include "tests/kernels/cuda/preset_linear.h"

namespace atom::kernels::cuda {
namespace {

constexpr const char* kDensePreset = "none";  // weights and activations of 16 bits

/// How rows choose.
enum class Crowd {
  kAnywhere,
  kTies,           ///< logits of few different values
  kOneForAll,      ///< each row has expert 1 among its own
  kFirstIsUnused,  ///< nobody chooses expert 0
};

/// The experts of one linear, or of several side by side, on one backend.
struct Experts {
  std::vector<std::unique_ptr<PackedWeight>> owned;
  std::vector<const PackedWeight*> all;  ///< [experts][readers]

  void Add(std::unique_ptr<PackedWeight> weight) {
    all.push_back(weight.get());
    owned.push_back(std::move(weight));
  }
};

class MixtureTest : public CudaBackendTest {
 protected:
  std::vector<float> Logits(int64_t rows, const RouterShape& shape, Crowd crowd) {
    std::vector<float> logits = Random(rows * shape.experts, 3.0f);
    for (size_t i = 0; i < logits.size(); ++i) {
      const auto expert = static_cast<int64_t>(i) % shape.experts;
      if (crowd == Crowd::kTies) logits[i] = std::round(logits[i] / 2);
      if (crowd == Crowd::kOneForAll && expert == 1) logits[i] += 1000.0f;
      if (crowd == Crowd::kFirstIsUnused && expert == 0) logits[i] = -INFINITY;
    }
    return logits;
  }

  /// Weights of every expert, equal on all sides: `readers` of n outputs each.
  std::vector<QuantizedMatrix> Weights(const PresetLinear& linear, const std::vector<int64_t>& n,
                                       int64_t experts) {
    std::vector<QuantizedMatrix> weights;
    for (int64_t expert = 0; expert < experts; ++expert) {
      for (const int64_t outputs : n) {
        weights.push_back(WeightOf(
            linear, outputs, [&](auto... a) { return RandomTwoLevelWeight(a...); },
            [&](auto... a) { return RandomWeight(a...); }));
      }
    }
    return weights;
  }
  Experts Pack(Side& side, const std::vector<QuantizedMatrix>& weights) {
    Experts experts;
    for (const QuantizedMatrix& weight : weights) experts.Add(side->Prepack(weight, {}));
    return experts;
  }
  Experts PackDense(Side& side, const std::vector<std::vector<float>>& weights, int64_t k) {
    Experts experts;
    for (const std::vector<float>& weight : weights) {
      experts.Add(side->PrepackDense({DType::kF32,
                                      {std::ssize(weight) / k, k},
                                      reinterpret_cast<const std::byte*>(weight.data())},
                                     {}));
    }
    return experts;
  }

  std::unique_ptr<ExpertRouting> Routed(Side& side, const std::vector<float>& logits,
                                        const RouterShape& shape, int64_t capacity) {
    auto routing = side->MakeRouting(shape, capacity);
    side->Route(side.Tensor(logits, std::ssize(logits) / shape.experts), shape, *routing);
    return routing;
  }
  /// y of a grouped product of rows x, with marks around it.
  std::vector<float> Multiply(Side& side, const quant::ActivationFormat& format,
                              const std::vector<float>& x, int64_t k, const ExpertRouting& routing,
                              const Experts& experts, int64_t n) {
    const int64_t rows = std::ssize(x) / k, pairs = routing.pairs();
    const auto activation = side->MakeActivation(format, k, rows + 3);
    side->ReorderQuantize(side.Tensor(x, rows), nullptr, *activation);
    const DeviceTensor y =
        side.Tensor(std::vector<float>(static_cast<size_t>((pairs + 1) * (n + 7)), 77.0f), 1);
    side->GroupedLinear(*activation, routing, experts.all, {y.data, pairs, n, n + 7, DType::kF32});
    const std::vector<float> all = side.Get(y);
    std::vector<float> values;
    for (size_t i = 0; i < all.size(); ++i) {
      const auto row = static_cast<int64_t>(i) / (n + 7),
                 column = static_cast<int64_t>(i) % (n + 7);
      if (row < pairs && column < n) {
        values.push_back(all[i]);
      } else {
        EXPECT_EQ(all[i], 77.0f) << row << ", " << column;
      }
    }
    return values;
  }
};

TEST_F(MixtureTest, ChoicesAndWeightsAreTheReferencesBitForBit) {
  for (const int64_t experts : {2, 3, 8, 33, 60, 64, 128, 256}) {
    for (const int64_t top_k : {1, 2, 3, 4, 6, 8}) {
      if (top_k > experts) continue;
      for (const Crowd crowd :
           {Crowd::kAnywhere, Crowd::kTies, Crowd::kOneForAll, Crowd::kFirstIsUnused}) {
        const RouterShape shape = {experts, top_k, Below(2) == 0};
        const int64_t rows = 1 + Below(150);
        SCOPED_TRACE(fmt::format("{} of {} experts, {} rows", top_k, experts, rows));
        const std::vector<float> logits = Logits(rows, shape, crowd);
        const auto expected = reference()->Unpack(*Routed(reference(), logits, shape, rows));
        const auto found = cuda()->Unpack(*Routed(cuda(), logits, shape, rows + 5));
        ASSERT_EQ(found.experts, expected.experts);
        ASSERT_EQ(found.weights, expected.weights);
      }
    }
  }
}

TEST_F(MixtureTest, ALogitThatIsNoNumberIsTheLastToBeChosen) {
  const RouterShape shape = {40, 3, true};
  std::vector<float> logits = Logits(4, shape, Crowd::kAnywhere);
  for (int i = 0; i < 40; i += 2) logits[static_cast<size_t>(i)] = NAN;
  std::fill_n(logits.begin() + 40, 40, -INFINITY);
  std::fill_n(logits.begin() + 80, 38, NAN);
  const auto expected = reference()->Unpack(*Routed(reference(), logits, shape, 4));
  const auto found = cuda()->Unpack(*Routed(cuda(), logits, shape, 4));
  EXPECT_EQ(found.experts, expected.experts);
  for (size_t i = 0; i < found.weights.size(); ++i) {
    EXPECT_TRUE(found.weights[i] == expected.weights[i] ||
                (std::isnan(found.weights[i]) && std::isnan(expected.weights[i])))
        << i;
  }
}

TEST_F(MixtureTest, EveryPairGetsASlotOfItsExpert) {
  for (const int experts : {1, 2, 8, 77, 256}) {
    for (const int pairs : {1, 7, 130, 4099, 70001}) {
      std::vector<uint8_t> chosen(static_cast<size_t>((pairs + 3) / 4 * 4), 0);
      for (int i = 0; i < pairs; ++i) {
        chosen[static_cast<size_t>(i)] =
            static_cast<uint8_t>(Below(4) == 0 ? experts - 1 : Below(experts));
      }
      const DeviceArray<uint8_t> device_chosen(chosen);
      GroupCall call;
      call.chosen = device_chosen.data();
      call.pairs = pairs;
      call.experts = experts;
      call.slots = static_cast<int>(SlotsOf(pairs, experts));
      const DeviceArray<ExpertRows> rows(static_cast<size_t>(experts));
      const DeviceArray<int32_t> slots(
          std::vector<int32_t>(static_cast<size_t>(call.slots) + 1, 77));
      call.expert_rows = rows.data();
      call.slot_pairs = slots.data();
      const Status status = LaunchGroup(call, stream().get());
      ASSERT_TRUE(status.ok()) << status.error().message;
      std::vector<int32_t> expected;
      const std::vector<ExpertRows> found_rows = rows.Download();
      for (int expert = 0; expert < experts; ++expert) {
        const size_t first = expected.size();
        for (int i = 0; i < pairs; ++i) {
          if (chosen[static_cast<size_t>(i)] == expert) expected.push_back(i);
        }
        EXPECT_EQ(found_rows[static_cast<size_t>(expert)].first, static_cast<int>(first));
        EXPECT_EQ(found_rows[static_cast<size_t>(expert)].count,
                  static_cast<int>(expected.size() - first));
        expected.resize((expected.size() + 7) / 8 * 8, -1);
      }
      expected.resize(static_cast<size_t>(call.slots), -1);
      expected.push_back(77);
      EXPECT_EQ(slots.Download(), expected) << experts << " experts, " << pairs << " pairs";
    }
  }
}

TEST_F(MixtureTest, OneLaunchOfFewRowsLeavesWhatTwoLeave) {
  for (const int experts : {1, 2, 8, 77, 128, 256}) {
    for (const int top_k : {1, 2, 3, 8}) {
      for (int rows = 1; rows <= kFewRows && top_k <= experts; ++rows) {
        SCOPED_TRACE(fmt::format("{} of {} experts, {} rows", top_k, experts, rows));
        const auto crowd = static_cast<Crowd>(Below(experts > top_k ? 4 : 2));
        const DeviceArray<float> logits(Logits(rows, {experts, top_k, true}, crowd));
        const int pairs = rows * top_k, slots = static_cast<int>(SlotsOf(pairs, experts));
        const auto run = [&](const auto& launch) {
          const DeviceArray<uint8_t> chosen(static_cast<size_t>((pairs + 3) / 4 * 4 + 4));
          const DeviceArray<float> weights(static_cast<size_t>(pairs) + 1);
          const DeviceArray<ExpertRows> expert_rows(static_cast<size_t>(experts) + 1);
          const DeviceArray<int32_t> slot_pairs(
              std::vector<int32_t>(static_cast<size_t>(slots) + 1, 77));
          const RouteCall route = {.logits = logits.data(),
                                   .stride = experts,
                                   .rows = rows,
                                   .experts = experts,
                                   .top_k = top_k,
                                   .renormalize = true,
                                   .chosen = chosen.data(),
                                   .weights = weights.data()};
          launch(route, GroupCall{chosen.data(), pairs, experts, expert_rows.data(),
                                  slot_pairs.data(), slots});
          std::vector<int64_t> left;
          for (const uint8_t expert : chosen.Download()) left.push_back(expert);
          for (const float w : weights.Download()) left.push_back(std::bit_cast<int32_t>(w));
          for (const ExpertRows& r : expert_rows.Download()) {
            left.insert(left.end(), {r.first, r.count});
          }
          for (const int32_t pair : slot_pairs.Download()) left.push_back(pair);
          return left;
        };
        const auto one = run([&](const RouteCall& route, const GroupCall& group) {
          ASSERT_TRUE(RoutesFew(route));
          ASSERT_TRUE(LaunchRouteAndGroup(route, group, stream().get()).ok());
        });
        const auto two = run([&](const RouteCall& route, const GroupCall& group) {
          ASSERT_TRUE(LaunchRoute(route, stream().get()).ok());
          ASSERT_TRUE(LaunchGroup(group, stream().get()).ok());
        });
        EXPECT_EQ(one, two);
      }
    }
  }
}

TEST_F(MixtureTest, ProductsOfIntegersAreTheReferencesBitForBit) {
  for (const PresetLinear& linear :
       {PresetLinear{"atom-best", 576}, PresetLinear{"atom-w4a8", 1152},
        PresetLinear{"atom-w4a4", 576}, PresetLinear{"rtn-w4a4", 640}, PresetLinear{"w4a8", 704},
        PresetLinear{"w4a8-plain", 256}, PresetLinear{"w8a8", 320}}) {
    for (const auto& [experts, top_k] : {std::pair<int64_t, int64_t>{2, 1}, {5, 2}, {9, 8}}) {
      const RouterShape shape = {experts, top_k, true};
      const std::vector<QuantizedMatrix> weights = Weights(linear, {72, 40}, experts);
      for (const int64_t rows : {1, 6, 37}) {
        SCOPED_TRACE(
            fmt::format("{}: {} of {} experts, {} rows", linear.preset, top_k, experts, rows));
        const auto crowd = static_cast<Crowd>(Below(experts > top_k ? 4 : 3));
        const std::vector<float> logits = Logits(rows, shape, crowd);
        for (const int64_t inputs : {rows, rows * top_k}) {
          const std::vector<float> x = Random(inputs * linear.k, 2.0f);
          std::vector<float> y[2];
          for (Side* side : {&reference(), &cuda()}) {
            const auto routing = Routed(*side, logits, shape, rows + 2);
            const Experts packed = Pack(*side, weights);
            y[side == &cuda()] =
                Multiply(*side, linear.input(), x, linear.k, *routing, packed, 72 + 40);
          }
          ASSERT_EQ(y[1], y[0]) << inputs << " rows of input";
        }
      }
    }
  }
}

// What a list of experts was found to be holds until weights are made: a new one may lie where an
// old one lay.
TEST_F(MixtureTest, AnExpertMadeAnewIsNotTakenForTheOneBefore) {
  const PresetLinear linear = {"atom-best", 576};
  const RouterShape shape = {6, 3, true};
  const int64_t rows = 9;
  const std::vector<float> logits = Logits(rows, shape, Crowd::kAnywhere);
  const std::vector<float> x = Random(rows * linear.k);
  const std::vector<QuantizedMatrix> first = Weights(linear, {72}, shape.experts);
  const std::vector<QuantizedMatrix> later = Weights(linear, {72}, shape.experts);
  std::vector<float> y[2];
  for (Side* side : {&reference(), &cuda()}) {
    const auto routing = Routed(*side, logits, shape, rows);
    Experts packed = Pack(*side, first);
    const auto multiply = [&] {
      const auto values = Multiply(*side, linear.input(), x, linear.k, *routing, packed, 72);
      y[side == &cuda()].insert(y[side == &cuda()].end(), values.begin(), values.end());
    };
    multiply();
    multiply();
    for (size_t e = 1; e < packed.owned.size(); ++e) {
      packed.owned[e].reset();
      packed.owned[e] = (*side)->Prepack(later[e], {});
      packed.all[e] = packed.owned[e].get();
    }
    multiply();
    std::swap(packed.all[1], packed.all[2]);
    multiply();
  }
  EXPECT_EQ(y[1], y[0]);
}

TEST_F(MixtureTest, ProductsOfSixteenBitsAreNearTheReferences) {
  const RouterShape shape = {6, 2, true};
  const int64_t rows = 41;
  const std::vector<float> logits = Logits(rows, shape, Crowd::kAnywhere);
  for (const PresetLinear& linear :
       {PresetLinear{"w4a16", 576}, PresetLinear{"w4a16-plain", 640}, {kDensePreset, 200}}) {
    SCOPED_TRACE(linear.preset);
    const bool dense = linear.preset == kDensePreset;
    std::vector<QuantizedMatrix> weights;
    std::vector<std::vector<float>> values;
    if (!dense) weights = Weights(linear, {136}, shape.experts);
    for (int64_t i = 0; dense && i < shape.experts; ++i) values.push_back(Random(136 * linear.k));
    const std::vector<float> x = Random(rows * linear.k);
    std::vector<float> y[2];
    for (Side* side : {&reference(), &cuda()}) {
      const auto routing = Routed(*side, logits, shape, rows);
      const Experts packed = dense ? PackDense(*side, values, linear.k) : Pack(*side, weights);
      const quant::ActivationFormat format = dense ? quant::ActivationFormat{} : linear.input();
      y[side == &cuda()] = Multiply(*side, format, x, linear.k, *routing, packed, 136);
    }
    EXPECT_LT(RelativeError(y[1], y[0]), 0x1p-7);
  }
}

TEST_F(MixtureTest, CombiningIsTheReferencesBitForBit) {
  for (const int64_t top_k : {1, 2, 5, 8}) {
    const RouterShape shape = {8, top_k, top_k % 2 == 0};
    const int64_t rows = 1 + Below(40), cols = 1 + Below(700);
    const std::vector<float> logits = Logits(rows, shape, Crowd::kAnywhere);
    const std::vector<float> x = Random(rows * top_k * cols), old = Random(rows * cols);
    for (const OutputMode mode : {OutputMode::kAdd, OutputMode::kOverwrite}) {
      std::vector<float> y[2];
      for (Side* side : {&reference(), &cuda()}) {
        const auto routing = Routed(*side, logits, shape, rows);
        const DeviceTensor out = side->Tensor(old, rows);
        (*side)->Combine(side->Tensor(x, rows * top_k), *routing, out, mode);
        y[side == &cuda()] = side->Get(out);
      }
      EXPECT_EQ(y[1], y[0]) << rows << " x " << cols << ", " << top_k;
    }
  }
}

/// A whole mixture on the CUDA backend, its memory kept from call to call.
class CudaMixture {
 public:
  static constexpr int64_t kHidden = 576, kInner = 640;

  CudaMixture(Side& side, const PresetLinear& up, const PresetLinear& down,
              const RouterShape& shape, Experts gate_up, Experts downs, int64_t capacity)
      : side_(side),
        shape_(shape),
        gate_up_(std::move(gate_up)),
        down_(std::move(downs)),
        routing_(side->MakeRouting(shape, capacity)),
        x_(side->MakeActivation(up.input(), kHidden, capacity)),
        activated_(side->MakeActivation(down.input(), kInner, capacity * shape.top_k)),
        logits_(side.Tensor(Zeros(capacity * shape.experts), capacity)),
        hidden_(side.Tensor(Zeros(capacity * kHidden), capacity)),
        out_(side.Tensor(Zeros(capacity * kHidden), capacity)),
        inner_(side.Tensor(Zeros(capacity * shape.top_k * 2 * kInner), capacity * shape.top_k)),
        pairs_(side.Tensor(Zeros(capacity * shape.top_k * kHidden), capacity * shape.top_k)) {}

  /// `times` times one behind the other, so that there are ops enough for a graph.
  std::vector<float> Run(const std::vector<float>& logits, const std::vector<float>& hidden,
                         int times) {
    const int64_t rows = std::ssize(hidden) / kHidden;
    Upload(logits, logits_);
    Upload(hidden, hidden_);
    Upload(Zeros(rows * kHidden), out_);
    for (int i = 0; i < times; ++i) {
      side_->Route(First(logits_, rows), shape_, *routing_);
      side_->ReorderQuantize(First(hidden_, rows), nullptr, *x_);
      side_->GroupedLinear(*x_, *routing_, gate_up_.all, First(inner_, rows * shape_.top_k));
      side_->ActivationQuantize(First(inner_, rows * shape_.top_k), ActivationFunction::kSilu, true,
                                *activated_);
      side_->GroupedLinear(*activated_, *routing_, down_.all, First(pairs_, rows * shape_.top_k));
      side_->Combine(First(pairs_, rows * shape_.top_k), *routing_, First(out_, rows),
                     OutputMode::kAdd);
    }
    return side_.Get(First(out_, rows));
  }

 private:
  static std::vector<float> Zeros(int64_t count) {
    return std::vector<float>(static_cast<size_t>(count), 0.0f);
  }
  static DeviceTensor First(DeviceTensor tensor, int64_t rows) {
    tensor.rows = rows;
    return tensor;
  }
  void Upload(const std::vector<float>& values, const DeviceTensor& to) {
    side_->Upload(std::as_bytes(std::span(values)), to.data);
  }

  Side& side_;
  RouterShape shape_;
  Experts gate_up_, down_;
  std::unique_ptr<ExpertRouting> routing_;
  std::unique_ptr<PackedActivation> x_, activated_;
  DeviceTensor logits_, hidden_, out_, inner_, pairs_;
};

TEST_F(MixtureTest, ARowAloneIsTheRowAmongOthersAndInGraphs) {
  for (const std::string_view preset : {"atom-best", "atom-w4a8", "atom-w4a4", "w4a8", "w4a16",
                                        "w8a8", "w4a8-plain", "w4a16-plain", kDensePreset}) {
    SCOPED_TRACE(preset);
    const RouterShape shape = {12, 3, true};
    const PresetLinear up = {preset, CudaMixture::kHidden}, down = {preset, CudaMixture::kInner};
    const int64_t capacity = 700;
    const bool dense = preset == kDensePreset;
    Experts packed[2];
    if (dense) {
      std::vector<std::vector<float>> gate_up, downs;
      for (int64_t i = 0; i < shape.experts; ++i) {
        for (int r = 0; r < 2; ++r) gate_up.push_back(Random(up.k * down.k, 0.1f));
        downs.push_back(Random(up.k * down.k, 0.1f));
      }
      packed[0] = PackDense(cuda(), gate_up, up.k);
      packed[1] = PackDense(cuda(), downs, down.k);
    } else {
      packed[0] = Pack(cuda(), Weights(up, {down.k, down.k}, shape.experts));
      packed[1] = Pack(cuda(), Weights(down, {up.k}, shape.experts));
    }
    CudaMixture mixture(cuda(), up, down, shape, std::move(packed[0]), std::move(packed[1]),
                        capacity);
    const std::vector<float> logits = Logits(capacity, shape, Crowd::kAnywhere);
    const std::vector<float> hidden = Random(capacity * up.k);
    const std::vector<float> all = mixture.Run(logits, hidden, 2);
    const auto rows_of = [](const std::vector<float>& values, int64_t first, int64_t count,
                            int64_t cols) {
      const auto begin = values.begin() + first * cols;
      return std::vector<float>(begin, begin + count * cols);
    };
    // The third step of as many rows is a graph.
    for (const int64_t count : {1, 1, 1, 2, 2, 2, 8, 8, 8, 100}) {
      const int64_t first = Below(static_cast<int>(capacity - count));
      const auto few = mixture.Run(rows_of(logits, first, count, shape.experts),
                                   rows_of(hidden, first, count, up.k), 2);
      ASSERT_EQ(few, rows_of(all, first, count, up.k)) << count << " rows from " << first;
    }
    for (const float value : all) ASSERT_TRUE(std::isfinite(value));
  }
}

TEST(MixturePlan, SlotsAreEnoughForAnyRouting) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    const auto experts = static_cast<int64_t>(1 + random() % 40);
    std::vector<int64_t> counts(static_cast<size_t>(experts), 0);
    const auto pairs = static_cast<int64_t>(random() % 300);
    for (int64_t i = 0; i < pairs; ++i) ++counts[random() % (1 + random() % counts.size())];
    int64_t slots = 0;
    for (const int64_t count : counts) slots += (count + 7) / 8 * 8;
    EXPECT_LE(slots, SlotsOf(pairs, experts));
    EXPECT_EQ(SlotsOf(pairs, experts) % 8, 0);
  }
  EXPECT_EQ(SlotsOf(1, 128), 8);
  EXPECT_EQ(SlotsOf(8, 8), 64);
}

TEST(MixturePlan, TheLargestInputOfAGroupedProductIsPlannedFor) {
  const PresetLinear up = {"atom-w4a4", 4096}, down = {"atom-w4a4", 14336};
  StepPlan plan;
  plan.batch.rows = 250;  // padded to 256
  plan.linears = {{.input = up.input(), .k = up.k, .n = 6144, .weight_group = 128}};
  EXPECT_EQ(GatheredBytes(plan), 0);
  const RouterShape router = {.experts = 8, .top_k = 2, .renormalize = true};
  for (const PresetLinear& linear : {up, down}) {
    plan.linears.push_back(
        {.input = linear.input(), .k = linear.k, .n = 4096, .weight_group = 128, .router = router});
  }
  const int64_t slots = SlotsOf(512, 8);
  EXPECT_EQ(slots, 568);
  const GatheredRows places(down.input(), down.k, slots);
  EXPECT_EQ(GatheredBytes(plan), places.bytes);
  EXPECT_GE(places.tokens, slots * down.k);
  EXPECT_GE(places.group_scales - places.tokens, slots * 16);
}

// A step of few rows reads few experts; of many, tiles are full.
TEST(MixturePlan, GroupedProductsOfAnyRowsHaveAKernel) {
  for (const GemmRecipe recipe : {GemmRecipe::kInteger, GemmRecipe::kGroup, GemmRecipe::kInt8,
                                  GemmRecipe::kW4A16, GemmRecipe::kDense}) {
    for (const int64_t rows : {1, 16, 512, 8192}) {
      for (const int64_t group : {32, 64, 128, 256}) {
        const bool narrow = group < 128 && recipe != GemmRecipe::kInteger &&
                            !(recipe == GemmRecipe::kW4A16 && group == 64);
        const bool wide = group == 256 && recipe == GemmRecipe::kW4A16;
        GemmDesc desc;
        desc.recipe = recipe;
        desc.m = SlotsOf(rows * 8, 128);
        desc.n = {768, 768, 0};
        desc.k8 = 128;
        desc.k4 = 2048 - desc.k8;
        desc.group = group;
        if (group == 256) desc.k4 = 2048;
        if (recipe == GemmRecipe::kInt8 || recipe == GemmRecipe::kDense) {
          desc.k8 = 2048;
          desc.k4 = desc.group = 0;
        } else if (narrow || wide) {
          continue;
        }
        desc.output = GemmOutput::kFloat;
        desc.experts = 128;
        EXPECT_EQ(WhyNotChosen(desc), "") << Name(recipe) << ", groups of " << group;
        EXPECT_FALSE(ToString(ChooseGemm(desc, {})).empty());
      }
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cuda
