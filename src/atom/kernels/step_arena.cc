#include "atom/kernels/step_arena.h"

#include <algorithm>

#include "atom/core/check.h"

namespace atom::kernels {
namespace {

/// Where each array begins.
struct Places {
  explicit Places(const BatchLimits& limits)
      : positions(limits.rows),
        kv_slots(2 * limits.rows),
        logit_rows(3 * limits.rows),
        query_starts(4 * limits.rows),
        kv_lengths(query_starts + limits.sequences + 1),
        page_starts(kv_lengths + limits.sequences),
        exact_slots(page_starts + limits.sequences + 1),
        exact_starts(exact_slots + (limits.exact_pages > 0 ? limits.rows : 0)),
        exact_pages(exact_starts + (limits.exact_pages > 0 ? limits.sequences + 1 : 0)),
        pages(exact_pages + limits.exact_pages) {}

  int64_t tokens = 0;
  int64_t positions;
  int64_t kv_slots;
  int64_t logit_rows;
  int64_t query_starts;
  int64_t kv_lengths;
  int64_t page_starts;
  int64_t exact_slots;
  int64_t exact_starts;
  int64_t exact_pages;
  int64_t pages;
};

}  // namespace

BatchLimits BatchLimits::Most(const BatchLimits& a, const BatchLimits& b) {
  return {.rows = std::max(a.rows, b.rows),
          .sequences = std::max(a.sequences, b.sequences),
          .pages = std::max(a.pages, b.pages),
          .exact_pages = std::max(a.exact_pages, b.exact_pages)};
}

int64_t StepArena::size() const { return Places(limits_).pages + limits_.pages; }

int64_t StepArena::used(const Batch& batch) const {
  return Places(limits_).pages + std::ssize(batch.pages);
}

void StepArena::Pack(const Batch& batch, int64_t rows, std::span<int32_t> to) const {
  ATOM_CHECK(batch.rows() <= rows && rows <= limits_.rows, "{} rows padded to {}, room for {}",
             batch.rows(), rows, limits_.rows);
  ATOM_CHECK(batch.sequences() <= limits_.sequences, "{} sequences, room for {}", batch.sequences(),
             limits_.sequences);
  ATOM_CHECK(std::ssize(batch.pages) <= limits_.pages, "{} entries of page lists, room for {}",
             batch.pages.size(), limits_.pages);
  ATOM_CHECK(std::ssize(batch.exact_pages) <= limits_.exact_pages,
             "{} entries of lists of exact pages, room for {}", batch.exact_pages.size(),
             limits_.exact_pages);
  const Places places(limits_);
  const auto put = [&to](const std::vector<int32_t>& values, int64_t at) {
    return std::ranges::copy(values, to.begin() + at).out;
  };
  const auto padding = rows - batch.rows();
  std::fill_n(put(batch.tokens, places.tokens), padding, 0);
  std::fill_n(put(batch.positions, places.positions), padding, 0);
  std::fill_n(put(batch.kv_slots, places.kv_slots), padding, -1);
  put(batch.logit_rows, places.logit_rows);
  put(batch.query_starts, places.query_starts);
  put(batch.kv_lengths, places.kv_lengths);
  put(batch.page_starts, places.page_starts);
  if (!batch.exact_pages.empty()) {
    std::fill_n(put(batch.exact_slots, places.exact_slots), padding, -1);
    put(batch.exact_starts, places.exact_starts);
    put(batch.exact_pages, places.exact_pages);
  }
  put(batch.pages, places.pages);
}

StepView StepArena::View(const Batch& batch, int64_t rows, const int32_t* base) const {
  const Places places(limits_);
  const bool exact = !batch.exact_pages.empty();
  const auto at = [base](int64_t place, int64_t count) {
    return std::span<const int32_t>(base + place, static_cast<size_t>(count));
  };
  return {.tokens = at(places.tokens, rows),
          .positions = at(places.positions, rows),
          .kv_slots = at(places.kv_slots, rows),
          .logit_rows = at(places.logit_rows, std::ssize(batch.logit_rows)),
          .query_starts = at(places.query_starts, std::ssize(batch.query_starts)),
          .kv_lengths = at(places.kv_lengths, batch.sequences()),
          .page_starts = at(places.page_starts, std::ssize(batch.page_starts)),
          .pages = at(places.pages, std::ssize(batch.pages)),
          .exact_slots = at(places.exact_slots, exact ? rows : 0),
          .exact_starts = at(places.exact_starts, exact ? std::ssize(batch.exact_starts) : 0),
          .exact_pages = at(places.exact_pages, std::ssize(batch.exact_pages))};
}

}  // namespace atom::kernels
