// Everything that one forward step needs to know about its sequences, as flat arrays: what the
// engine hands to the model, and what a backend uploads once a step (step_arena.h). Sequences are
// concatenated, prompt chunks and single decode tokens alike; their pages are lists one behind the
// other (CSR: page_starts are the row pointers, pages the indices). With pages of 4 positions:
//
//   tokens        a0 a1 a2 | b7 | c4 c5        T = 6 rows of hidden states
//   positions      0  1  2 |  7 |  4  5
//   kv_slots      20 21 22 |  7 |  8  9        page * 4 + offset in the page
//   query_starts   0         3    4      6     S + 1
//   kv_lengths     3         8    6            S, this step's tokens included
//   page_starts    0         1    3      5     S + 1
//   pages          5       | 3 1 | 0 2
//
// Where a model has an exact window (docs/numerics.md, 4), the newest pages of a sequence have
// *exact pages* beside them: as many positions, K and V as fp16, in a pool of their own. The lists
// in `exact_pages` belong to the last pages of each sequence, from the one with the first position
// that the step's first query reads exactly to the last:
//
//   exact_starts   0         1    2      4     S + 1; one 0 where there is no exact window
//   exact_pages    0       |   2 | 1 3         those of pages 5 | 1 | 0 2
//   exact_slots    0  1  2 | 11 |  4  5        T, or none; page * 4 + offset in the page
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace atom::kernels {

/// What stands for a token that the host does not know yet: Sample of an earlier step leaves it in
/// that token slot of the device (Backend::Sample), and Embed finds it there.
constexpr int32_t TokenInSlot(int32_t slot) { return -1 - slot; }
constexpr bool IsTokenSlot(int32_t token) { return token < 0; }
constexpr int32_t SlotOfToken(int32_t token) { return -1 - token; }

struct Batch {
  std::vector<int32_t> tokens;            ///< [T] ids, or TokenInSlot
  std::vector<int32_t> positions;         ///< [T] position of each token in its sequence
  std::vector<int32_t> kv_slots;          ///< [T] where K and V go: page * page positions + offset
  std::vector<int32_t> query_starts;      ///< [S+1] first row of each sequence; the last is T
  std::vector<int32_t> kv_lengths;        ///< [S] positions in the cache after this step's append
  std::vector<int32_t> page_starts;       ///< [S+1] where each sequence's list begins in `pages`
  std::vector<int32_t> pages;             ///< page numbers, by sequence, in order of position
  std::vector<int32_t> logit_rows;        ///< ascending rows in [0, T) whose logits are wanted
  std::vector<int32_t> exact_slots = {};  ///< [T] where K and V go as fp16 too, or empty
  std::vector<int32_t> exact_starts = {0};  ///< [S+1] as page_starts, into exact_pages; or {0}
  std::vector<int32_t> exact_pages = {};    ///< exact pages, by sequence, in order of position

  int64_t rows() const { return static_cast<int64_t>(tokens.size()); }
  int64_t sequences() const { return static_cast<int64_t>(kv_lengths.size()); }
  /// Pages of a sequence.
  std::span<const int32_t> PagesOf(int64_t sequence) const;
  /// Its exact pages: those beside its last pages.
  std::span<const int32_t> ExactPagesOf(int64_t sequence) const;

  /// Empty, but for the zeros in front of the three starts. Keeps its memory.
  void Clear();
};

/// Pages of `page_positions` positions that hold `positions` positions.
constexpr int64_t PagesFor(int64_t positions, int64_t page_positions) {
  return (positions + page_positions - 1) / page_positions;
}

/// What a batch must fit: a pool of `pages` pages of `page_positions` positions each, and one of
/// exact pages where there is an exact window.
struct PagePool {
  int64_t pages = 0;
  int64_t page_positions = 0;
  int64_t exact_pages = 0;
  int64_t exact_window = 0;  ///< positions; 0: none
  /// Positions that a query sees in the layer where it sees most, its own included; 0: all. In a
  /// sequence's list any page may stand in the place of one that no query of the step sees.
  int64_t window = 0;

  /// The first page that a query at `position` and those behind it see.
  int64_t FirstVisiblePage(int64_t position) const;
  /// Pages that a sequence of `positions` positions has to have at once to get on, token by token.
  int64_t PagesAtOnce(int64_t positions) const;
  /// Index of the first page that needs an exact page beside it for a query at `position`.
  int64_t FirstExactPage(int64_t position) const;
};

/// A Batch of one sequence whose tokens stand at positions [start, start + tokens.size()), no
/// logits wanted. Pages are numbered from 0 in order; exact pages in order, too, over and over.
Batch SingleSequence(std::vector<int32_t> tokens, int64_t start, const PagePool& pool);
Batch SingleSequence(std::vector<int32_t> tokens, int64_t start, int64_t page_positions);
/// The most exact pages in the lists of a step of `rows` rows of so many sequences.
int64_t ExactPagesOfStep(const PagePool& pool, int64_t rows, int64_t sequences);

/// ATOM_CHECKs that the arrays fit together and that every page lies in the pool: O(T + pages in
/// the lists). What accesses memory relies on it, so every step is checked.
void CheckBatch(const Batch& batch, const PagePool& pool);

}  // namespace atom::kernels
