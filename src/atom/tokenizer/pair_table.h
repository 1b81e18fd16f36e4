// A hash table from a pair of token ids to what the two merge into: looked up a few times for each
// character of a text, so it is one flat array with linear probing. Filled once, then read by any
// number of threads.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace atom::tokenizer {

/// Two neighbouring tokens, what they become, and when: lower ranks first.
struct BpeMerge {
  int32_t left;
  int32_t right;
  int32_t rank;
  int32_t product;
};

class PairTable {
 public:
  PairTable() : PairTable(0) {}
  /// Room for `pairs` of them.
  explicit PairTable(size_t pairs)
      : slots_(std::bit_ceil(2 * pairs + 1), BpeMerge{kFree, kFree, 0, 0}),
        shift_(64 - std::countr_zero(slots_.size())) {}

  /// A pair that is there already gets the new rank and product. REQUIRES: ids >= 0, room left.
  void Insert(const BpeMerge& merge) { slots_[SlotOf(merge.left, merge.right)] = merge; }

  /// nullptr if the two do not merge.
  const BpeMerge* Find(int32_t left, int32_t right) const {
    const BpeMerge& slot = slots_[SlotOf(left, right)];
    return slot.left == kFree ? nullptr : &slot;
  }

 private:
  static constexpr int32_t kFree = -1;

  // The pair's own slot, or the free one where it belongs. Half of the slots are always free.
  size_t SlotOf(int32_t left, int32_t right) const {
    constexpr uint64_t kGolden = 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio: spreads dense ids
    const uint64_t key = uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
    size_t slot = shift_ == 64 ? 0 : key * kGolden >> shift_;
    while (slots_[slot].left != kFree &&
           (slots_[slot].left != left || slots_[slot].right != right)) {
      slot = (slot + 1) & (slots_.size() - 1);
    }
    return slot;
  }

  std::vector<BpeMerge> slots_;
  int shift_;
};

}  // namespace atom::tokenizer
