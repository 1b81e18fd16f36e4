#include "atom/engine/batch_builder.h"

#include <algorithm>

namespace atom::engine {

const kernels::Batch& BatchBuilder::Build(const std::vector<Chunk>& chunks) {
  batch_.tokens.clear();
  batch_.positions.clear();
  batch_.query_starts.assign(1, 0);
  batch_.kv_lengths.clear();
  batch_.slots.clear();
  batch_.logit_rows.clear();
  logit_rows_.clear();
  size_t max_blocks = 0;
  for (const Chunk& chunk : chunks) max_blocks = std::max(max_blocks, chunk.sequence->pages.size());
  batch_.max_blocks = static_cast<int32_t>(max_blocks);
  batch_.block_tables.assign(chunks.size() * max_blocks, 0);
  for (const Chunk& chunk : chunks) AddChunk(chunk);
  return batch_;
}

void BatchBuilder::AddChunk(const Chunk& chunk) {
  Sequence& sequence = *chunk.sequence;
  const int64_t end = sequence.computed + chunk.count;
  const auto index = static_cast<std::ptrdiff_t>(batch_.kv_lengths.size());
  std::ranges::copy(sequence.pages, batch_.block_tables.begin() + index * batch_.max_blocks);
  for (int64_t position = sequence.computed; position < end; ++position) {
    const bool last = chunk.last() && position + 1 == end;
    if (last || sequence.wants_logits(position)) {
      batch_.logit_rows.push_back(static_cast<int32_t>(batch_.tokens.size()));
      logit_rows_.push_back({&sequence, position, last});
    }
    const int32_t page = sequence.pages[static_cast<size_t>(position / kernels::kKvPagePositions)];
    batch_.tokens.push_back(sequence.tokens[static_cast<size_t>(position)]);
    batch_.positions.push_back(static_cast<int32_t>(position));
    batch_.slots.push_back(static_cast<int32_t>(page * kernels::kKvPagePositions +
                                                position % kernels::kKvPagePositions));
  }
  batch_.query_starts.push_back(static_cast<int32_t>(batch_.tokens.size()));
  batch_.kv_lengths.push_back(static_cast<int32_t>(end));
}

}  // namespace atom::engine
