// What a model takes of a memory budget when it serves: weights, the tensors of a step, what the
// device itself takes, and the rest as pages of KV, by one of two rules:
//
//   reserved    every sequence has the pages of the longest request from its beginning on, as
//               published: so many slots
//   on demand   pages as sequences grow: as many sequences as there are pages for
//
// Where the KV format has an exact window, its pages are counted too, under both.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "atom/bench/kernels/random_model.h"

namespace atom::bench {

enum class MemoryRule { kReserved, kOnDemand };
inline constexpr std::array kMemoryRuleNames = {std::string_view("reserved"),
                                                std::string_view("demand")};
inline std::string_view Name(MemoryRule rule) {
  return kMemoryRuleNames[static_cast<size_t>(rule)];
}

struct ServingPages {
  int64_t pages = 0;
  int64_t exact_pages = 0;

  bool operator==(const ServingPages&) const = default;
};

struct ServingMemory {
  int64_t weights = 0;     ///< bytes: linears as they are stored, embedding, lm_head
  int64_t scratch = 0;     ///< bytes of a step's tensors
  int64_t reserve = 0;     ///< bytes that the device takes for itself: kernels/device_memory.h
  int64_t page_bytes = 0;  ///< of a KV page in all layers
  int64_t exact_page_bytes = 0;
  int64_t exact_pages_of_sequence = 0;  ///< at once; 0 without an exact window
  int64_t exact_pages_of_step = 0;      ///< besides: of the prompts' tokens in a step

  int64_t KvBytes(const ServingPages& pages) const {
    return pages.pages * page_bytes + pages.exact_pages * exact_page_bytes;
  }
  int64_t Total(const ServingPages& pages) const {
    return weights + scratch + reserve + KvBytes(pages);
  }
  /// Of so many slots of `slot_pages` pages each.
  ServingPages Reserved(int64_t slots, int64_t slot_pages) const;
  /// The most slots within `budget` bytes; 0 if not even the rest fits.
  int64_t SlotsWithin(int64_t budget, int64_t slot_pages) const;
  /// The most pages within `budget` bytes, with exact pages for as many sequences of `mean_pages`
  /// pages as they hold, at most for `sequences`.
  ServingPages OnDemand(int64_t budget, double mean_pages, int64_t sequences) const;

 private:
  int64_t ExactPagesFor(int64_t sequences, int64_t pages) const;
};
/// `step_tokens`: of prompts, in a step.
ServingMemory MemoryOf(const TimedModel& model, int64_t step_tokens);

/// "2.50 GiB".
std::string GibText(int64_t bytes);

}  // namespace atom::bench
