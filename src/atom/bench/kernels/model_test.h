// What `atom bench model` runs: tests by their names, and the KV pages that they take.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "atom/core/result.h"
#include "atom/kernels/batch.h"

namespace atom::bench {

struct ModelTest {
  std::string name = {};
  bool prefill = false;
  int64_t depth = 0;   ///< positions in the cache before
  int64_t tokens = 0;  ///< of one repeat, and of one sequence
  int64_t sequences = 1;
};
/// "pp512", "tg128", "tg@2048", "tg@1024x64": numbers from 1 to 2^20. tg@D decodes 32 tokens.
Result<ModelTest> ParseModelTest(std::string_view name);

/// A prefill is one step of one sequence: its exact pages are those of all its rows. Sequences that
/// decode have steps of one row each, and few.
struct TestPages {
  kernels::PagePool prefill = {};  ///< of the longest prefill
  kernels::PagePool decode = {};   ///< of each sequence of the deepest test
  kernels::PagePool all = {};      ///< the cache of all tests, one after the other
};
TestPages PlanPages(std::span<const ModelTest> tests, int64_t page_positions, int64_t exact_window);

/// Behind `batch` one more sequence, made for `pool`; its pages come behind those of the sequences
/// before it, which have as many each.
void AddSequence(const kernels::Batch& sequence, const kernels::PagePool& pool,
                 kernels::Batch& batch);

}  // namespace atom::bench
