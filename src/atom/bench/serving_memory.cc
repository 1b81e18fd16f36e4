#include "atom/bench/serving_memory.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>

#include "atom/io/quote.h"

namespace atom::bench {
namespace {

constexpr double kGib = 1024.0 * 1024.0 * 1024.0;

struct Unit {
  std::string_view name;
  double bytes;
};
constexpr std::array kUnits = {Unit{"", 1.0}, Unit{"KiB", 1024.0}, Unit{"MiB", 1024.0 * 1024.0},
                               Unit{"GiB", kGib}};

int64_t ScratchBytes(const model::Transformer& transformer) {
  constexpr int64_t kFloat = sizeof(float);
  const model::ModelConfig& config = transformer.config();
  const model::Transformer::Limits& limits = transformer.limits();
  const int64_t heads = config.num_heads * config.head_dim;
  const int64_t qkv = heads + 2 * config.num_kv_heads * config.head_dim;
  const int64_t tensors = 2 * config.hidden_size + qkv + heads + 2 * config.intermediate_size;
  // The linears' inputs, unquantized at the most, so that the same is set aside for all recipes.
  const int64_t inputs = 2 * config.hidden_size + heads + config.intermediate_size;
  const int64_t logits = 2 * transformer.head_rows() * config.vocab_size;  // the sampler's copy
  return kFloat * (limits.rows * (tensors + inputs) + logits + limits.positions * config.head_dim);
}

}  // namespace

int64_t ServingMemory::PagesWithin(int64_t budget) const {
  return std::max<int64_t>(budget - weights - scratch, 0) / page_bytes;
}

ServingMemory MemoryOf(const RandomModel& model) {
  const model::ModelConfig& config = model.transformer->config();
  const kernels::KvPageLayout layout{model.kv, config.num_kv_heads, config.head_dim};
  return {.weights = model.cost.linear_bytes + 2 * model.cost.head_bytes,
          .scratch = ScratchBytes(*model.transformer),
          .page_bytes = model.cost.layers * layout.PageBytes()};
}

Result<int64_t> ParseByteSize(std::string_view text) {
  double number = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view name = text.substr(static_cast<size_t>(end - text.data()));
  while (name.starts_with(' ')) name.remove_prefix(1);
  for (const Unit& unit : kUnits) {
    const double bytes = number * unit.bytes;
    if (error == std::errc() && name == unit.name && bytes >= 1.0 && bytes < 1e15) {
      return static_cast<int64_t>(bytes);
    }
  }
  return MakeError("a size in memory: expected one such as 2.5GiB or 300MiB, found {}",
                   io::Quote(text));
}

std::string GibText(int64_t bytes) {
  return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / kGib);
}

}  // namespace atom::bench
