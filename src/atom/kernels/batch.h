// Everything that one forward step needs to know about its sequences, as flat arrays: what the
// engine hands to the model, and what a backend uploads once a step. Sequences are concatenated,
// prompt chunks and single decode tokens alike:
//
//   tokens        a0 a1 a2 | b7 | c4 c5        T = 6 rows of hidden states
//   positions      0  1  2 |  7 |  4  5
//   query_starts   0         3    4      6     S + 1
//   kv_lengths     3         8    6            S, this step's tokens included
#pragma once

#include <cstdint>
#include <vector>

namespace atom::kernels {

struct Batch {
  std::vector<int32_t> tokens;        ///< [T]
  std::vector<int32_t> positions;     ///< [T] position of each token in its sequence
  std::vector<int32_t> query_starts;  ///< [S+1] first row of each sequence; the last is T
  std::vector<int32_t> kv_lengths;    ///< [S] positions in the cache after this step's append
  std::vector<int32_t> slots;         ///< [T] where K and V go: page * kKvPagePositions + offset
  std::vector<int32_t> block_tables;  ///< [S][max_blocks] page numbers in order of position
  int32_t max_blocks = 0;             ///< row length of block_tables
  std::vector<int32_t> logit_rows;    ///< ascending rows in [0, T) whose logits are wanted

  int64_t rows() const { return static_cast<int64_t>(tokens.size()); }
  int64_t sequences() const { return static_cast<int64_t>(kv_lengths.size()); }
};

/// A Batch of one sequence whose tokens stand at positions [start, start + tokens.size()), pages
/// numbered from 0 in order, no logits wanted.
Batch SingleSequence(std::vector<int32_t> tokens, int64_t start);

/// ATOM_CHECKs that the arrays fit together and that every slot lies below `pages` pages.
void CheckBatch(const Batch& batch, int64_t pages);

}  // namespace atom::kernels
