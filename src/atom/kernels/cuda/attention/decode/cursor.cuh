// Where a warp is in all (sequence, KV head, page) triples, in that order; or a team of warps in
// all (sequence, strand, page) triples, a strand being KV heads side by side (team_shape.cuh).
#pragma once

#include "atom/kernels/cuda/attention/attention_call.h"
#include "atom/kernels/cuda/attention/decode/shape.cuh"

namespace atom::kernels::cuda::decode {

/// Pages from the first exact one to the query's own, if there are pages before it.
__device__ inline int ExactPages(int exact_window) {
  return exact_window == 0 ? 0 : exact_window / kPagePositions + 1;
}

/// What becomes of the sums of a stretch whose heads lie in it in part (page_ring.cuh).
enum class Role : int {
  kAlone,  // segments of heads that others compute too go to the workspace
  kGives,  // the first segments of one head: merged, and left to the next warp of the CTA
  kTakes,  // its last segments, behind what the warp before left
};

/// Walks the steps of a stretch. All lanes hold the same values. Page-heads are counted through:
/// first_index · kv_heads + head · listed + page; of strands likewise. A head's exact pages, listed
/// behind its others, count for whoever has those: no step is theirs.
///
/// A stretch is cut at segments: it has those that begin in it. A last segment of up to `tail`
/// pages goes with the one before it: alone it would cost its warp a visit of the head, and the
/// ring a slot.
struct Cursor {
  int sequence = 0, head = 0, page = 0;  // `page`, the step's first, counts within the sequence
  int pages = 0, first_page = 0;         // of the sequence: to its end, the first that is seen
  int first_index = 0;                   // of the sequence's pages in PageLists::indices
  int end = 0;                           // of the stretch, in page-heads
  Role role = Role::kAlone;

  __device__ bool valid() const { return page < pages; }
  /// Pages of a head, exact ones too. REQUIRES: pages > 0.
  __device__ int Listed(const DecodeAttention& call) const {
    return pages + ExactPages(call.params.exact_window);
  }

  __device__ void OpenSequence(const DecodeAttention& call) {
    first_index = __ldg(call.lists.indptr + sequence);
    pages = __ldg(call.lists.indptr + sequence + 1) - first_index;
    const int length = __ldg(call.lists.kv_lengths + sequence), window = call.params.window;
    pages = min(pages, FirstExactPage(length - 1, call.params.exact_window));
    first_page = window > 0 && length > window ? (length - window) / kPagePositions : 0;
    if (first_page >= pages) pages = 0;  // a step would begin before both
  }

  /// Page-head of the head's first page.
  __device__ int Base(const DecodeAttention& call) const {
    return first_index * call.strands + head * Listed(call);
  }
  /// That of a segment goes with the one before it; `segment`: its first page.
  __device__ bool IsTail(int segment, int tail) const {
    return pages - segment <= tail && segment > first_page;
  }
  /// Where the segment that begins at page `segment` counts as begun.
  __device__ int BeginOf(const DecodeAttention& call, int segment, int tail) const {
    return Base(call) + (IsTail(segment, tail) ? segment - kSegmentPages : segment);
  }
  /// Of the head's first segment that is seen, and of its last.
  __device__ int FirstBegin(const DecodeAttention& call) const {
    return Base(call) + first_page / kSegmentPages * kSegmentPages;
  }
  __device__ int LastBegin(const DecodeAttention& call, int tail) const {
    return BeginOf(call, (pages - 1) / kSegmentPages * kSegmentPages, tail);
  }

  /// Whether the last segment of the head under this cursor lies in the stretch.
  __device__ bool HasLast(const DecodeAttention& call, int tail) const {
    return LastBegin(call, tail) < end;
  }
  /// Whether all that is seen of it does, and this is its first step.
  __device__ bool IsWhole(const DecodeAttention& call, int tail) const {
    return page == first_step() && HasLast(call, tail);
  }

  /// At the first segment that begins at or behind page-head `start`, and before `stop`.
  __device__ void Seek(const DecodeAttention& call, int start, int stop, int tail, int lane) {
    // The last sequence whose pages begin at or before start: 32 at a time.
    int low = 0, high = call.lists.sequences;  // in [low, high)
    while (high - low > 1) {
      const int step = (high - low + 31) / 32;
      const int probe = min(low + lane * step, high - 1);
      const bool before = __ldg(call.lists.indptr + probe) * call.strands <= start;
      const int count = __popc(__ballot_sync(~0u, before));
      const int next = low + (count - 1) * step;
      high = min(next + step, high);
      low = min(next, high - 1);
    }
    sequence = low;
    OpenSequence(call);
    const int inside = start - first_index * call.strands;
    head = pages > 0 ? inside / Listed(call) : call.strands;
    page = pages > 0 ? inside % Listed(call) : 0;
    page = (page + kSegmentPages - 1) / kSegmentPages * kSegmentPages;
    if (IsTail(page, tail)) page = pages;
    end = stop;
    Settle(call, tail);
  }

  /// The first step that the query sees.
  __device__ int first_step() const { return first_page / kStepPages * kStepPages; }

  /// Skips to a step that exists and is seen; ends at the stretch's end, which lies between
  /// segments.
  __device__ void Settle(const DecodeAttention& call, int tail) {
    while (true) {
      if (head >= call.strands) {
        if (++sequence >= call.lists.sequences) break;
        head = page = 0;
        OpenSequence(call);
        continue;
      }
      if (page >= pages) {
        ++head;
        page = 0;
        continue;
      }
      if (page % kSegmentPages == 0 && BeginOf(call, page, tail) >= end) break;
      if (page >= first_step()) return;
      // A segment out of sight belongs to nobody; one seen in part begins at its first step seen.
      const int segment = first_page / kSegmentPages * kSegmentPages;
      page = page < segment ? page / kSegmentPages * kSegmentPages + kSegmentPages : first_step();
    }
    page = pages = 0;
  }

  /// True if the next step is the first of a segment, or there is none.
  __device__ bool Next(const DecodeAttention& call, int tail) {
    page += kStepPages;
    if (page < pages && page % kSegmentPages != 0) return false;
    Settle(call, tail);
    return true;
  }
};

}  // namespace atom::kernels::cuda::decode
