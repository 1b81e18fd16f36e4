#include "atom/engine/batch_builder.h"

namespace atom::engine {

void BatchBuilder::Build(const std::vector<Chunk>& chunks, kernels::Batch& batch) {
  batch.Clear();
  logit_rows_.clear();
  for (const Chunk& chunk : chunks) AddChunk(chunk, batch);
}

void BatchBuilder::AddChunk(const Chunk& chunk, kernels::Batch& batch) {
  Sequence& sequence = *chunk.sequence;
  const int64_t known = std::ssize(sequence.tokens);
  const int64_t end = sequence.computed + chunk.rows();
  for (int64_t position = sequence.computed; position < end; ++position) {
    const bool last = position + 1 >= known;
    const int64_t drafted = position - known;  // negative: none
    if (last || sequence.wants_logits(position)) {
      batch.logit_rows.push_back(static_cast<int32_t>(batch.tokens.size()));
      logit_rows_.push_back({&sequence, position, last, drafted});
    }
    const int32_t page = sequence.pages[static_cast<size_t>(position / pool_.page_positions)];
    batch.tokens.push_back(drafted < 0 ? sequence.tokens[static_cast<size_t>(position)]
                                       : sequence.draft[static_cast<size_t>(drafted)]);
    batch.positions.push_back(static_cast<int32_t>(position));
    batch.kv_slots.push_back(
        static_cast<int32_t>(page * pool_.page_positions + position % pool_.page_positions));
  }
  batch.query_starts.push_back(static_cast<int32_t>(batch.tokens.size()));
  batch.kv_lengths.push_back(static_cast<int32_t>(end));
  const auto used = static_cast<std::ptrdiff_t>(kernels::PagesFor(end, pool_.page_positions));
  // In the place of pages that it gave back stands one of its own: what nobody sees is read all the
  // same, where a kernel reads whole tiles.
  const auto first = static_cast<std::ptrdiff_t>(sequence.first_page);
  batch.pages.insert(batch.pages.end(), sequence.pages.begin() + first,
                     sequence.pages.begin() + used);
  batch.pages.insert(batch.pages.end() - (used - first), static_cast<size_t>(first),
                     sequence.pages[static_cast<size_t>(first)]);
  batch.page_starts.push_back(static_cast<int32_t>(batch.pages.size()));
  if (pool_.exact_window > 0) AddExactPages(chunk, batch);
}

void BatchBuilder::AddExactPages(const Chunk& chunk, kernels::Batch& batch) const {
  const Sequence& sequence = *chunk.sequence;
  const int64_t end = sequence.computed + chunk.rows();
  const auto beside = [&sequence](int64_t page) {
    return sequence.exact_pages[static_cast<size_t>(page - sequence.first_exact_page())];
  };
  for (int64_t position = sequence.computed; position < end; ++position) {
    batch.exact_slots.push_back(
        static_cast<int32_t>(beside(position / pool_.page_positions) * pool_.page_positions +
                             position % pool_.page_positions));
  }
  for (int64_t page = pool_.FirstExactPage(sequence.computed);
       page < kernels::PagesFor(end, pool_.page_positions); ++page) {
    batch.exact_pages.push_back(beside(page));
  }
  batch.exact_starts.push_back(static_cast<int32_t>(batch.exact_pages.size()));
}

}  // namespace atom::engine
