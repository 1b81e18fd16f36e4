// One step's Batch as one stretch of int32, so that a device gets it in one copy a step. Each array
// has a place of its own, made for the most that a step may hold: addresses are the same in every
// step, as graphs that were captured need them.
//
//   | tokens | positions | kv_slots | logit_rows | query_starts | kv_lengths | page_starts | …
//     rows     rows        rows       rows         sequences+1    sequences    sequences+1
//   | exact_slots | exact_starts | exact_pages | pages |
//     rows          sequences+1    exact_pages   pages      the three only with an exact window
//
// What a step does not use lies between; `pages`, the longest, comes last, so that a copy may end
// with what is used (used()).
#pragma once

#include <cstdint>
#include <span>

#include "atom/kernels/batch.h"

namespace atom::kernels {

/// The most that one step may hold.
struct BatchLimits {
  int64_t rows = 0;         ///< T, rows of padding included
  int64_t sequences = 0;    ///< S
  int64_t pages = 0;        ///< entries of all page lists together
  int64_t exact_pages = 0;  ///< and of all lists of exact pages; 0: no exact window

  /// Each the larger of the two.
  static BatchLimits Most(const BatchLimits& a, const BatchLimits& b);
};

/// A step's arrays where an arena keeps them, in host or device memory.
struct StepView {
  std::span<const int32_t> tokens, positions, kv_slots, logit_rows;  ///< batch.h
  std::span<const int32_t> query_starts, kv_lengths, page_starts, pages;
  std::span<const int32_t> exact_slots, exact_starts, exact_pages;

  int64_t rows() const { return std::ssize(tokens); }
  int64_t sequences() const { return std::ssize(kv_lengths); }
};

class StepArena {
 public:
  StepArena() = default;  ///< room for nothing
  explicit StepArena(const BatchLimits& limits) : limits_(limits) {}

  const BatchLimits& limits() const { return limits_; }
  /// int32s of the whole arena.
  int64_t size() const;
  /// int32s from the first to the last that a batch uses.
  int64_t used(const Batch& batch) const;

  /// Writes a batch, its rows padded to `rows` (Backend::RowBucket): padding rows have token 0,
  /// position 0, slots -1 and no sequence. REQUIRES: it fits; `to` has size() int32s.
  void Pack(const Batch& batch, int64_t rows, std::span<int32_t> to) const;
  /// Where a packed batch's arrays lie in `base`, which may be device memory.
  StepView View(const Batch& batch, int64_t rows, const int32_t* base) const;

 private:
  BatchLimits limits_;
};

}  // namespace atom::kernels
