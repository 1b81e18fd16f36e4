#include "atom/kernels/batch.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "atom/core/check.h"
#include "atom/quant/formats.h"

namespace atom::kernels {
namespace {

void CheckStarts(std::string_view name, const std::vector<int32_t>& starts, size_t sequences,
                 size_t end) {
  ATOM_CHECK(starts.size() == sequences + 1, "{} {}, {} sequences", starts.size(), name, sequences);
  ATOM_CHECK(starts.front() == 0, "the first of the {} is {}", name, starts.front());
  ATOM_CHECK(static_cast<size_t>(starts.back()) == end, "the last of the {} is {}, expected {}",
             name, starts.back(), end);
  for (size_t s = 0; s < sequences; ++s) {
    ATOM_CHECK(starts[s] <= starts[s + 1], "sequence {}: {} from {} to {}", s, name, starts[s],
               starts[s + 1]);
  }
}

void CheckSizes(const Batch& batch) {
  const size_t rows = batch.tokens.size();
  const size_t sequences = batch.kv_lengths.size();
  ATOM_CHECK(batch.positions.size() == rows, "{} positions, {} tokens", batch.positions.size(),
             rows);
  ATOM_CHECK(batch.kv_slots.size() == rows, "{} KV slots, {} tokens", batch.kv_slots.size(), rows);
  CheckStarts("query starts", batch.query_starts, sequences, rows);
  CheckStarts("page starts", batch.page_starts, sequences, batch.pages.size());
}

void CheckExactSizes(const Batch& batch, const PagePool& pool) {
  if (pool.exact_window == 0) {
    ATOM_CHECK(batch.exact_pages.empty() && batch.exact_slots.empty(),
               "{} exact pages and no exact window", batch.exact_pages.size());
    return;
  }
  ATOM_CHECK(batch.exact_slots.size() == batch.tokens.size(), "{} exact slots, {} tokens",
             batch.exact_slots.size(), batch.tokens.size());
  CheckStarts("exact starts", batch.exact_starts, batch.kv_lengths.size(),
              batch.exact_pages.size());
}

void CheckExactPages(const Batch& batch, int64_t sequence, const PagePool& pool) {
  const auto s = static_cast<size_t>(sequence);
  const int32_t first_row = batch.query_starts[s];
  const int32_t last_row = batch.query_starts[s + 1];
  if (first_row == last_row) return;
  const std::span<const int32_t> exact = batch.ExactPagesOf(sequence);
  const int64_t first_page = std::ssize(batch.PagesOf(sequence)) - std::ssize(exact);
  const int64_t needed = pool.FirstExactPage(batch.positions[static_cast<size_t>(first_row)]);
  ATOM_CHECK(first_page >= 0 && first_page <= needed,
             "sequence {}: exact pages from page {} on, expected from {} on", sequence, first_page,
             needed);
  for (const int32_t page : exact) {
    ATOM_CHECK(page >= 0 && page < pool.exact_pages, "sequence {}: exact page {} of {}", sequence,
               page, pool.exact_pages);
  }
  for (int32_t row = first_row; row < last_row; ++row) {
    const int32_t position = batch.positions[static_cast<size_t>(row)];
    const int64_t page = exact[static_cast<size_t>(position / pool.page_positions - first_page)];
    const int64_t slot = page * pool.page_positions + position % pool.page_positions;
    ATOM_CHECK(batch.exact_slots[static_cast<size_t>(row)] == slot,
               "row {}: exact slot {}, expected {}", row,
               batch.exact_slots[static_cast<size_t>(row)], slot);
  }
}

void CheckSequence(const Batch& batch, int64_t sequence, const PagePool& pool) {
  const auto s = static_cast<size_t>(sequence);
  const int32_t first = batch.query_starts[s];
  const int32_t last = batch.query_starts[s + 1];
  const int32_t length = batch.kv_lengths[s];
  const std::span<const int32_t> pages = batch.PagesOf(sequence);
  const int64_t room = std::ssize(pages) * pool.page_positions;
  ATOM_CHECK(length >= last - first && length <= room,
             "sequence {}: {} positions, {} of them new, pages for {}", sequence, length,
             last - first, room);
  for (size_t i = 0; i < pages.size(); ++i) {
    ATOM_CHECK(pages[i] >= 0 && pages[i] < pool.pages, "sequence {}: page {} is number {} of {}",
               sequence, i, pages[i], pool.pages);
  }
  for (int32_t row = first; row < last; ++row) {
    const int32_t position = batch.positions[static_cast<size_t>(row)];
    ATOM_CHECK(position == length - (last - row), "row {}: position {}, expected {}", row, position,
               length - (last - row));
    const int64_t page = pages[static_cast<size_t>(position / pool.page_positions)];
    const int64_t slot = page * pool.page_positions + position % pool.page_positions;
    ATOM_CHECK(batch.kv_slots[static_cast<size_t>(row)] == slot, "row {}: KV slot {}, expected {}",
               row, batch.kv_slots[static_cast<size_t>(row)], slot);
  }
}

/// Part s of a list in CSR.
std::span<const int32_t> PartOf(const std::vector<int32_t>& values,
                                const std::vector<int32_t>& starts, int64_t s) {
  const auto first = static_cast<size_t>(starts[static_cast<size_t>(s)]);
  const auto end = static_cast<size_t>(starts[static_cast<size_t>(s) + 1]);
  return std::span(values).subspan(first, end - first);
}

}  // namespace

std::span<const int32_t> Batch::PagesOf(int64_t sequence) const {
  return PartOf(pages, page_starts, sequence);
}

std::span<const int32_t> Batch::ExactPagesOf(int64_t sequence) const {
  return PartOf(exact_pages, exact_starts, sequence);
}

void Batch::Clear() {
  for (std::vector<int32_t>* array : {&tokens, &positions, &kv_slots, &kv_lengths, &pages,
                                      &logit_rows, &exact_slots, &exact_pages}) {
    array->clear();
  }
  query_starts.assign(1, 0);
  page_starts.assign(1, 0);
  exact_starts.assign(1, 0);
}

int64_t PagePool::FirstVisiblePage(int64_t position) const {
  return window == 0 || position < window ? 0 : (position - window + 1) / page_positions;
}

int64_t PagePool::PagesAtOnce(int64_t positions) const {
  const int64_t all = PagesFor(positions, page_positions);
  // The window may begin and end inside of a page, and one more is taken before one is given back.
  return window == 0 ? all : std::min(all, PagesFor(window, page_positions) + 2);
}

int64_t PagePool::FirstExactPage(int64_t position) const {
  return quant::KvFormat{.exact_window = exact_window}.FirstExact(position) / page_positions;
}

int64_t ExactPagesOfStep(const PagePool& pool, int64_t rows, int64_t sequences) {
  if (pool.exact_window == 0) return 0;
  // Each list goes back to the begin of its first query's block, then by the window; a page may be
  // begun at both ends.
  const int64_t before = pool.exact_window + quant::kExactBlock - 1;
  return sequences * (PagesFor(before, pool.page_positions) + 2) +
         PagesFor(rows, pool.page_positions);
}

Batch SingleSequence(std::vector<int32_t> tokens, int64_t start, const PagePool& pool) {
  Batch batch = SingleSequence(std::move(tokens), start, pool.page_positions);
  if (pool.exact_window == 0) return batch;
  const int64_t end = std::ssize(batch.pages);
  for (int64_t page = pool.FirstExactPage(start); page < end; ++page) {
    batch.exact_pages.push_back(static_cast<int32_t>(page % pool.exact_pages));
  }
  batch.exact_starts.push_back(static_cast<int32_t>(batch.exact_pages.size()));
  for (const int32_t position : batch.positions) {
    const int64_t page = position / pool.page_positions % pool.exact_pages;
    batch.exact_slots.push_back(
        static_cast<int32_t>(page * pool.page_positions + position % pool.page_positions));
  }
  return batch;
}

Batch SingleSequence(std::vector<int32_t> tokens, int64_t start, int64_t page_positions) {
  const auto rows = static_cast<int32_t>(tokens.size());
  const auto length = static_cast<int32_t>(start) + rows;
  const auto pages = static_cast<int32_t>(PagesFor(length, page_positions));
  Batch batch;
  batch.tokens = std::move(tokens);
  batch.positions.resize(static_cast<size_t>(rows));
  std::iota(batch.positions.begin(), batch.positions.end(), static_cast<int32_t>(start));
  batch.kv_slots = batch.positions;  // page p holds the positions from p * page_positions on
  batch.query_starts = {0, rows};
  batch.kv_lengths = {length};
  batch.page_starts = {0, pages};
  batch.pages.resize(static_cast<size_t>(pages));
  std::iota(batch.pages.begin(), batch.pages.end(), 0);
  return batch;
}

void CheckBatch(const Batch& batch, const PagePool& pool) {
  CheckSizes(batch);
  CheckExactSizes(batch, pool);
  for (int64_t sequence = 0; sequence < batch.sequences(); ++sequence) {
    CheckSequence(batch, sequence, pool);
    if (pool.exact_window != 0) CheckExactPages(batch, sequence, pool);
  }
  int32_t previous = -1;
  for (const int32_t row : batch.logit_rows) {
    ATOM_CHECK(row > previous && row < batch.rows(), "logit row {} behind {}, {} rows", row,
               previous, batch.rows());
    previous = row;
  }
}

}  // namespace atom::kernels
