// The CUDA backend against the reference backend, op by op, on the same inputs: integer parts
// equal, the rest within the bounds of docs/numerics.md, section 6.
#include "tests/kernels/cuda/cuda_backend_fixture.h"

namespace atom::kernels::cuda {
namespace {

using quant::ActivationFormat;

/// How far two quantizers may be apart: a code by one, where the value lies at a tie.
void ExpectSameCodes(const UnpackedActivation& found, const UnpackedActivation& expected) {
  ASSERT_EQ(found.codes.size(), expected.codes.size());
  ASSERT_EQ(found.scales.size(), expected.scales.size());
  ASSERT_EQ(found.outlier_scales.size(), expected.outlier_scales.size());
  int64_t different = 0;
  for (size_t i = 0; i < found.codes.size(); ++i) {
    ASSERT_LE(std::abs(found.codes[i] - expected.codes[i]), 1) << i;
    different += found.codes[i] != expected.codes[i];
  }
  EXPECT_LE(different, std::ssize(found.codes) / 500 + 1);
  for (size_t i = 0; i < found.scales.size(); ++i) {
    ASSERT_NEAR(ToFloat(found.scales[i]), ToFloat(expected.scales[i]),
                ToFloat(expected.scales[i]) * 0x1p-10f);
  }
}

struct LinearCase {
  const char* name;
  ActivationFormat format;
  int64_t k4, k8, group;
};

TEST_F(CudaBackendTest, LinearIsTheContractOnTheBackendsOwnCodes) {
  const ActivationFormat groups = {.bits = 4, .group = 128, .clip = 0.9f, .outlier_columns = 128};
  for (const LinearCase& c :
       {LinearCase{"w4a4", groups, 384, 128, 128}, LinearCase{"w4a8", {.bits = 8}, 512, 0, 128},
        LinearCase{"w4a8, outliers", {.bits = 8}, 384, 64, 128},
        LinearCase{"w8a8", {.bits = 8}, 0, 576, 0}}) {
    for (const int64_t m : {1, 17, 130}) {
      SCOPED_TRACE(fmt::format("{}, {} rows", c.name, m));
      const int64_t k = c.k4 + c.k8;
      const std::vector<float> x = Random(m * k, 2.0f), norm = Random(k);
      std::vector<int32_t> permutation(static_cast<size_t>(k));
      for (size_t i = 0; i < permutation.size(); ++i) permutation[i] = static_cast<int32_t>(i);
      std::shuffle(permutation.begin(), permutation.end(), random_);
      const std::vector<QuantizedMatrix> weights = {RandomWeight(192, c.k4, c.k8, c.group),
                                                    RandomWeight(70, c.k4, c.k8, c.group)};
      const std::vector<float> bias = Random(192), old = Random(m * 262);
      UnpackedActivation codes[2];
      std::vector<float> y;
      for (Side* side : {&reference(), &cuda()}) {
        const auto activation = (*side)->MakeActivation(c.format, k, m + 3);
        const DeviceBuffer& order = side->Put(permutation);
        (*side)->NormQuantize(side->Tensor(x, m), {.weight = &side->Put(norm)}, &order,
                              *activation);
        codes[side == &cuda()] = (*side)->Unpack(*activation);
        const auto first = (*side)->Prepack(weights[0], bias);
        const auto second = (*side)->Prepack(weights[1], {});
        EXPECT_EQ((*side)->Unpack(*first), weights[0]);
        const std::array<const PackedWeight*, 2> both = {first.get(), second.get()};
        const DeviceTensor out = side->Tensor(old, m);
        (*side)->Linear(*activation, both, out, OutputMode::kAdd);
        y = side->Get(out);
      }
      ExpectSameCodes(codes[1], codes[0]);
      const UnpackedActivation& a = codes[1];
      for (int64_t row = 0; row < m; ++row) {
        for (int64_t n = 0; n < 262; ++n) {
          const QuantizedMatrix& w = weights[n < 192 ? 0 : 1];
          const int64_t out = n < 192 ? n : n - 192;
          const int64_t scales = std::ssize(a.scales) / m;
          const auto at = static_cast<size_t>(row * 262 + n);
          double sum = 0, magnitude = 0;
          const auto add = [&](int64_t begin, int64_t end, float sa, float sw, bool low) {
            int64_t dot = 0;
            for (int64_t i = begin; i < end; ++i) {
              const int code =
                  low ? w.Code4(out, i) : w.codes8[static_cast<size_t>(out * w.k8 + i - w.k4)];
              dot += a.codes[static_cast<size_t>(row * k + i)] * code;
            }
            sum += static_cast<double>(dot) * sa * sw;
            magnitude += std::abs(static_cast<double>(dot) * sa * sw);
          };
          for (int64_t g = 0; g < w.groups(); ++g) {
            const Half scale = a.scales[static_cast<size_t>(row * scales + (scales > 1 ? g : 0))];
            add(g * w.group, (g + 1) * w.group, ToFloat(scale), w.Scale4(out, g * w.group), true);
          }
          if (w.k8 > 0) {
            const Half scale = a.outlier_scales.empty()
                                   ? a.scales[static_cast<size_t>(row * scales)]
                                   : a.outlier_scales[static_cast<size_t>(row)];
            add(w.k4, k, ToFloat(scale), ToFloat(w.scales8[static_cast<size_t>(out)]), false);
          }
          const double b = n < 192 ? bias[static_cast<size_t>(n)] : 0;
          const double expected = old[at] + (sum + b);
          const double u = 0x1p-24;
          ASSERT_NEAR(y[at], expected,
                      (static_cast<double>(w.groups()) + 3) * u * magnitude + u * std::abs(b) +
                          2 * u * std::abs(expected))
              << "row " << row << ", output " << n;
        }
      }
    }
  }
}

TEST_F(CudaBackendTest, LinearsOfSixteenBitsAreTheReferenceWithinRounding) {
  for (const bool packed : {false, true}) {
    for (const int64_t m : {1, 40, 300}) {
      SCOPED_TRACE(fmt::format("{} rows, {}", m, packed ? "4-bit weights" : "dense weights"));
      const int64_t k = packed ? 384 + 64 : 300, n = 200;
      const std::vector<float> x = Random(m * k), dense = Random(n * k);
      const QuantizedMatrix weight = RandomWeight(n, 384, 64, 128);
      std::vector<float> y[2], values[2];
      for (Side* side : {&reference(), &cuda()}) {
        const auto activation = (*side)->MakeActivation({}, k, m);
        (*side)->ReorderQuantize(side->Tensor(x, m), nullptr, *activation);
        const TensorView view{
            DType::kF32, {n, k}, reinterpret_cast<const std::byte*>(dense.data())};
        const auto w = packed ? (*side)->Prepack(weight, {}) : (*side)->PrepackDense(view, {});
        const DeviceTensor out = side->Tensor(Random(m * n), m);
        (*side)->Linear(*activation, *w, out, OutputMode::kOverwrite);
        y[side == &cuda()] = side->Get(out);
        values[side == &cuda()] = (*side)->Unpack(*activation).dense;
        if (side != &cuda()) continue;
        const auto duplicate = (*side)->Duplicate(*w);
        ASSERT_NE(duplicate, nullptr);
        (*side)->Linear(*activation, *duplicate, out, OutputMode::kOverwrite);
        EXPECT_EQ(side->Get(out), y[1]);
        EXPECT_TRUE(!packed || (*side)->Unpack(*duplicate) == weight);
      }
      for (size_t i = 0; i < values[0].size(); ++i) {
        ASSERT_NEAR(values[1][i], values[0][i], std::abs(values[0][i]) * 0x1p-8f);
      }
      double error = 0, norm = 0;
      for (size_t i = 0; i < y[0].size(); ++i) {
        error += std::pow(double{y[1][i]} - y[0][i], 2);
        norm += std::pow(double{y[0][i]}, 2);
      }
      // Two operands rounded to 8 bits, errors of random signs.
      EXPECT_LT(std::sqrt(error / norm), 0x1p-8);
    }
  }
}

TEST_F(CudaBackendTest, AttentionOverItsOwnCacheIsTheReferences) {
  const AttentionShape shape = {.heads = 8, .kv_heads = 2, .head_dim = 128};
  const int64_t cols = (8 + 4) * 128;
  std::vector<float> table;
  for (int position = 0; position < 200; ++position) {
    for (int i = 0; i < 128; ++i) {
      const float angle = static_cast<float>(position) * std::pow(10000.0f, -(i % 64) / 64.0f);
      table.push_back(i < 64 ? std::cos(angle) : std::sin(angle));
    }
  }
  for (const quant::KvStorage storage :
       {quant::KvStorage::kInt4, quant::KvStorage::kInt8, quant::KvStorage::kF16}) {
    SCOPED_TRACE(quant::Name(storage));
    // Two steps: a prompt, then its next token beside another prompt and a token that begins one.
    Batch first = SingleSequence(std::vector<int32_t>(100, 1), 0, 16);
    Batch second;
    second.Clear();
    const auto add = [&second](int first_position, int queries, std::vector<int32_t> pages) {
      for (int i = 0; i < queries; ++i) {
        const int position = first_position + i;
        second.tokens.push_back(1);
        second.positions.push_back(position);
        second.kv_slots.push_back(pages[static_cast<size_t>(position / 16)] * 16 + position % 16);
      }
      second.query_starts.push_back(static_cast<int32_t>(second.tokens.size()));
      second.kv_lengths.push_back(first_position + queries);
      second.pages.insert(second.pages.end(), pages.begin(), pages.end());
      second.page_starts.push_back(static_cast<int32_t>(second.pages.size()));
    };
    add(0, 33, {17, 9, 12, 13});  // with a page that is not used yet
    add(100, 1, {0, 1, 2, 3, 4, 5, 6});
    add(0, 1, {8});
    const std::vector<float> qkv1 = Random(first.rows() * cols);
    const std::vector<float> qkv2 = Random(second.rows() * cols);
    std::vector<float> outs[2];
    for (Side* side : {&reference(), &cuda()}) {
      const auto kv = (*side)->MakeKvLayer(
          {{.storage = storage, .clip = storage == quant::KvStorage::kF16 ? 1.0f : 0.95f}, 2, 128},
          20);
      const DeviceBuffer& rope = side->Put(table);
      for (const auto& [batch, qkv] : {std::pair{&first, &qkv1}, std::pair{&second, &qkv2}}) {
        (*side)->BeginStep(*batch);
        const DeviceTensor in = side->Tensor(*qkv, batch->rows());
        (*side)->RopeAppendKv(in, shape, {}, {.table = &rope, .positions = 200, .rotary_dim = 128},
                              *kv);
        const DeviceTensor out = side->Tensor(Random(batch->rows() * 1024), batch->rows());
        (*side)->Attention(in, shape, *kv, out);
        const std::vector<float> got = side->Get(out);
        auto& all = outs[side == &cuda()];
        all.insert(all.end(), got.begin(), got.end());
      }
    }
    double error = 0, norm = 0;
    for (size_t i = 0; i < outs[0].size(); ++i) {
      error += std::pow(double{outs[1][i]} - outs[0][i], 2);
      norm += std::pow(double{outs[0][i]}, 2);
    }
    // fp16 queries, weights and offsets of codes; scores of normal values are about 11 wide.
    EXPECT_LT(std::sqrt(error / norm), 0.004);
  }
}

TEST_F(CudaBackendTest, LongPromptsAttendAsTheReferenceDoes) {
  const AttentionShape shape = {.heads = 4, .kv_heads = 2, .head_dim = 128};
  const int64_t cols = (4 + 4) * 128;
  for (const quant::KvStorage storage :
       {quant::KvStorage::kInt4, quant::KvStorage::kInt8, quant::KvStorage::kF16}) {
    SCOPED_TRACE(quant::Name(storage));
    const std::vector<float> first = Random(512 * cols), second = Random(411 * cols);
    std::vector<float> outs[2];
    for (Side* side : {&reference(), &cuda()}) {
      const auto kv = (*side)->MakeKvLayer({{.storage = storage}, 2, 128}, 64);
      int64_t start = 0;
      for (const std::vector<float>* qkv : {&first, &second}) {
        const int64_t rows = std::ssize(*qkv) / cols;
        (*side)->BeginStep(
            SingleSequence(std::vector<int32_t>(static_cast<size_t>(rows), 1), start, 16));
        const DeviceTensor in = side->Tensor(*qkv, rows);
        (*side)->RopeAppendKv(in, shape, {}, {}, *kv);
        const DeviceTensor out = side->Tensor(Random(rows * 512), rows);
        (*side)->Attention(in, shape, *kv, out);
        const std::vector<float> got = side->Get(out);
        auto& all = outs[side == &cuda()];
        all.insert(all.end(), got.begin(), got.end());
        start += rows;
      }
    }
    double worst = 0;  // of rows
    for (size_t row = 0; row < outs[0].size() / 512; ++row) {
      double error = 0, norm = 0;
      for (size_t i = row * 512; i < (row + 1) * 512; ++i) {
        error += std::pow(double{outs[1][i]} - outs[0][i], 2);
        norm += std::pow(double{outs[0][i]}, 2);
      }
      worst = std::max(worst, std::sqrt(error / norm));
    }
    EXPECT_LT(worst, 0.008);
  }
}

TEST_F(CudaBackendTest, ARowOfALinearNeverDependsOnTheOthers) {
  const ActivationFormat groups = {.bits = 4, .group = 128, .outlier_columns = 128};
  for (const LinearCase& c :
       {LinearCase{"w4a4", groups, 896, 128, 128}, LinearCase{"w4a8", {.bits = 8}, 1024, 0, 128},
        LinearCase{"w8a8", {.bits = 8}, 0, 1152, 0}, LinearCase{"w4a16", {}, 1024, 0, 128},
        LinearCase{"dense", {}, 0, 0, 0}}) {
    const int64_t k = c.k4 + c.k8 > 0 ? c.k4 + c.k8 : 576, n = 320;
    const std::vector<float> all = Random(4096 * k), dense = Random(n * k);
    const TensorView view{DType::kF32, {n, k}, reinterpret_cast<const std::byte*>(dense.data())};
    const auto weight = c.k4 + c.k8 > 0 ? cuda()->Prepack(RandomWeight(n, c.k4, c.k8, c.group), {})
                                        : cuda()->PrepackDense(view, {});
    std::vector<float> alone;
    for (const int64_t m : {1, 17, 64, 65, 256, 4096}) {
      const auto activation = cuda()->MakeActivation(c.format, k, m);
      const std::vector<float> x(all.begin(), all.begin() + m * k);
      cuda()->ReorderQuantize(cuda().Tensor(x, m), nullptr, *activation);
      const DeviceTensor y = cuda().Tensor(std::vector<float>(static_cast<size_t>(m * n), NAN), m);
      cuda()->Linear(*activation, *weight, y, OutputMode::kOverwrite);
      const std::vector<float> rows = cuda().Get(y);
      const std::vector<float> row(rows.begin(), rows.begin() + n);
      if (m == 1) alone = row;
      EXPECT_EQ(row, alone) << c.name << ", " << m << " rows";
      for (const int64_t other : {m / 3, m / 2 + 1, m - 1}) {  // as if it were the first
        if (m == 1) continue;
        const auto begin = all.begin() + other * k;
        const auto single = cuda()->MakeActivation(c.format, k, 1);
        cuda()->ReorderQuantize(cuda().Tensor(std::vector<float>(begin, begin + k), 1), nullptr,
                                *single);
        const DeviceTensor z = cuda().Tensor(std::vector<float>(static_cast<size_t>(n), NAN), 1);
        cuda()->Linear(*single, *weight, z, OutputMode::kOverwrite);
        EXPECT_EQ(cuda().Get(z),
                  std::vector<float>(rows.begin() + other * n, rows.begin() + (other + 1) * n))
            << c.name << ", row " << other << " of " << m;
      }
    }
  }
}

TEST_F(CudaBackendTest, AttentionNeverDependsOnTheChunksOfAPrompt) {
  const AttentionShape shape = {.heads = 8, .kv_heads = 2, .head_dim = 128};
  const int64_t cols = (8 + 4) * 128;
  constexpr int kTokens = 150;
  const std::vector<float> qkv = Random(kTokens * cols);
  for (const quant::KvStorage storage : {quant::KvStorage::kInt4, quant::KvStorage::kF16}) {
    std::vector<float> whole;
    for (const std::vector<int>& chunks :
         {std::vector<int>{kTokens}, {64, 85, 1}, {1, 100, 49}, {149, 1}}) {
      const auto kv = cuda()->MakeKvLayer({{.storage = storage}, 2, 128}, 20);
      std::vector<float> all;
      int start = 0;
      for (const int chunk : chunks) {
        const auto begin = qkv.begin() + start * cols;
        cuda()->BeginStep(
            SingleSequence(std::vector<int32_t>(static_cast<size_t>(chunk), 1), start, 16));
        const DeviceTensor in =
            cuda().Tensor(std::vector<float>(begin, begin + chunk * cols), chunk);
        cuda()->RopeAppendKv(in, shape, {}, {}, *kv);
        const DeviceTensor out = cuda().Tensor(Random(chunk * 1024), chunk);
        cuda()->Attention(in, shape, *kv, out);
        const std::vector<float> got = cuda().Get(out);
        all.insert(all.end(), got.begin(), got.end());
        start += chunk;
      }
      if (whole.empty()) whole = all;
      int64_t different = 0;
      for (size_t i = 0; i < all.size(); ++i) different += all[i] != whole[i];
      EXPECT_EQ(different, 0) << quant::Name(storage) << ", chunks from " << chunks[0];
    }
  }
}

TEST_F(CudaBackendTest, ItKnowsWhatTheDeviceHas) {
  const std::optional<DeviceRoom> before = cuda()->Room();
  ASSERT_TRUE(before);
  EXPECT_GT(before->free, 0);
  EXPECT_LT(before->free + before->reserve / 8, before->total);  // the context is there already
  constexpr int64_t kBytes = int64_t{256} << 20;
  const DeviceBuffer buffer = cuda()->Allocate(kBytes);
  EXPECT_LE(cuda()->Room()->free, before->free - kBytes);
  StepPlan plan;
  plan.batch = {.rows = 16, .sequences = 4, .pages = 64};
  EXPECT_GT(cuda()->PinnedBytes(plan), 0);
}

TEST_F(CudaBackendTest, AStepMayBeLargerThanWhatWasPrepared) {
  const int64_t rows = 700, cols = 64;
  const std::vector<float> embedding = Random(10 * cols);
  const DeviceBuffer& table = cuda().Put(embedding);
  const DeviceTensor out = cuda().Tensor(std::vector<float>(rows * cols, NAN), rows);
  cuda()->BeginStep(SingleSequence(std::vector<int32_t>(rows, 9), 0, 16));
  cuda()->Embed({.table = &table, .dtype = DType::kF32}, out);
  const std::vector<float> found = cuda().Get(out);
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i], embedding[static_cast<size_t>(9 * cols) + i % 64]);
  }
}

TEST_F(CudaBackendTest, BothEndsOfTheModelAreTheReferences) {
  constexpr int64_t kVocabulary = 1000, kRows = 7, kCols = 64;
  Batch batch = SingleSequence({5, 999, 0, 17, 17, TokenInSlot(3), 2}, 0, 16);
  batch.logit_rows = {1, 6};
  const std::vector<float> embedding = Random(kVocabulary * kCols);
  const std::vector<float> logits = Random(kRows * kVocabulary, 4.0f);
  std::vector<int32_t> chosen[2];
  std::vector<float> hidden[2], gathered[2], log_probs[2];
  std::vector<double> losses[2];
  const std::vector<int32_t> targets = {1, 2, 3, 4, 5, 6, 999};
  std::vector<SampleRow> rows;
  for (int64_t i = 0; i < kRows; ++i) {
    rows.push_back({.row = i, .params = {}, .uniform = 0.3, .slot = static_cast<int32_t>(i)});
    if (i > 2) rows.back().params = {.temperature = 0.9f, .top_k = 40, .top_p = 0.9f};
  }
  for (Side* side : {&reference(), &cuda()}) {
    const bool which = side == &cuda();
    const DeviceTensor z = side->Tensor(logits, kRows);
    const DeviceBuffer& tokens = side->Put(std::vector<int32_t>(kRows, -1));
    const DeviceSpan<int32_t> token_span = {static_cast<int32_t*>(tokens.data()), kRows};
    (*side)->BeginStep(batch);
    (*side)->Sample(z, rows, token_span);
    chosen[which] = side->Get<int32_t>(tokens.data(), kRows);
    const DeviceTensor out = side->Tensor(std::vector<float>(kRows * kCols, NAN), kRows);
    const DeviceBuffer& table = side->Put(embedding);
    (*side)->Embed({.table = &table, .dtype = DType::kF32, .scale = 1.5f}, out);
    hidden[which] = side->Get(out);
    const DeviceTensor some = side->Tensor(std::vector<float>(2 * kCols, NAN), 2);
    (*side)->GatherLogitRows(out, some);
    gathered[which] = side->Get(some);
    const DeviceBuffer& loss = side->Put(std::vector<double>(kRows, NAN));
    (*side)->NegativeLogLikelihood(z, targets, {static_cast<double*>(loss.data()), kRows});
    losses[which] = side->Get<double>(loss.data(), kRows);
    const DeviceBuffer& target = side->Put(std::vector<float>(2, NAN));
    const DeviceBuffer& top = side->Put(std::vector<TokenValue>(2 * kMostTopTokens));
    (*side)->TokenLogProbs(
        z, std::vector<LogProbQuery>{{.row = 4, .target = kChosenToken, .top = 5}, {.row = 0}},
        token_span,
        {{static_cast<float*>(target.data()), 2},
         {static_cast<TokenValue*>(top.data()), 2 * kMostTopTokens}});
    log_probs[which] = side->Get(target.data(), 2);
    for (const TokenValue& token : side->Get<TokenValue>(top.data(), 5)) {
      log_probs[which].push_back(static_cast<float>(token.id));
    }
  }
  EXPECT_EQ(chosen[1], chosen[0]);
  EXPECT_EQ(hidden[1], hidden[0]);
  EXPECT_EQ(gathered[1], gathered[0]);
  for (size_t i = 0; i < losses[0].size(); ++i) EXPECT_NEAR(losses[1][i], losses[0][i], 1e-12);
  for (size_t i = 0; i < log_probs[0].size(); ++i) {
    EXPECT_FLOAT_EQ(log_probs[1][i], log_probs[0][i]) << i;
  }
}

}  // namespace
}  // namespace atom::kernels::cuda
