#include "atom/kernels/cpu/kv_tile.h"

namespace atom::kernels::cpu {

TileLoader::TileLoader(const CpuContext& context, const StepView& step, const CpuKvLayer& kv,
                       int64_t sequence, int64_t kv_head, const TileBuffers& to)
    : context_(context),
      storage_(kv.layout.format.storage),
      quantized_(kv, PageList::Of(step, sequence), kv_head),
      to_(to) {
  if (const CpuKvLayer* exact = kv.Exact()) {
    exact_.emplace(*exact, PageList::ExactOf(step, sequence), kv_head);
  }
}

void TileLoader::Begin(int64_t tile_begin, int64_t begin, int64_t end) {
  tile_begin_ = tile_begin;
  begin_ = begin;
  end_ = end;
  std::ranges::fill(holds_, Holds::kNothing);
}

void TileLoader::Load(int64_t exact_from) {
  for (int64_t number = 0; number < kTilePages; ++number) {
    const int64_t first = tile_begin_ + number * kKvPagePositions;
    if (first + kKvPagePositions <= begin_ || first >= end_) continue;
    const Holds wanted = first < exact_from ? Holds::kQuantized : Holds::kExact;
    if (holds_[number] == wanted) continue;
    holds_[number] = wanted;
    if (wanted == Holds::kQuantized) {
      LoadPage(quantized_, storage_, number);
    } else {
      LoadPage(*exact_, quant::KvStorage::kF16, number);
    }
  }
}

void TileLoader::LoadPage(const HeadPages& pages, quant::KvStorage storage, int64_t number) const {
  const int64_t in_tile = number * kKvPagePositions;
  const int64_t first = tile_begin_ + in_tile;
  const int64_t count = std::min(kKvPagePositions, end_ - first);
  const auto kind = static_cast<size_t>(storage);
  float* keys =
      to_.keys + in_tile / kPanelOutputs * to_.padded_dim * kPanelOutputs + in_tile % kPanelOutputs;
  context_.kernels.load_keys[kind](pages.Rows(0, first / kKvPagePositions, count), keys);
  context_.kernels.load_values[kind](pages.Rows(1, first / kKvPagePositions, count),
                                     to_.values + in_tile * kPanelOutputs,
                                     kTilePositions * kPanelOutputs);
}

}  // namespace atom::kernels::cpu
