// The loop at the heart of byte-pair encoding: of all neighbours that merge, merge those of the
// lowest rank, leftmost first, until none is left. Sits under BpeModel, knows ids only.
//
// Promises: O(n log n) for a word of n symbols, whatever the merges (a whole text may be one word);
// the result is that of the textbook loop.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "atom/tokenizer/pair_table.h"

namespace atom::tokenizer {

/// Memory that one caller reuses from word to word.
struct BpeScratch {
  struct Symbol {
    int32_t id;  // -1: merged into the one before
    int32_t previous;
    int32_t next;
  };
  struct Candidate {
    int32_t rank;
    int32_t position;  // index of the left symbol
    int32_t left;      // ids at the time it was found: if they have changed since, it is void
    int32_t right;
    int32_t product;
  };
  std::vector<int32_t> atoms;
  std::vector<Symbol> symbols;
  std::vector<Candidate> queue;
};

class BpeMerger {
 public:
  /// The atoms that a token's text begins and ends with, for a token that merges know.
  struct Ends {
    int32_t first;
    int32_t last;
  };

  BpeMerger() = default;
  /// `ends` by token id; empty if a token's text does not tell its atoms. They only make it faster.
  BpeMerger(std::span<const BpeMerge> merges, std::span<const Ends> ends);

  /// Appends what `symbols` merge into.
  void Merge(std::span<const int32_t> symbols, BpeScratch& scratch,
             std::vector<int32_t>& ids) const;

 private:
  void MergeWord(std::span<const int32_t> word, BpeScratch& scratch,
                 std::vector<int32_t>& ids) const;
  void Propose(int32_t position, BpeScratch& scratch) const;

  PairTable merges_;
  bool cuts_ = false;
  PairTable seams_;  // atoms that some merge joins; between all others a word can be cut
};

}  // namespace atom::tokenizer
