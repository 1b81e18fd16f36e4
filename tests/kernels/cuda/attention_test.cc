// Decode and prefill attention against softmax in double, over the codes that the cache really
// holds; and what the contract promises of bits: a row does not depend on who shares its step, on
// where its pages lie, or on the kernel that computes it.
#include "tests/kernels/cuda/disturbance.h"
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
  params.exact_window = c.cache.exact_window;
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
  const int window = c.cache.exact_window;
  const int first_exact = window > 0 ? 16 * std::max(0, position / 16 - window / 16) : position + 1;
  const auto is_coded = [&](int j) {
    return c.cache.storage != KvStorage::kF16 && j < first_exact;
  };
  const auto stored = [&](int j, bool value) {
    return j < first_exact ? cache.Stored(sequence, j, kv_head, value)
                           : cache.StoredExactly(sequence, j, kv_head, value);
  };
  // With a softcap the mean of all keys does not cancel.
  std::vector<float> mean(static_cast<size_t>(d));
  if (c.softcap > 0 && c.cache.key_mean) mean = cache.RotatedMean(kv_head);
  double max = -1e300;
  std::vector<double> scores, score_errors;
  for (int j = first; j <= position; ++j) {
    const QuantizedHead k = stored(j, false);
    const bool coded = is_coded(j);
    double score = 0, magnitude = 0;
    for (int i = 0; i < d; ++i) {
      const auto at = static_cast<size_t>(i);
      const double x = coded ? k.scale * k.codes[at] + k.offset : k.values[at];
      const double parts =
          coded ? k.scale * std::abs(k.codes[at] - centre) + std::abs(k.offset + centre * k.scale)
                : std::abs(x);
      score += q[at] * (x + mean[at]);
      magnitude += std::abs(q[at]) * (parts + std::abs(mean[at]));
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
    const QuantizedHead v = stored(j, true);
    const bool coded = is_coded(j);
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

  /// Exact positions are merged with rows in fp32.
  static RowType OutType(const AttentionCase& c) {
    return c.cache.exact_window > 0 ? RowType::kF32 : RowType::kF16;
  }

  std::vector<float> Decode(const PagedCache& cache, const AttentionCase& c) {
    return Decode(cache, c, 0, Scratch(cache, c));
  }

  /// Of the sequences from `first` on. Output rows are the cache's rows; all of them poisoned
  /// before.
  std::vector<float> Decode(const PagedCache& cache, const AttentionCase& c, int first,
                            const Scratch& scratch) {
    const int64_t columns = static_cast<int64_t>(c.cache.heads) * c.cache.head_dim;
    const RowType type = OutType(c);
    DeviceArray<std::byte> out(static_cast<size_t>(cache.tokens() * columns * RowTypeBytes(type)));
    std::vector<int32_t> rows;
    for (int s = first; s < cache.lists().sequences; ++s) {
      rows.push_back(cache.Row(s, cache.lengths()[static_cast<size_t>(s)] - 1));
    }
    DeviceArray<int32_t> device_rows(rows);
    DecodeAttention call;
    call.params = ParamsOf(c);
    call.params.key_mean = cache.rotated_mean();
    call.q = cache.rows();
    call.out = {out.data(), type, columns};
    call.rows = device_rows.data();
    call.kv = cache.pages();
    call.lists = cache.lists();
    call.lists.indptr += first;
    call.lists.kv_lengths += first;
    call.lists.sequences -= first;
    if (c.cache.exact_window > 0) {
      call.exact = cache.exact();
      call.exact_lists = call.lists;
    }
    call.counters = scratch.counters.data();
    call.workspace = scratch.workspace.data();
    cudaDeviceSynchronize();
    std::vector<float> values;
    for (int run = 0; run < 3; ++run) {  // the second finds the counters as the first left them
      Disturb();
      const Status status = run < 2 ? LaunchDecodeAttention(call, stream().get()) : Replay(call);
      EXPECT_TRUE(status.ok()) << status.error().message;
      const Status ended = stream().Synchronize();
      EXPECT_TRUE(ended.ok()) << ended.error().message;
      std::vector<float> again = cuda::Decode(type, out.Download());
      if (run > 0) {
        EXPECT_EQ(std::memcmp(values.data(), again.data(), 4 * again.size()), 0) << run;
      }
      values = std::move(again);
    }
    return values;
  }

  /// The newest rows of `count` sequences, which have the pages of those of `cache`, in turns.
  std::vector<float> DecodeCopies(const PagedCache& cache, const AttentionCase& c, int count) {
    const auto host = [](const int32_t* from, int64_t size) {
      std::vector<int32_t> values(static_cast<size_t>(size));
      EXPECT_EQ(cudaMemcpy(values.data(), from, 4 * values.size(), cudaMemcpyDeviceToHost),
                cudaSuccess);
      return values;
    };
    const PageLists from = cache.lists();
    const std::vector<int32_t> starts = host(from.indptr, from.sequences + 1);
    const std::vector<int32_t> pages = host(from.indices, cache.page_count());
    const Rows q = cache.rows();
    const int64_t row_bytes = cache.columns() * RowTypeBytes(q.type);
    std::vector<int32_t> indptr{0}, indices, lengths;
    DeviceArray<std::byte> queries(static_cast<size_t>(count * row_bytes));
    for (int i = 0; i < count; ++i) {
      const auto s = static_cast<size_t>(i % from.sequences);
      indices.insert(indices.end(), pages.begin() + starts[s], pages.begin() + starts[s + 1]);
      indptr.push_back(static_cast<int32_t>(indices.size()));
      lengths.push_back(cache.lengths()[s]);
      const int row = cache.Row(static_cast<int>(s), lengths.back() - 1);
      EXPECT_EQ(cudaMemcpy(queries.data() + i * row_bytes,
                           static_cast<const std::byte*>(q.data) + row * row_bytes,
                           static_cast<size_t>(row_bytes), cudaMemcpyDeviceToDevice),
                cudaSuccess);
    }
    const DeviceArray<int32_t> device_indptr(indptr), device_indices(indices),
        device_lengths(lengths);
    const int64_t columns = static_cast<int64_t>(c.cache.heads) * c.cache.head_dim;
    const RowType type = OutType(c);
    const DeviceArray<std::byte> out(static_cast<size_t>(count * columns * RowTypeBytes(type)));
    DecodeAttention call;
    call.params = ParamsOf(c);
    call.params.key_mean = cache.rotated_mean();
    call.q = {queries.data(), q.type, cache.columns()};
    call.out = {out.data(), type, columns};
    call.kv = cache.pages();
    call.lists = {device_indptr.data(), device_indices.data(), device_lengths.data(), count};
    if (c.cache.exact_window > 0) {
      call.exact = cache.exact();
      call.exact_lists = call.lists;
    }
    const DeviceArray<std::byte> counters(
        static_cast<size_t>(DecodeCounterBytes(call.kv, call.params, count)));
    const DeviceArray<std::byte> workspace(static_cast<size_t>(
        DecodeWorkspaceBytes(call.kv, call.params, count, std::ssize(indices))));
    cudaMemset(counters.data(), 0, counters.size());
    call.counters = counters.data();
    call.workspace = workspace.data();
    cudaDeviceSynchronize();
    for (int run = 0; run < 2; ++run) {
      const Status status = run == 0 ? LaunchDecodeAttention(call, stream().get()) : Replay(call);
      EXPECT_TRUE(status.ok()) << status.error().message;
      const Status ended = stream().Synchronize();
      EXPECT_TRUE(ended.ok()) << ended.error().message;
    }
    return cuda::Decode(type, out.Download());
  }

  /// Two launches as a graph: the second looks at page lists while the first one runs.
  Status Replay(const DecodeAttention& call) {
    EXPECT_EQ(cudaStreamBeginCapture(stream().get(), cudaStreamCaptureModeThreadLocal),
              cudaSuccess);
    Status status = LaunchDecodeAttention(call, stream().get());
    if (status.ok()) status = LaunchDecodeAttention(call, stream().get());
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream().get(), &graph), cudaSuccess);
    EXPECT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    EXPECT_EQ(cudaGraphLaunch(exec, stream().get()), cudaSuccess);
    const Status ended = stream().Synchronize();
    EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    return status.ok() ? ended : status;
  }

  std::vector<float> Prefill(const PagedCache& cache, const AttentionCase& c) {
    const int64_t columns = static_cast<int64_t>(c.cache.heads) * c.cache.head_dim;
    const RowType type = OutType(c);
    DeviceArray<std::byte> out(static_cast<size_t>(cache.tokens() * columns * RowTypeBytes(type)));
    PrefillAttention call;
    call.params = ParamsOf(c);
    call.params.key_mean = cache.rotated_mean();
    call.q = cache.rows();
    call.out = {out.data(), type, columns};
    call.query_starts = cache.device_starts();
    call.max_queries = *std::ranges::max_element(cache.lengths());
    call.kv = cache.pages();
    call.lists = cache.lists();
    DeviceArray<SoftmaxEnds> ends(static_cast<size_t>(cache.tokens() * c.cache.heads));
    call.ends = ends.data();
    cudaDeviceSynchronize();
    Disturb();
    Status status = LaunchPrefillAttention(call, stream().get());
    EXPECT_TRUE(status.ok()) << status.error().message;
    if (c.cache.exact_window > 0) {
      status = LaunchExactAttention({call.params, call.q, call.out, call.query_starts,
                                     call.max_queries, cache.exact(), call.lists, call.ends},
                                    stream().get());
      EXPECT_TRUE(status.ok()) << status.error().message;
    }
    const Status ended = stream().Synchronize();
    EXPECT_TRUE(ended.ok()) << ended.error().message;
    return cuda::Decode(type, out.Download());
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

  /// From now on every launch of Decode and Prefill has company on the card.
  void BeginDisturbing() {
    Result<Stream> other = Stream::Create();
    ASSERT_TRUE(other.ok()) << other.error().message;
    disturbing_.emplace(std::move(other).value());
    disturbed_.emplace(size_t{1} << 24);
  }

  double worst_ = 0;

 private:
  void Disturb() {
    if (!disturbing_) return;
    for (int i = 0; i < 3; ++i, ++seed_) {
      const cudaError_t launched =
          cuda::Disturb(seed_, 1 + static_cast<int>(seed_ * 7919 % 1000), disturbed_->data(),
                        static_cast<int>(disturbed_->size()) - 1,
                        disturbed_->data() + disturbed_->size() - 1, disturbing_->get());
      ASSERT_EQ(launched, cudaSuccess) << cudaGetErrorString(launched);
    }
  }

  uint32_t seed_ = 0;
  std::optional<Stream> disturbing_;
  std::optional<DeviceArray<uint32_t>> disturbed_;
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
      c.cache.hadamard = d == 128;
      c.cache.type = d == 256 ? RowType::kBF16 : d == 128 ? RowType::kF16 : RowType::kF32;
      cases.push_back(c);
      AttentionCase full = c;  // every field of a recipe
      full.cache.hadamard = full.cache.key_mean = full.cache.clip = true;
      full.cache.exact_window = d == 96 ? 48 : 16;
      full.softcap = 5;
      cases.push_back(full);
      if (d != 128) continue;
      c.window = 100;
      cases.push_back(c);
      c.cache.exact_window = 128;  // all that is seen
      cases.push_back(c);
      c.window = 0;
      c.cache.exact_window = 32;
      cases.push_back(c);
      c.cache.exact_window = 0;
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

/// Where heads are many, a warp merges all segments of one; prefill never shares a head.
TEST_P(AttentionInvarianceTest, ManySequencesDecodeToThePrefillsBits) {
  const AttentionCase& c = GetParam();
  std::vector<int> lengths;
  for (int s = 0; s < 220; ++s) lengths.push_back(1 + s * 37 % 80 + (s % 40 == 0 ? 1000 : 0));
  PagedCache cache(c.cache, lengths, 24);
  ASSERT_TRUE(cache.Append(stream()).ok());
  const std::vector<float> decoded = Decode(cache, c), prefilled = Prefill(cache, c);
  for (int s = 0; s < cache.lists().sequences; ++s) {
    const int last = lengths[static_cast<size_t>(s)] - 1;
    ASSERT_EQ(RowOf(cache, c, decoded, s, last), RowOf(cache, c, prefilled, s, last)) << s;
  }
}

/// So many pages that a warp's part is longer than a head: it gives its first segments to the next
/// warp of the CTA, which takes the rest. Short last segments, long ones, and heads too long for
/// it.
TEST_P(AttentionInvarianceTest, HeadsThatWarpsHandOverHaveThePrefillsBits) {
  const AttentionCase& c = GetParam();
  PagedCache cache(c.cache, {1040, 1025, 257, 1041, 513, 400, 1290, 16, 1024, 700, 2100}, 26);
  ASSERT_TRUE(cache.Append(stream()).ok());
  const int originals = cache.lists().sequences;
  const std::vector<float> prefilled = Prefill(cache, c);
  const auto columns = static_cast<int64_t>(c.cache.heads) * c.cache.head_dim;
  for (const int count : {1600, 801, 47, 300}) {
    const std::vector<float> decoded = DecodeCopies(cache, c, count);
    for (int i = 0; i < count; ++i) {
      const int s = i % originals;
      const int last = cache.lengths()[static_cast<size_t>(s)] - 1;
      const auto first = decoded.begin() + i * columns;
      ASSERT_EQ(RowOf(cache, c, prefilled, s, last), std::vector<float>(first, first + columns))
          << i << " of " << count << ", length " << last + 1;
    }
  }
}

TEST_P(AttentionInvarianceTest, RepeatedRunsUnderLoadAgree) {
  const AttentionCase& c = GetParam();
  std::vector<int> many{2000, 17, 600, 90, 1, 4000};
  for (int s = 0; s < 220; ++s) many.push_back(1 + s * 37 % 60);
  const std::vector<std::vector<int>> steps{{5000}, {2000, 17, 600, 90, 1, 4000}, many};
  const int runs = c.cache.heads > 8 ? 5 : 20;  // each launch of many heads is many chances
  for (const std::vector<int>& lengths : steps) {
    PagedCache cache(c.cache, lengths, 25);
    ASSERT_TRUE(cache.Append(stream()).ok());
    const std::vector<float> decoded = Decode(cache, c), prefilled = Prefill(cache, c);
    BeginDisturbing();
    for (int run = 0; run < runs; ++run) {
      const std::vector<float> decoded_again = Decode(cache, c);
      ASSERT_EQ(std::memcmp(decoded.data(), decoded_again.data(), 4 * decoded.size()), 0) << run;
      if (run % 4 != 0) continue;  // every row of every prompt is copied back: most of the time
      const std::vector<float> prefilled_again = Prefill(cache, c);
      ASSERT_EQ(std::memcmp(prefilled.data(), prefilled_again.data(), 4 * prefilled.size()), 0)
          << run;
    }
  }
}

std::vector<AttentionCase> InvarianceCases() {
  AttentionCase c;
  c.cache.heads = 4;
  std::vector<AttentionCase> cases{c};
  c.cache.exact_window = 32;
  cases.push_back(c);
  c.cache.exact_window = 0;
  c.cache.storage = KvStorage::kF16;
  cases.push_back(c);
  // Heads for teams of warps: two strands; two that are not alike, with a window; two of five, two
  // query heads each. With an exact window a page's heads come in one slot or in two.
  AttentionCase teams;
  teams.cache.heads = teams.cache.kv_heads = 16;
  for (const int exact_window : {0, 16, 32}) {
    teams.cache.exact_window = exact_window;
    cases.push_back(teams);
  }
  teams.cache.exact_window = 0;
  teams.cache.head_dim = 64;
  teams.cache.heads = teams.cache.kv_heads = 9;
  teams.window = 300;
  cases.push_back(teams);
  teams.cache.storage = KvStorage::kInt8;
  for (const int exact_window : {0, 16, 32}) {
    teams.cache.exact_window = exact_window;
    cases.push_back(teams);
  }
  teams.cache.exact_window = 0;
  teams.cache.storage = KvStorage::kInt4;
  teams.cache.head_dim = 80;
  teams.cache.heads = 20;
  teams.cache.kv_heads = 10;
  teams.window = 0;
  teams.softcap = 5;
  cases.push_back(teams);
  teams.cache.exact_window = 16;
  cases.push_back(teams);
  // Three and four query heads of a KV head: teams of fewer warps; strands of four, and of three
  // and two.
  AttentionCase pairs;
  pairs.cache.heads = 16;
  pairs.cache.kv_heads = 4;
  for (const int exact_window : {0, 32}) {
    pairs.cache.exact_window = exact_window;
    cases.push_back(pairs);
  }
  pairs.cache.exact_window = 16;
  pairs.cache.heads = 15;
  pairs.cache.kv_heads = 5;
  cases.push_back(pairs);
  pairs.cache.exact_window = 0;
  pairs.window = 300;
  pairs.cache.head_dim = 96;
  pairs.cache.heads = 20;
  cases.push_back(pairs);
  pairs.cache.storage = KvStorage::kInt8;
  pairs.cache.head_dim = 64;
  pairs.cache.heads = 16;
  pairs.cache.kv_heads = 4;
  pairs.softcap = 5;
  cases.push_back(pairs);
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Cases, AttentionInvarianceTest, ::testing::ValuesIn(InvarianceCases()),
                         [](const auto& which) { return AttentionCaseName(which.param); });

}  // namespace
}  // namespace atom::kernels::cuda
