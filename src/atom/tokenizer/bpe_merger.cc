#include "atom/tokenizer/bpe_merger.h"

#include <algorithm>

namespace atom::tokenizer {
namespace {

constexpr int32_t kMerged = -1;
constexpr int32_t kNone = -1;

// Puts the lowest rank on top of the heap, of equal ones the leftmost.
bool Later(const BpeScratch::Candidate& a, const BpeScratch::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

}  // namespace

BpeMerger::BpeMerger(std::span<const BpeMerge> merges, std::span<const Ends> ends)
    : merges_(merges.size()), cuts_(!ends.empty()), seams_(cuts_ ? merges.size() : 0) {
  for (const BpeMerge& merge : merges) {
    merges_.Insert(merge);
    if (!cuts_) continue;
    const int32_t last = ends[static_cast<size_t>(merge.left)].last;
    const int32_t first = ends[static_cast<size_t>(merge.right)].first;
    if (last >= 0 && first >= 0) seams_.Insert({last, first, 0, 0});
  }
}

void BpeMerger::Merge(std::span<const int32_t> symbols, BpeScratch& scratch,
                      std::vector<int32_t>& ids) const {
  if (!cuts_) return MergeWord(symbols, scratch, ids);
  size_t begin = 0;
  for (size_t i = 1; i <= symbols.size(); ++i) {
    if (i < symbols.size() && seams_.Find(symbols[i - 1], symbols[i]) != nullptr) continue;
    MergeWord(symbols.subspan(begin, i - begin), scratch, ids);
    begin = i;
  }
}

// Offers the symbol at `position` and its right neighbour to the queue, if they merge.
void BpeMerger::Propose(int32_t position, BpeScratch& scratch) const {
  const BpeScratch::Symbol& left = scratch.symbols[static_cast<size_t>(position)];
  if (left.next == kNone) return;
  const BpeScratch::Symbol& right = scratch.symbols[static_cast<size_t>(left.next)];
  const BpeMerge* merge = merges_.Find(left.id, right.id);
  if (merge == nullptr) return;
  scratch.queue.push_back({merge->rank, position, left.id, right.id, merge->product});
  std::push_heap(scratch.queue.begin(), scratch.queue.end(), Later);
}

void BpeMerger::MergeWord(std::span<const int32_t> word, BpeScratch& scratch,
                          std::vector<int32_t>& ids) const {
  auto& symbols = scratch.symbols;
  auto& queue = scratch.queue;
  const auto size = static_cast<int32_t>(word.size());
  symbols.clear();
  queue.clear();
  for (int32_t i = 0; i < size; ++i) {
    symbols.push_back({word[static_cast<size_t>(i)], i - 1, i + 1 < size ? i + 1 : kNone});
  }
  for (int32_t i = 0; i < size; ++i) Propose(i, scratch);

  while (!queue.empty()) {
    const BpeScratch::Candidate top = queue.front();
    std::pop_heap(queue.begin(), queue.end(), Later);
    queue.pop_back();
    BpeScratch::Symbol& left = symbols[static_cast<size_t>(top.position)];
    if (left.id != top.left || left.next == kNone) continue;
    BpeScratch::Symbol& right = symbols[static_cast<size_t>(left.next)];
    if (right.id != top.right) continue;
    left.id = top.product;
    right.id = kMerged;
    left.next = right.next;
    if (left.next != kNone) symbols[static_cast<size_t>(left.next)].previous = top.position;
    Propose(top.position, scratch);
    if (left.previous != kNone) Propose(left.previous, scratch);
  }
  for (int32_t i = symbols.empty() ? kNone : 0; i != kNone;
       i = symbols[static_cast<size_t>(i)].next) {
    ids.push_back(symbols[static_cast<size_t>(i)].id);
  }
}

}  // namespace atom::tokenizer
