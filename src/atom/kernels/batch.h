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
  std::vector<int32_t> tokens;        ///< [T] ids, or TokenInSlot
  std::vector<int32_t> positions;     ///< [T] position of each token in its sequence
  std::vector<int32_t> kv_slots;      ///< [T] where K and V go: page * page positions + offset
  std::vector<int32_t> query_starts;  ///< [S+1] first row of each sequence; the last is T
  std::vector<int32_t> kv_lengths;    ///< [S] positions in the cache after this step's append
  std::vector<int32_t> page_starts;   ///< [S+1] where each sequence's list begins in `pages`
  std::vector<int32_t> pages;         ///< page numbers, by sequence, in order of position
  std::vector<int32_t> logit_rows;    ///< ascending rows in [0, T) whose logits are wanted

  int64_t rows() const { return static_cast<int64_t>(tokens.size()); }
  int64_t sequences() const { return static_cast<int64_t>(kv_lengths.size()); }
  /// Pages of a sequence.
  std::span<const int32_t> PagesOf(int64_t sequence) const;

  /// Empty, but for the zeros in front of query_starts and page_starts. Keeps its memory.
  void Clear();
};

/// Pages of `page_positions` positions that hold `positions` positions.
constexpr int64_t PagesFor(int64_t positions, int64_t page_positions) {
  return (positions + page_positions - 1) / page_positions;
}

/// A Batch of one sequence whose tokens stand at positions [start, start + tokens.size()), pages
/// numbered from 0 in order, no logits wanted.
Batch SingleSequence(std::vector<int32_t> tokens, int64_t start, int64_t page_positions);

/// What a batch must fit: a pool of `pages` pages of `page_positions` positions each.
struct PagePool {
  int64_t pages = 0;
  int64_t page_positions = 0;
};
/// ATOM_CHECKs that the arrays fit together and that every page lies in the pool: O(T + pages in
/// the lists). What accesses memory relies on it, so every step is checked.
void CheckBatch(const Batch& batch, const PagePool& pool);

}  // namespace atom::kernels
