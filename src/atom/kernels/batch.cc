#include "atom/kernels/batch.h"

#include <numeric>
#include <utility>

#include "atom/core/check.h"
#include "atom/kernels/kv_page.h"

namespace atom::kernels {
namespace {

void CheckSizes(const Batch& batch) {
  const size_t rows = batch.tokens.size();
  const size_t sequences = batch.kv_lengths.size();
  ATOM_CHECK(batch.positions.size() == rows, "{} positions, {} tokens", batch.positions.size(),
             rows);
  ATOM_CHECK(batch.slots.size() == rows, "{} slots, {} tokens", batch.slots.size(), rows);
  ATOM_CHECK(batch.query_starts.size() == sequences + 1, "{} query starts, {} sequences",
             batch.query_starts.size(), sequences);
  ATOM_CHECK(batch.max_blocks >= 0, "max_blocks = {}", batch.max_blocks);
  ATOM_CHECK(batch.block_tables.size() == sequences * static_cast<size_t>(batch.max_blocks),
             "{} entries of block tables, {} sequences, {} blocks each", batch.block_tables.size(),
             sequences, batch.max_blocks);
  ATOM_CHECK(batch.query_starts.front() == 0, "query_starts[0] = {}", batch.query_starts.front());
  ATOM_CHECK(batch.query_starts.back() == batch.rows(), "the last query start is {}, {} tokens",
             batch.query_starts.back(), rows);
}

void CheckSequence(const Batch& batch, int64_t sequence, int64_t pages) {
  const auto s = static_cast<size_t>(sequence);
  const int32_t first = batch.query_starts[s];
  const int32_t last = batch.query_starts[s + 1];
  const int32_t length = batch.kv_lengths[s];
  ATOM_CHECK(first <= last && last <= batch.rows(), "sequence {}: rows [{}, {}) of {}", sequence,
             first, last, batch.rows());
  const int64_t room = int64_t{batch.max_blocks} * kKvPagePositions;
  ATOM_CHECK(length >= last - first && length <= room,
             "sequence {}: {} positions, {} of them new, block table for {}", sequence, length,
             last - first, room);

  const int32_t* blocks = batch.block_tables.data() + sequence * batch.max_blocks;
  for (int64_t block = 0; block * kKvPagePositions < length; ++block) {
    ATOM_CHECK(blocks[block] >= 0 && blocks[block] < pages,
               "sequence {}: block {} is page {} of {}", sequence, block, blocks[block], pages);
  }
  for (int32_t row = first; row < last; ++row) {
    const int32_t position = batch.positions[static_cast<size_t>(row)];
    ATOM_CHECK(position == length - (last - row), "row {}: position {}, expected {}", row, position,
               length - (last - row));
    const int64_t slot =
        blocks[position / kKvPagePositions] * kKvPagePositions + position % kKvPagePositions;
    ATOM_CHECK(batch.slots[static_cast<size_t>(row)] == slot, "row {}: slot {}, expected {}", row,
               batch.slots[static_cast<size_t>(row)], slot);
  }
}

}  // namespace

Batch SingleSequence(std::vector<int32_t> tokens, int64_t start) {
  const auto rows = static_cast<int32_t>(tokens.size());
  const auto length = static_cast<int32_t>(start) + rows;
  Batch batch;
  batch.tokens = std::move(tokens);
  batch.positions.resize(static_cast<size_t>(rows));
  std::iota(batch.positions.begin(), batch.positions.end(), static_cast<int32_t>(start));
  batch.slots = batch.positions;  // page p holds the positions from 16 p on
  batch.query_starts = {0, rows};
  batch.kv_lengths = {length};
  batch.max_blocks = static_cast<int32_t>((length + kKvPagePositions - 1) / kKvPagePositions);
  batch.block_tables.resize(static_cast<size_t>(batch.max_blocks));
  std::iota(batch.block_tables.begin(), batch.block_tables.end(), 0);
  return batch;
}

void CheckBatch(const Batch& batch, int64_t pages) {
  CheckSizes(batch);
  for (int64_t sequence = 0; sequence < batch.sequences(); ++sequence) {
    CheckSequence(batch, sequence, pages);
  }
  int32_t previous = -1;
  for (const int32_t row : batch.logit_rows) {
    ATOM_CHECK(row > previous && row < batch.rows(), "logit row {} behind {}, {} rows", row,
               previous, batch.rows());
    previous = row;
  }
}

}  // namespace atom::kernels
