#include "atom/engine/batch_builder.h"

namespace atom::engine {

const kernels::Batch& BatchBuilder::Build(const std::vector<Chunk>& chunks) {
  batch_.Clear();
  logit_rows_.clear();
  for (const Chunk& chunk : chunks) AddChunk(chunk);
  return batch_;
}

void BatchBuilder::AddChunk(const Chunk& chunk) {
  Sequence& sequence = *chunk.sequence;
  const int64_t end = sequence.computed + chunk.count;
  for (int64_t position = sequence.computed; position < end; ++position) {
    const bool last = chunk.last() && position + 1 == end;
    if (last || sequence.wants_logits(position)) {
      batch_.logit_rows.push_back(static_cast<int32_t>(batch_.tokens.size()));
      logit_rows_.push_back({&sequence, position, last});
    }
    const int32_t page = sequence.pages[static_cast<size_t>(position / page_positions_)];
    batch_.tokens.push_back(sequence.tokens[static_cast<size_t>(position)]);
    batch_.positions.push_back(static_cast<int32_t>(position));
    batch_.kv_slots.push_back(
        static_cast<int32_t>(page * page_positions_ + position % page_positions_));
  }
  batch_.query_starts.push_back(static_cast<int32_t>(batch_.tokens.size()));
  batch_.kv_lengths.push_back(static_cast<int32_t>(end));
  const auto used = static_cast<std::ptrdiff_t>(kernels::PagesFor(end, page_positions_));
  batch_.pages.insert(batch_.pages.end(), sequence.pages.begin(), sequence.pages.begin() + used);
  batch_.page_starts.push_back(static_cast<int32_t>(batch_.pages.size()));
}

}  // namespace atom::engine
