#include "atom/bench/kernels/attention_bench.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <nlohmann/json.hpp>

#include "atom/bench/kernels/kv_filling.h"
#include "atom/bench/kernels/random_weights.h"
#include "atom/model/device_layer.h"

namespace atom::bench {
namespace {

using quant::KvStorage;

constexpr int64_t kPrefillTokens = 512;
constexpr std::array kStorages = {KvStorage::kBF16, KvStorage::kInt8, KvStorage::kInt4};
constexpr int64_t kMaxDepth = int64_t{1} << 20;

/// Layers of one storage, filled; a query to run over them in turn.
class AttentionCase {
 public:
  AttentionCase(BenchContext& bench, const model::ModelSpec& spec, KvStorage storage, int64_t depth)
      : backend_(bench.backend()), shape_(spec.layer(0).attention.Shape()), depth_(depth) {
    const kernels::KvShape kv{{.storage = storage}, shape_.kv_heads, shape_.head_dim};
    const int64_t pages = kernels::PagesFor(depth, backend_.kv_page_positions());
    const int64_t bytes = pages * backend_.KvPageBytes(kv);
    const int64_t count = std::max<int64_t>(1, (bench.effort().rotate_bytes + bytes - 1) / bytes);
    std::vector<kernels::KvLayer*> pointers;
    layers_.reserve(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      layers_.push_back(backend_.MakeKvLayer(kv, pages));
      pointers.push_back(layers_.back().get());
    }
    FillKv(backend_, spec, depth, pointers);
  }

  const kernels::KvShape& kv() const { return layers_.front()->shape(); }

  /// Attention of the last `tokens` positions.
  void SetTokens(int64_t tokens) {
    batch_ = kernels::SingleSequence(std::vector<int32_t>(static_cast<size_t>(tokens), 0),
                                     depth_ - tokens, backend_.kv_page_positions());
    const int64_t columns = (shape_.heads + 2 * shape_.kv_heads) * shape_.head_dim;
    const int64_t out_columns = shape_.heads * shape_.head_dim;
    Rng rng(4);
    input_ = model::UploadValues<float>(backend_, RandomFloats(rng, tokens * columns));
    output_ = backend_.Allocate(static_cast<size_t>(tokens * out_columns) * sizeof(float));
    qkv_ = {.data = input_.data(), .rows = tokens, .cols = columns, .stride = columns};
    out_ = {.data = output_.data(), .rows = tokens, .cols = out_columns, .stride = out_columns};
    backend_.BeginStep(batch_);
  }
  void Run() {
    backend_.Attention(qkv_, shape_, *layers_[next_++ % layers_.size()], out_);
    backend_.Sync();
  }

 private:
  kernels::Backend& backend_;
  kernels::AttentionShape shape_;
  int64_t depth_;
  std::vector<std::unique_ptr<kernels::KvLayer>> layers_;
  kernels::Batch batch_;
  kernels::DeviceBuffer input_, output_;
  kernels::DeviceTensor qkv_, out_;
  size_t next_ = 0;
};

AttentionRow MeasureRow(BenchContext& bench, const Geometry& geometry, const std::string& test,
                        int64_t depth, AttentionCase& attention) {
  const bool decode = test == "decode";
  const kernels::KvShape& kv = attention.kv();
  AttentionRow row{.test = test,
                   .geometry = geometry.name,
                   .shape = geometry.spec.layer(0).attention.Shape(),
                   .kv = std::string(quant::Name(kv.format.storage)),
                   .kv_bits = quant::KvStorageBits(kv.format.storage),
                   .depth = depth,
                   .tokens = decode ? 1 : std::min(kPrefillTokens, depth)};
  attention.SetTokens(row.tokens);
  const double operations = AttentionOperations(row.shape, depth - row.tokens, row.tokens);
  const auto bytes = static_cast<double>(depth * KvBytesPerPosition(kv));
  // Prefill is dense fp32 arithmetic, decoding waits for K and V.
  row.measured = bench.Measure(decode ? Ceiling::kDram : Ceiling::kFma, decode ? bytes : operations,
                               [&attention] { attention.Run(); });
  row.gops = operations / row.measured.seconds / 1e9;
  row.gbps = bytes / row.measured.seconds / 1e9;
  return row;
}

Status CheckNames(const std::vector<std::string>& names, const std::vector<std::string>& known,
                  std::string_view what) {
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return MakeError("bench attention: there is no {} \"{}\"; known are {}", what, name,
                       fmt::join(known, ", "));
    }
  }
  return {};
}

bool Contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void RunDepth(BenchContext& bench, const AttentionOptions& options, const Geometry& geometry,
              int64_t depth, const std::function<void(const AttentionRow&)>& on_row) {
  std::map<std::string, double> bf16_seconds;  // by test
  for (const KvStorage storage : kStorages) {  // bf16 first
    if (!Contains(options.kv, quant::Name(storage))) continue;
    AttentionCase attention(bench, geometry.spec, storage, depth);
    for (const std::string& test : options.tests) {
      AttentionRow row = MeasureRow(bench, geometry, test, depth, attention);
      if (storage == KvStorage::kBF16) bf16_seconds[test] = row.measured.seconds;
      if (const auto found = bf16_seconds.find(test); found != bf16_seconds.end()) {
        row.ratio.emplace_back("bf16_kv", found->second / row.measured.seconds);
      }
      on_row(row);
    }
  }
}

}  // namespace

std::vector<std::string> AttentionKvNames() { return {"int4", "int8", "bf16"}; }
std::vector<std::string> AttentionTestNames() { return {"decode", "prefill"}; }

int64_t VisiblePairs(const kernels::AttentionShape& shape, int64_t first, int64_t count) {
  int64_t pairs = 0;
  for (int64_t p = first; p < first + count; ++p) pairs += p + 1 - shape.FirstVisible(p);
  return pairs;
}

double AttentionOperations(const kernels::AttentionShape& shape, int64_t first, int64_t count) {
  return 4.0 * static_cast<double>(shape.heads * shape.head_dim) *
         static_cast<double>(VisiblePairs(shape, first, count));
}

Status RunAttention(BenchContext& bench, const AttentionOptions& options,
                    const std::function<void(const AttentionRow&)>& on_row) {
  if (Status s = CheckNames(options.kv, AttentionKvNames(), "KV storage"); !s.ok()) return s;
  if (Status s = CheckNames(options.tests, AttentionTestNames(), "test"); !s.ok()) return s;
  std::vector<Geometry> geometries;
  for (const std::string& name : options.geometries) {
    Result<Geometry> geometry = FindGeometry(name);
    if (!geometry.ok()) return geometry.error();
    geometries.push_back(std::move(geometry).value());
  }
  for (const int64_t depth : options.depths) {
    if (depth < 1 || depth > kMaxDepth) {
      return MakeError("bench attention: depth {}: expected 1 to {}", depth, kMaxDepth);
    }
  }
  for (const Geometry& geometry : geometries) {
    for (const int64_t depth : options.depths) RunDepth(bench, options, geometry, depth, on_row);
  }
  return {};
}

nlohmann::json ToJson(const AttentionRow& row, const BenchContext& bench) {
  nlohmann::json json = {{"bench", "attention"},
                         {"test", row.test},
                         {"shape", row.geometry},
                         {"heads", row.shape.heads},
                         {"kv_heads", row.shape.kv_heads},
                         {"head_dim", row.shape.head_dim},
                         {"kv", row.kv},
                         {"kv_bits", row.kv_bits},
                         {"depth", row.depth},
                         {"tokens", row.tokens},
                         {"gops", row.gops},
                         {"gbps", row.gbps}};
  bench.Describe(json);
  ToJson(row.measured, json);
  ToJson(row.ratio, json);
  return json;
}

std::string AttentionTableHeader() {
  return fmt::format("{:<8} {:<15} {:<5} {:>6} {:>7} {:>10} {:>8} {:>7} {:>7} of {:<11} {}", "test",
                     "shape", "KV", "depth", "queries", "ms", "GOP/s", "GB/s", "share", "ceiling",
                     "times bf16 KV");
}

std::string TableLine(const AttentionRow& row) {
  std::string line =
      fmt::format("{:<8} {:<15} {:<5} {:>6} {:>7} {:>10.3f} {:>8.1f} {:>7.2f} {:>6.1f}% of {:<11}",
                  row.test, row.geometry, row.kv, row.depth, row.tokens, row.measured.seconds * 1e3,
                  row.gops, row.gbps, row.measured.ceiling_fraction * 100, row.measured.ceiling);
  for (const auto& [name, value] : row.ratio) line += fmt::format(" {:.2f}", value);
  return line;
}

}  // namespace atom::bench
