// Times decode and prefill attention and the append kernel, and the card's read bandwidth beside
// them: cuda_attention_bench [FILE.json [WORD]]; WORD: only cases whose name holds it.
#include <cmath>

#include "atom/kernels/cuda/attention/attention.h"
#include "atom/kernels/cuda/attention/kv_fragments.h"
#include "atom/kernels/cuda/device/check.h"

#include "tests/kernels/cuda/bench_inputs.h"
#include "tests/kernels/cuda/timing.h"

namespace atom::kernels::cuda {
namespace {

struct Case {
  const char* name;
  KvStorage storage;
  int sequences, length, heads, kv_heads, head_dim;
  int exact_window = 0;
};

class Bench {
 public:
  Bench(const DeviceProperties& device, std::string word)
      : device_(device), timer_(device), word_(std::move(word)) {
    words_ = int64_t{3} << 28;  // 3 GiB of cache at most
    memory_ = BenchAllocate<uint32_t>(static_cast<size_t>(words_));
    FillRandom(memory_, words_);
    rows_ = BenchAllocate<uint16_t>(kRowValues);
    FillHalf(rows_, kRowValues);
    out_ = BenchAllocate<uint16_t>(kRowValues);
    workspace_ = BenchAllocate<std::byte>(kWorkspace);
    counters_ = BenchAllocate<std::byte>(kCounters);
    Timer::Require(cudaMemset(counters_, 0, kCounters));
    Timer::Require(cudaDeviceSynchronize());
  }

  void ReadBandwidth() {
    auto* sink = reinterpret_cast<uint32_t*>(out_);
    const Timing timing = timer_.Measure(4, [&](int, cudaStream_t stream) -> Status {
      return Check(ReadAll(memory_, 4 * words_, device_.multiprocessors, sink, stream), "read");
    });
    bandwidth_ = 4.0 * static_cast<double>(words_) / timing.microseconds / 1e3;
    Report("read bandwidth, GB/s", timing, bandwidth_, 0);
  }

  void Decode(const Case& c) {
    const std::string name = fmt::format(
        "decode {} {} x {} heads {}/{} d{}{}", c.name, c.sequences, c.length, c.heads, c.kv_heads,
        c.head_dim, c.exact_window > 0 ? fmt::format(" exact {}", c.exact_window) : "");
    if (!Wanted(name)) return;
    const Cache cache = MakeCache(c);
    DecodeAttention call;
    call.params = ParamsOf(c);
    call.q = {rows_, RowType::kF16, int64_t{c.heads} * c.head_dim};
    call.out = {out_, RowType::kF16, int64_t{c.heads} * c.head_dim};
    call.kv = cache.kv;
    call.lists = cache.lists;
    double bytes = static_cast<double>(cache.pages) * cache.kv.PageBytes();
    if (c.exact_window > 0) {
      Case exact = c;
      exact.storage = KvStorage::kF16;
      exact.length = c.exact_window + kPagePositions;
      const Cache window = MakeCache(exact, rows_);
      call.params.exact_window = c.exact_window;
      call.exact = window.kv;
      call.exact_lists = window.lists;
      call.exact_lists.kv_lengths = call.lists.kv_lengths;
      bytes += static_cast<double>(window.pages) * window.kv.PageBytes();
    }
    call.counters = counters_;
    call.workspace = workspace_;
    ATOM_CHECK(DecodeCounterBytes(cache.kv, call.params, c.sequences) <= kCounters, "counters");
    ATOM_CHECK(DecodeWorkspaceBytes(cache.kv, call.params, c.sequences, cache.pages) <= kWorkspace,
               "workspace");
    const Timing timing = timer_.Measure(
        10, [&](int, cudaStream_t stream) { return LaunchDecodeAttention(call, stream); });
    const double rate = bytes / timing.microseconds / 1e3;
    Report(name, timing, rate, rate / bandwidth_);
  }

  void Prefill(const Case& c) {
    const std::string name = fmt::format("prefill {} {} x {} heads {}/{} d{}", c.name, c.sequences,
                                         c.length, c.heads, c.kv_heads, c.head_dim);
    if (!Wanted(name)) return;
    const Cache cache = MakeCache(c);
    PrefillAttention call;
    call.params = ParamsOf(c);
    call.q = {rows_, RowType::kF16, int64_t{c.heads} * c.head_dim};
    call.out = {out_, RowType::kF16, int64_t{c.heads} * c.head_dim};
    std::vector<int32_t> starts;
    for (int s = 0; s <= c.sequences; ++s) starts.push_back(s * c.length);
    call.query_starts = Upload(starts);
    call.max_queries = c.length;
    call.kv = cache.kv;
    call.lists = cache.lists;
    const Timing timing = timer_.Measure(
        3, [&](int, cudaStream_t stream) { return LaunchPrefillAttention(call, stream); });
    const double flop = 4.0 * c.sequences * c.heads * c.head_dim * 0.5 * c.length * c.length;
    Report(name, timing, flop / timing.microseconds / 1e6, 0);
  }

  /// A step that appends `length` tokens to each sequence.
  void Append(const Case& c, bool hadamard) {
    const std::string name =
        fmt::format("append {} {} tokens heads {}/{} d{}{}", c.name, c.sequences * c.length,
                    c.heads, c.kv_heads, c.head_dim, hadamard ? " hadamard" : "");
    if (!Wanted(name)) return;
    const Cache cache = MakeCache(c);
    const int tokens = c.sequences * c.length;
    std::vector<int32_t> positions, slots;
    for (int s = 0; s < c.sequences; ++s) {
      for (int p = 0; p < c.length; ++p) {
        positions.push_back(p);
        slots.push_back((s * ((c.length + 15) / 16) + p / 16) * 16 + p % 16);
      }
    }
    const int64_t columns = int64_t{c.heads + 2 * c.kv_heads} * c.head_dim;
    AppendKv call;
    call.qkv = {rows_, RowType::kF16, columns};
    call.tokens = tokens;
    call.heads = c.heads;
    call.kv = cache.kv;
    call.positions = Upload(positions);
    call.slots = Upload(slots);
    call.rope = reinterpret_cast<const float*>(Upload(std::vector<int32_t>(
        static_cast<size_t>(c.length * c.head_dim), 0x3F3504F3)));  // cos = sin = 1/√2
    call.rotary_dim = c.head_dim;
    call.hadamard = hadamard;
    const Timing timing =
        timer_.Measure(10, [&](int, cudaStream_t stream) { return LaunchAppendKv(call, stream); });
    const double bytes = 2.0 * tokens * columns + 2.0 * tokens * c.heads * c.head_dim +
                         static_cast<double>(cache.pages) * cache.kv.PageBytes();
    const double rate = bytes / timing.microseconds / 1e3;
    Report(name, timing, rate, rate / bandwidth_);
  }

  const std::string& json() const { return json_; }

 private:
  static constexpr size_t kRowValues = size_t{1} << 27;
  static constexpr int64_t kWorkspace = int64_t{1} << 29, kCounters = int64_t{1} << 20;

  bool Wanted(const std::string& name) const { return name.find(word_) != std::string::npos; }

  struct Cache {
    KvPages kv;
    PageLists lists;
    int64_t pages;
  };

  static AttentionParams ParamsOf(const Case& c) {
    AttentionParams params;
    params.heads = c.heads;
    params.scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
    return params;
  }

  const int32_t* Upload(const std::vector<int32_t>& values) {
    auto* device = BenchAllocate<int32_t>(values.size());
    Timer::Require(cudaMemcpy(device, values.data(), 4 * values.size(), cudaMemcpyHostToDevice));
    return device;
  }

  Cache MakeCache(const Case& c) {
    Cache cache = MakeCache(c, memory_);
    ATOM_CHECK(cache.pages * cache.kv.PageBytes() <= 4 * words_, "{} pages", cache.pages);
    const int head_bytes = HeadPageBytes(c.storage, c.head_dim);
    if (HasScales(c.storage)) {
      FillRandom(memory_, words_);
      const float steps = c.storage == KvStorage::kInt4 ? 15 : 255;
      FillScales(memory_, cache.pages * c.kv_heads, head_bytes, ScaleOffset(c.storage, c.head_dim),
                 2 / steps, -1.0f);
    } else {
      FillHalf(memory_, 2 * words_);
    }
    Timer::Require(cudaDeviceSynchronize());
    return cache;
  }

  /// Pages in memory that is filled.
  Cache MakeCache(const Case& c, void* memory) {
    Cache cache;
    cache.kv.data = static_cast<std::byte*>(memory);
    cache.kv.storage = c.storage;
    cache.kv.kv_heads = c.kv_heads;
    cache.kv.head_dim = c.head_dim;
    const int each = (c.length + 15) / 16;
    cache.pages = int64_t{each} * c.sequences;
    std::vector<int32_t> indptr, indices, lengths;
    for (int s = 0; s <= c.sequences; ++s) indptr.push_back(s * each);
    for (int64_t i = 0; i < cache.pages; ++i) {  // a permutation: 7919 is prime
      indices.push_back(static_cast<int32_t>(i * 7919 % cache.pages));
    }
    lengths.assign(static_cast<size_t>(c.sequences), c.length);
    cache.lists = {Upload(indptr), Upload(indices), Upload(lengths), c.sequences};
    return cache;
  }

  void Report(const std::string& name, const Timing& timing, double rate, double share) {
    fmt::print("{:<58} {:>9.2f} us  {:>8.1f}  {:>5.1f} %  {:>5} MHz {:>4.0f} W\n", name,
               timing.microseconds, rate, 100 * share, timing.card.sm_clock_mhz,
               timing.card.power_watts);
    std::fflush(stdout);
    json_ += fmt::format(
        "{}{{\"case\": \"{}\", \"us\": {:.3f}, \"fastest_us\": {:.3f}, \"rate\": {:.2f}, "
        "\"share_of_read_bandwidth\": {:.4f}, \"sm_clock_mhz\": {}, \"power_w\": {:.0f}}}",
        json_.empty() ? "" : ",\n  ", name, timing.microseconds, timing.fastest, rate, share,
        timing.card.sm_clock_mhz, timing.card.power_watts);
  }

  DeviceProperties device_;
  Timer timer_;
  std::string word_;
  int64_t words_ = 0;
  uint32_t* memory_ = nullptr;
  uint16_t *rows_ = nullptr, *out_ = nullptr;
  std::byte *workspace_ = nullptr, *counters_ = nullptr;
  double bandwidth_ = 1;
  std::string json_;
};

int Main(int argc, char** argv) {
  const Result<DeviceProperties> device = OpenDevice();
  if (!device.ok()) {
    fmt::print(stderr, "{}\n", device.error().message);
    return 1;
  }
  fmt::print(
      "{}, {} multiprocessors. us a launch; GB/s (prefill: TFLOP/s); share of the read "
      "bandwidth\n",
      device->name, device->multiprocessors);
  Bench bench(*device, argc > 2 ? argv[2] : "");
  bench.ReadBandwidth();
  constexpr KvStorage kInt4 = KvStorage::kInt4, kInt8 = KvStorage::kInt8, kF16 = KvStorage::kF16;
  for (const Case& c :
       {Case{"int4", kInt4, 128, 1024, 32, 32, 128}, Case{"int4", kInt4, 32, 4096, 32, 8, 128},
        Case{"int8", kInt8, 128, 1024, 32, 32, 128}, Case{"int8", kInt8, 32, 4096, 32, 8, 128},
        Case{"f16", kF16, 128, 1024, 32, 32, 128}, Case{"f16", kF16, 32, 4096, 32, 8, 128},
        Case{"int4", kInt4, 1, 4096, 32, 8, 128}, Case{"int4", kInt4, 1, 65536, 32, 8, 128},
        Case{"int4", kInt4, 1, 1024, 32, 32, 128}, Case{"int4", kInt4, 1, 1024, 32, 32, 128, 32},
        Case{"int4", kInt4, 64, 1024, 32, 32, 128}, Case{"int4", kInt4, 64, 1024, 32, 32, 128, 32},
        Case{"int4", kInt4, 128, 1024, 9, 3, 64}, Case{"int4", kInt4, 64, 2048, 4, 1, 256}}) {
    bench.Decode(c);
  }
  for (const Case& c :
       {Case{"int4", kInt4, 1, 4096, 32, 8, 128}, Case{"int8", kInt8, 1, 4096, 32, 8, 128},
        Case{"f16", kF16, 1, 4096, 32, 8, 128}, Case{"int4", kInt4, 4, 4096, 32, 8, 128},
        Case{"int4", kInt4, 1, 4096, 32, 32, 128}, Case{"int4", kInt4, 4, 2048, 9, 3, 64},
        Case{"int4", kInt4, 1, 4096, 4, 1, 256}}) {
    bench.Prefill(c);
  }
  bench.Append(Case{"int4", kInt4, 1, 4096, 32, 8, 128}, false);
  bench.Append(Case{"int4", kInt4, 1, 4096, 32, 8, 128}, true);
  bench.Append(Case{"int4", kInt4, 128, 1, 32, 8, 128}, true);
  if (argc > 1) {
    std::FILE* file = std::fopen(argv[1], "w");
    if (file == nullptr) {
      fmt::print(stderr, "{}: cannot be written\n", argv[1]);
      return 1;
    }
    fmt::print(file, "{{\"device\": \"{}\", \"cases\": [\n  {}\n]}}\n", device->name, bench.json());
    std::fclose(file);
  }
  return 0;
}

}  // namespace
}  // namespace atom::kernels::cuda

int main(int argc, char** argv) { return atom::kernels::cuda::Main(argc, argv); }
