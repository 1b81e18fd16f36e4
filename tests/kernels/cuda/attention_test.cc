// Decode and prefill attention against softmax in double, over the codes that the cache really
// holds; and what the contract promises of bits: a row does not depend on who shares its step, on
// where its pages lie, or on the kernel that computes it.
#include "tests/kernels/cuda/paged_cache.h"

namespace atom::kernels::cuda {
namespace {

constexpr double kHalfUnit = 0x1p-11;  // u of fp16
constexpr double kUnit = 0x1p-24;      // u of fp32

struct AttentionCase {
  CacheCase cache;
  int window = 0;
  float softcap = 0;
};

std::string AttentionCaseName(const AttentionCase& c) {
  return CaseName(c.cache) + (c.window > 0 ? fmt::format("_window{}", c.window) : "") +
         (c.softcap > 0 ? "_softcap" : "");
}

AttentionParams ParamsOf(const AttentionCase& c) {
  AttentionParams params;
  params.heads = c.cache.heads;
  params.scale = 1.0f / std::sqrt(static_cast<float>(c.cache.head_dim));
  params.window = c.window;
  params.softcap = c.softcap;
  return params;
}

/// One query row of one head, in double; and how far a kernel may be from it.
struct Reference {
  std::vector<double> out, bound;
};

Reference Attend(const PagedCache& cache, const AttentionCase& c, int sequence, int position,
                 int head) {
  const int d = c.cache.head_dim;
  const int kv_head = head / (c.cache.heads / c.cache.kv_heads);
  std::vector<double> q;
  for (const float x : cache.Query(sequence, position, head)) q.push_back(ToFloat(ToHalf(x)));
  const int first = c.window > 0 ? std::max(0, position + 1 - c.window) : 0;
  const double centre = c.cache.storage == KvStorage::kInt4 ? 8 : 128;
  const double scale = ParamsOf(c).scale;
  const bool coded = c.cache.storage != KvStorage::kF16;
  double max = -1e300;
  std::vector<double> scores, score_errors;
  for (int j = first; j <= position; ++j) {
    const QuantizedHead k = cache.Stored(sequence, j, kv_head, false);
    double score = 0, magnitude = 0;
    for (int i = 0; i < d; ++i) {
      const auto at = static_cast<size_t>(i);
      const double x = coded ? k.scale * k.codes[at] + k.offset : k.values[at];
      const double parts =
          coded ? k.scale * std::abs(k.codes[at] - centre) + std::abs(k.offset + centre * k.scale)
                : std::abs(x);
      score += q[at] * x;
      magnitude += std::abs(q[at]) * parts;
    }
    score *= scale;
    if (c.softcap > 0) score = c.softcap * std::tanh(score / c.softcap);
    scores.push_back(score);
    // Products are exact in fp32; the tensor core may drop bits at each of d/16 + 1 additions, and
    // a few more roundings follow. With a softcap its two approximate divisions and exponential.
    score_errors.push_back((d + 16) * 2 * kUnit * magnitude * scale +
                           (c.softcap > 0 ? 16 * kUnit * c.softcap : 0));
    max = std::max(max, score);
  }
  double sum = 0, absolute_error = 0, relative = 0;
  std::vector<double> out(static_cast<size_t>(d)), spread(static_cast<size_t>(d)),
      largest(static_cast<size_t>(d));
  for (int j = first; j <= position; ++j) {
    const auto at = static_cast<size_t>(j - first);
    const double p = std::exp(scores[at] - max);
    sum += p;
    // exp of a score that is off by e is off by the factor e; ex2 and the subtraction add 4 units,
    // the rounding of p to fp16 half a unit of it, relative or of the smallest fp16 number.
    const double error = score_errors[at] + 8 * kUnit + std::abs(scores[at] - max) * 2 * kUnit;
    relative = std::max(relative, error);
    const QuantizedHead v = cache.Stored(sequence, j, kv_head, true);
    for (int i = 0; i < d; ++i) {
      const auto channel = static_cast<size_t>(i);
      const double x = coded ? v.scale * v.codes[channel] + v.offset : v.values[channel];
      const double parts = coded ? v.scale * std::abs(v.codes[channel] - centre) +
                                       std::abs(v.offset) + centre * v.scale
                                 : std::abs(x);
      out[channel] += p * x;
      spread[channel] += p * parts;
      // Two roundings to fp16 (p, and p · scale) may also underflow: 2^-25 each.
      largest[channel] += 0x1p-25 * (parts + (coded ? std::abs(v.codes[channel] - centre) : 0));
    }
    absolute_error += 0x1p-25;
  }
  Reference reference;
  for (size_t i = 0; i < out.size(); ++i) {
    const double y = out[i] / sum;
    // Numerator and denominator: two half-precision roundings of p against one, errors of p, and
    // the fp32 sums over pages and segments.
    const double rounding = 2 * kHalfUnit + relative + scores.size() * 4 * kUnit;
    const double numerator = spread[i] * rounding + 16 * largest[i];
    const double denominator =
        kHalfUnit + relative + scores.size() * 4 * kUnit + 16 * absolute_error / sum;
    const double error = numerator / sum + std::abs(y) * denominator;
    reference.out.push_back(y);
    reference.bound.push_back(1.01 * error + kHalfUnit * (std::abs(y) + error) + 0x1p-25);
  }
  return reference;
}

class AttentionTest : public CudaTest, public ::testing::WithParamInterface<AttentionCase> {
 protected:
  /// What decode works in, kept from launch to launch: counters of 0 and poison.
  struct Scratch {
    DeviceArray<std::byte> counters, workspace;
    Scratch(const PagedCache& cache, const AttentionCase& c)
        : counters(static_cast<size_t>(
              DecodeCounterBytes(cache.pages(), ParamsOf(c), cache.lists().sequences))),
          workspace(static_cast<size_t>(DecodeWorkspaceBytes(
              cache.pages(), ParamsOf(c), cache.lists().sequences, cache.page_count()))) {
      cudaMemset(counters.data(), 0, counters.size());
    }
  };

  std::vector<float> Decode(const PagedCache& cache, const AttentionCase& c) {
    return Decode(cache, c, 0, Scratch(cache, c));
  }

  /// Of the sequences from `first` on. Output rows are the cache's rows; all of them poisoned
  /// before.
  std::vector<float> Decode(const PagedCache& cache, const AttentionCase& c, int first,
                            const Scratch& scratch) {
    const int64_t columns = static_cast<int64_t>(c.cache.heads) * c.cache.head_dim;
    DeviceArray<std::byte> out(static_cast<size_t>(cache.tokens() * columns * 2));
    std::vector<int32_t> rows;
    for (int s = first; s < cache.lists().sequences; ++s) {
      rows.push_back(cache.Row(s, cache.lengths()[static_cast<size_t>(s)] - 1));
    }
    DeviceArray<int32_t> device_rows(rows);
    DecodeAttention call;
    call.params = ParamsOf(c);
    call.q = cache.rows();
    call.out = {out.data(), RowType::kF16, columns};
    call.rows = device_rows.data();
    call.kv = cache.pages();
    call.lists = cache.lists();
    call.lists.indptr += first;
    call.lists.kv_lengths += first;
    call.lists.sequences -= first;
    call.counters = scratch.counters.data();
    call.workspace = scratch.workspace.data();
    cudaDeviceSynchronize();
    std::vector<float> values;
    for (int run = 0; run < 2; ++run) {  // the second finds the counters as the first left them
      const Status status = LaunchDecodeAttention(call, stream().get());
      EXPECT_TRUE(status.ok()) << status.error().message;
      const Status ended = stream().Synchronize();
      EXPECT_TRUE(ended.ok()) << ended.error().message;
      std::vector<float> again = cuda::Decode(RowType::kF16, out.Download());
      if (run == 1) {
        EXPECT_EQ(std::memcmp(values.data(), again.data(), 4 * again.size()), 0);
      }
      values = std::move(again);
    }
    return values;
  }

  std::vector<float> Prefill(const PagedCache& cache, const AttentionCase& c) {
    const int64_t columns = static_cast<int64_t>(c.cache.heads) * c.cache.head_dim;
    DeviceArray<std::byte> out(static_cast<size_t>(cache.tokens() * columns * 2));
    PrefillAttention call;
    call.params = ParamsOf(c);
    call.q = cache.rows();
    call.out = {out.data(), RowType::kF16, columns};
    call.query_starts = cache.device_starts();
    call.max_queries = *std::ranges::max_element(cache.lengths());
    call.kv = cache.pages();
    call.lists = cache.lists();
    cudaDeviceSynchronize();
    const Status status = LaunchPrefillAttention(call, stream().get());
    EXPECT_TRUE(status.ok()) << status.error().message;
    const Status ended = stream().Synchronize();
    EXPECT_TRUE(ended.ok()) << ended.error().message;
    return cuda::Decode(RowType::kF16, out.Download());
  }

  /// Fails at the first value that is further from the reference than its bound.
  void ExpectRow(const PagedCache& cache, const AttentionCase& c, const std::vector<float>& out,
                 int sequence, int position) {
    const int d = c.cache.head_dim;
    for (int head = 0; head < c.cache.heads; ++head) {
      const Reference reference = Attend(cache, c, sequence, position, head);
      for (int i = 0; i < d; ++i) {
        const size_t at = static_cast<size_t>(cache.Row(sequence, position)) *
                              static_cast<size_t>(c.cache.heads * d) +
                          static_cast<size_t>(head * d + i);
        const double difference = std::abs(out[at] - reference.out[static_cast<size_t>(i)]);
        worst_ = std::max(worst_, difference / reference.bound[static_cast<size_t>(i)]);
        ASSERT_LE(difference, reference.bound[static_cast<size_t>(i)])
            << "sequence " << sequence << " position " << position << " head " << head
            << " channel " << i << ": " << out[at] << " instead of "
            << reference.out[static_cast<size_t>(i)];
      }
    }
  }

  std::vector<float> RowOf(const PagedCache& cache, const AttentionCase& c,
                           const std::vector<float>& out, int sequence, int position) const {
    const int64_t columns = static_cast<int64_t>(c.cache.heads) * c.cache.head_dim;
    const auto first = out.begin() + cache.Row(sequence, position) * columns;
    return {first, first + columns};
  }

  double worst_ = 0;
};

TEST_P(AttentionTest, DecodeIsWithinItsBound) {
  PagedCache cache(GetParam().cache, {1, 700, 16, 17, 256, 257, 513, 31}, 11);
  ASSERT_TRUE(cache.Append(stream()).ok());
  const std::vector<float> out = Decode(cache, GetParam());
  for (int s = 0; s < cache.lists().sequences; ++s) {
    ExpectRow(cache, GetParam(), out, s, cache.lengths()[static_cast<size_t>(s)] - 1);
    if (HasFatalFailure()) return;
  }
  RecordProperty("share_of_bound", fmt::format("{:.3f}", worst_));
}

TEST_P(AttentionTest, PrefillIsWithinItsBound) {
  PagedCache cache(GetParam().cache, {1, 300, 64, 530}, 12);
  ASSERT_TRUE(cache.Append(stream()).ok());
  const std::vector<float> out = Prefill(cache, GetParam());
  for (int s = 0; s < cache.lists().sequences; ++s) {
    const int length = cache.lengths()[static_cast<size_t>(s)];
    for (int p = 0; p < length; p += p < 34 ? 1 : 97) {
      ExpectRow(cache, GetParam(), out, s, p);
      if (HasFatalFailure()) return;
    }
    ExpectRow(cache, GetParam(), out, s, length - 1);
  }
  for (const float x : out) ASSERT_FALSE(std::isnan(x));  // every row was written
  RecordProperty("share_of_bound", fmt::format("{:.3f}", worst_));
}

TEST_P(AttentionTest, DecodeAndPrefillGiveTheSameBits) {
  PagedCache cache(GetParam().cache, {300, 1, 530, 48}, 13);
  ASSERT_TRUE(cache.Append(stream()).ok());
  const std::vector<float> decoded = Decode(cache, GetParam());
  const std::vector<float> prefilled = Prefill(cache, GetParam());
  for (int s = 0; s < cache.lists().sequences; ++s) {
    const int last = cache.lengths()[static_cast<size_t>(s)] - 1;
    EXPECT_EQ(RowOf(cache, GetParam(), decoded, s, last),
              RowOf(cache, GetParam(), prefilled, s, last))
        << s;
  }
}

std::vector<AttentionCase> AttentionCases() {
  std::vector<AttentionCase> cases;
  for (const KvStorage storage : {KvStorage::kInt4, KvStorage::kInt8, KvStorage::kF16}) {
    for (const int d : {64, 80, 96, 128, 256}) {
      AttentionCase c;
      c.cache.storage = storage;
      c.cache.head_dim = d;
      c.cache.kv_heads = d == 64 ? 1 : d == 80 ? 8 : 2;
      c.cache.heads = d == 64 ? 12 : d == 96 ? 6 : 8;
      c.cache.hadamard = d == 128 ? d : 1;
      c.cache.type = d == 256 ? RowType::kBF16 : d == 128 ? RowType::kF16 : RowType::kF32;
      cases.push_back(c);
      if (d != 128) continue;
      c.window = 100;
      cases.push_back(c);
      c.window = 0;
      c.softcap = 5;
      cases.push_back(c);
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Cases, AttentionTest, ::testing::ValuesIn(AttentionCases()),
                         [](const auto& which) { return AttentionCaseName(which.param); });

class AttentionInvarianceTest : public AttentionTest {};

TEST_P(AttentionInvarianceTest, AloneOrInCompanyTheBitsAreTheSame) {
  const AttentionCase& c = GetParam();
  PagedCache alone(c.cache, {777}, 21);
  ASSERT_TRUE(alone.Append(stream()).ok());
  PagedCache company(c.cache, {777, 40, 5, 1200, 300}, 22);
  company.CopyRowsFrom(alone);
  ASSERT_TRUE(company.Append(stream()).ok());
  const std::vector<float> one = Decode(alone, c), many = Decode(company, c);
  EXPECT_EQ(RowOf(alone, c, one, 0, 776), RowOf(company, c, many, 0, 776));
  const std::vector<float> one_prefilled = Prefill(alone, c), many_prefilled = Prefill(company, c);
  for (int p = 0; p < 777; ++p) {
    ASSERT_EQ(RowOf(alone, c, one_prefilled, 0, p), RowOf(company, c, many_prefilled, 0, p)) << p;
  }
}

/// A step's decoding sequences may stand behind others; steps of any shape share their scratch.
TEST_P(AttentionInvarianceTest, RunsOfSequencesShareTheirScratch) {
  const AttentionCase& c = GetParam();
  PagedCache cache(c.cache, {90, 2000, 17, 600, 1500, 256, 257}, 23);
  ASSERT_TRUE(cache.Append(stream()).ok());
  const Scratch scratch(cache, c);
  const std::vector<float> all = Decode(cache, c, 0, scratch);
  for (const int first : {1, 4, 6, 3}) {
    const std::vector<float> some = Decode(cache, c, first, scratch);
    for (int s = first; s < cache.lists().sequences; ++s) {
      const int last = cache.lengths()[static_cast<size_t>(s)] - 1;
      EXPECT_EQ(RowOf(cache, c, all, s, last), RowOf(cache, c, some, s, last)) << first << " " << s;
    }
  }
}

std::vector<AttentionCase> InvarianceCases() {
  AttentionCase c;
  std::vector<AttentionCase> cases{c};
  c.cache.storage = KvStorage::kF16;
  cases.push_back(c);
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Cases, AttentionInvarianceTest, ::testing::ValuesIn(InvarianceCases()),
                         [](const auto& which) { return AttentionCaseName(which.param); });

}  // namespace
}  // namespace atom::kernels::cuda
