#include "atom/kernels/cuda/bench/attention_bench.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "atom/core/check.h"
#include "atom/kernels/cuda/attention/attention.h"
#include "atom/kernels/cuda/attention/kv_fragments.h"
#include "atom/kernels/cuda/bench/bench_inputs.h"
#include "atom/kernels/cuda/bench/bench_memory.h"
#include "atom/kernels/cuda/bench/row_share.h"
#include "atom/kernels/cuda/device/check.h"

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
  Bench(const CudaAttentionOptions& options, const Timer& timer, const CudaCard& card,
        const OnCudaRow& on_row)
      : options_(options), timer_(timer), card_(card), on_row_(on_row) {
    memory_ = device_.Take<uint32_t>(kWords);
    rows_ = device_.Take<uint16_t>(kRowValues);
    out_ = device_.Take<uint16_t>(kRowValues);
    workspace_ = device_.Take<std::byte>(kWorkspace);
    counters_ = static_cast<std::byte*>(device_.Fill(std::vector<std::byte>(64), kCounters));
    if (device_.status().ok()) FillHalf(rows_, kRowValues);
  }

  const Status& status() const { return status_.ok() ? device_.status() : status_; }

  /// One query of each sequence.
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
    CudaBenchRow row{.name = name, .sizes = SizesOf(c)};
    row.bytes = static_cast<double>(cache.pages * cache.kv.PageBytes());
    if (c.exact_window > 0) {
      Case exact = c;
      exact.storage = KvStorage::kF16;
      exact.length = c.exact_window + kPagePositions;
      const Cache window = MakeCache(exact, rows_);
      call.params.exact_window = c.exact_window;
      call.exact = window.kv;
      call.exact_lists = window.lists;
      row.bytes += static_cast<double>(window.pages * window.kv.PageBytes());
    }
    call.counters = counters_;
    call.workspace = workspace_;
    ATOM_CHECK(DecodeCounterBytes(cache.kv, call.params, c.sequences) <= kCounters, "counters");
    ATOM_CHECK(DecodeWorkspaceBytes(cache.kv, call.params, c.sequences, cache.pages) <= kWorkspace,
               "workspace");
    Measure(row, 10, [&](int, cudaStream_t stream) { return LaunchDecodeAttention(call, stream); });
  }

  /// All tokens of each sequence, causal.
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
    CudaBenchRow row{.name = name, .sizes = SizesOf(c)};
    row.operations = 4.0 * c.sequences * c.heads * c.head_dim * 0.5 * c.length * c.length;
    row.bytes = static_cast<double>(cache.pages * cache.kv.PageBytes()) +
                4.0 * c.sequences * c.length * c.heads * c.head_dim;
    Measure(row, 3, [&](int, cudaStream_t stream) { return LaunchPrefillAttention(call, stream); });
  }

  /// A step that appends `length` tokens to each sequence.
  void Append(const Case& c, bool hadamard) {
    const std::string name =
        fmt::format("append {} {} x {} tokens heads {}/{} d{}{}", c.name, c.sequences, c.length,
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
    CudaBenchRow row{.name = name, .sizes = SizesOf(c)};
    row.bytes = 2.0 * tokens * static_cast<double>(columns) + 2.0 * tokens * c.heads * c.head_dim +
                static_cast<double>(cache.pages * cache.kv.PageBytes());
    Measure(row, 10, [&](int, cudaStream_t stream) { return LaunchAppendKv(call, stream); });
  }

 private:
  static constexpr size_t kRowValues = size_t{1} << 27;
  static constexpr int64_t kWorkspace = int64_t{1} << 29, kCounters = int64_t{1} << 20;

  bool Wanted(const std::string& name) const {
    return status().ok() && name.find(options_.cases) != std::string::npos;
  }

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

  const int32_t* Upload(const std::vector<int32_t>& values) { return device_.Upload(values); }

  Cache MakeCache(const Case& c) {
    const Cache cache = MakeCache(c, memory_);
    ATOM_CHECK(cache.pages * cache.kv.PageBytes() <= 4 * kWords, "{} pages", cache.pages);
    const int head_bytes = HeadPageBytes(c.storage, c.head_dim);
    if (HasScales(c.storage)) {
      FillRandom(memory_, kWords);
      const float steps = c.storage == KvStorage::kInt4 ? 15 : 255;
      FillScales(memory_, cache.pages * c.kv_heads, head_bytes, ScaleOffset(c.storage, c.head_dim),
                 2 / steps, -1.0f);
    } else {
      FillHalf(memory_, 2 * kWords);
    }
    status_ = Check(cudaDeviceSynchronize(), "fill a KV cache");
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

  static std::vector<std::pair<std::string, double>> SizesOf(const Case& c) {
    return {{"sequences", c.sequences}, {"length", c.length},     {"heads", c.heads},
            {"kv_heads", c.kv_heads},   {"head_dim", c.head_dim}, {"kv_bits", BitsOf(c.storage)}};
  }
  static int BitsOf(KvStorage storage) {
    return storage == KvStorage::kInt4 ? 4 : storage == KvStorage::kInt8 ? 8 : 16;
  }

  void Measure(CudaBenchRow& row, int launches, const Enqueue& enqueue) {
    if (!status().ok()) return;
    const Result<CudaTiming> timing =
        timer_.Measure(launches, enqueue, options_.seconds, options_.rounds > 0 ? 1 : 0);
    if (!timing.ok()) {
      status_ = timing.error();
      return;
    }
    row.timing = *timing;
    FillShare(card_, kBFloat16Ceiling, row);
    // "decode int4 128 x 1024 heads …" beside "decode 128 x 1024 heads …" of a 16-bit cache.
    const size_t word = row.name.find(' '), rest = row.name.find(' ', word + 1);
    const std::string shape = row.name.substr(0, word) + row.name.substr(rest);
    for (const auto& [name, us] : options_.baselines) {
      if (name == shape) row.ratio.emplace_back("sdpa_fp16", us / row.timing.us());
    }
    on_row_(row);
  }

  static constexpr int64_t kWords = int64_t{3} << 28;  // 3 GiB of cache at most

  const CudaAttentionOptions& options_;
  const Timer& timer_;
  const CudaCard& card_;
  const OnCudaRow& on_row_;
  BenchMemory device_;
  Status status_;
  uint32_t* memory_ = nullptr;
  uint16_t *rows_ = nullptr, *out_ = nullptr;
  std::byte *workspace_ = nullptr, *counters_ = nullptr;
};

}  // namespace

Status BenchAttention(const CudaAttentionOptions& options, const Timer& timer, const CudaCard& card,
                      const OnCudaRow& on_row) {
  Bench bench(options, timer, card, on_row);
  constexpr KvStorage kInt4 = KvStorage::kInt4, kInt8 = KvStorage::kInt8, kF16 = KvStorage::kF16;
  for (const Case& c :
       {Case{"int4", kInt4, 128, 1024, 32, 32, 128}, Case{"int4", kInt4, 32, 4096, 32, 8, 128},
        Case{"int8", kInt8, 128, 1024, 32, 32, 128}, Case{"int8", kInt8, 32, 4096, 32, 8, 128},
        Case{"f16", kF16, 128, 1024, 32, 32, 128},   Case{"f16", kF16, 32, 4096, 32, 8, 128},
        Case{"int4", kInt4, 1, 4096, 32, 8, 128},    Case{"int4", kInt4, 1, 65536, 32, 8, 128},
        Case{"int4", kInt4, 1, 1024, 32, 32, 128},   Case{"int4", kInt4, 1, 1024, 32, 32, 128, 32},
        Case{"int4", kInt4, 64, 1024, 32, 32, 128},  Case{"int4", kInt4, 64, 1024, 32, 32, 128, 32},
        Case{"int4", kInt4, 64, 1040, 32, 32, 128},  Case{"int4", kInt4, 64, 1041, 32, 32, 128, 16},
        Case{"int4", kInt4, 128, 1024, 9, 3, 64},    Case{"int4", kInt4, 64, 2048, 4, 1, 256},
        Case{"int4", kInt4, 64, 1024, 40, 40, 128},  Case{"int4", kInt4, 64, 1024, 32, 8, 128},
        Case{"int4", kInt4, 256, 1024, 32, 8, 128},  Case{"int4", kInt4, 256, 1041, 32, 8, 128, 16},
        Case{"int4", kInt4, 400, 1500, 32, 8, 128}}) {
    bench.Decode(c);
  }
  for (const Case& c :
       {Case{"int4", kInt4, 1, 4096, 32, 8, 128}, Case{"int8", kInt8, 1, 4096, 32, 8, 128},
        Case{"f16", kF16, 1, 4096, 32, 8, 128}, Case{"int4", kInt4, 4, 4096, 32, 8, 128},
        Case{"int4", kInt4, 1, 4096, 32, 32, 128}, Case{"int4", kInt4, 4, 2048, 9, 3, 64},
        Case{"int4", kInt4, 1, 4096, 4, 1, 256}, Case{"int4", kInt4, 1, 4096, 40, 40, 128}}) {
    bench.Prefill(c);
  }
  bench.Append(Case{"int4", kInt4, 1, 4096, 32, 8, 128}, false);
  bench.Append(Case{"int4", kInt4, 1, 4096, 32, 8, 128}, true);
  for (const int sequences : {128, 256, 512, 1024}) {
    bench.Append(Case{"int4", kInt4, sequences, 1, 32, 8, 128}, true);
  }
  for (const int tokens : {512, 1024}) {
    bench.Append(Case{"int4", kInt4, 1, tokens, 32, 8, 128}, true);
  }
  return bench.status();
}

}  // namespace atom::kernels::cuda
