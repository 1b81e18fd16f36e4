#include "atom/bench/kernels/model_test.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

namespace atom::bench {
namespace {

constexpr int64_t kMaxTokens = int64_t{1} << 20;
constexpr int64_t kDeepTokens = 32;

/// From 1 to kMaxTokens.
std::optional<int64_t> ParseNumber(std::string_view digits) {
  int64_t number = 0;
  const char* end = digits.data() + digits.size();
  const auto [at, error] = std::from_chars(digits.data(), end, number);
  if (error != std::errc() || at != end || number < 1 || number > kMaxTokens) return std::nullopt;
  return number;
}

/// One sequence of so many positions, in steps of `rows` rows.
kernels::PagePool SequencePages(int64_t positions, int64_t rows, kernels::PagePool pool) {
  pool.pages = kernels::PagesFor(positions, pool.page_positions);
  pool.exact_pages = kernels::ExactPagesOfStep(pool, rows, 1);
  return pool;
}

}  // namespace

Result<ModelTest> ParseModelTest(std::string_view name) {
  ModelTest test{.name = std::string(name), .prefill = name.starts_with("pp")};
  const bool deep = name.starts_with("tg@");
  const bool known = test.prefill || name.starts_with("tg");
  const std::string_view rest = name.substr(std::min<size_t>(name.size(), deep ? 3 : 2));
  const size_t times = deep ? rest.find('x') : std::string_view::npos;
  const std::optional<int64_t> number = ParseNumber(rest.substr(0, times));
  const std::optional<int64_t> sequences =
      times == std::string_view::npos ? 1 : ParseNumber(rest.substr(times + 1));
  if (!known || !number || !sequences) {
    return MakeError(
        "bench model: test \"{}\": expected ppN, tgN, tg@DEPTH or tg@DEPTHxSEQUENCES, e.g. pp512",
        name);
  }
  test.depth = deep ? *number : 0;
  test.tokens = deep ? kDeepTokens : *number;
  test.sequences = *sequences;
  return test;
}

TestPages PlanPages(std::span<const ModelTest> tests, int64_t page_positions,
                    int64_t exact_window) {
  const kernels::PagePool none = {.page_positions = page_positions, .exact_window = exact_window};
  TestPages pages = {.prefill = none, .decode = none, .all = none};
  int64_t sequences = 0;
  for (const ModelTest& test : tests) {
    const kernels::PagePool sequence =
        SequencePages(test.depth + test.tokens, test.prefill ? test.tokens : 1, none);
    kernels::PagePool& most = test.prefill ? pages.prefill : pages.decode;
    most.pages = std::max(most.pages, sequence.pages);
    most.exact_pages = std::max(most.exact_pages, sequence.exact_pages);
    if (!test.prefill) sequences = std::max(sequences, test.sequences);
  }
  pages.all.pages = std::max(pages.prefill.pages, sequences * pages.decode.pages);
  pages.all.exact_pages = std::max(pages.prefill.exact_pages, sequences * pages.decode.exact_pages);
  return pages;
}

void AddSequence(const kernels::Batch& sequence, const kernels::PagePool& pool,
                 kernels::Batch& batch) {
  const auto append = [](const std::vector<int32_t>& from, int64_t shift,
                         std::vector<int32_t>& to) {
    for (const int32_t value : from) to.push_back(value + static_cast<int32_t>(shift));
  };
  const int64_t page = batch.sequences() * pool.pages;
  const int64_t exact = batch.sequences() * pool.exact_pages;
  batch.query_starts.push_back(static_cast<int32_t>(batch.rows() + sequence.rows()));
  append(sequence.tokens, 0, batch.tokens);
  append(sequence.positions, 0, batch.positions);
  append(sequence.kv_lengths, 0, batch.kv_lengths);
  append(sequence.kv_slots, page * pool.page_positions, batch.kv_slots);
  append(sequence.exact_slots, exact * pool.page_positions, batch.exact_slots);
  append(sequence.pages, page, batch.pages);
  append(sequence.exact_pages, exact, batch.exact_pages);
  batch.page_starts.push_back(static_cast<int32_t>(batch.pages.size()));
  if (pool.exact_window > 0) {
    batch.exact_starts.push_back(static_cast<int32_t>(batch.exact_pages.size()));
  }
}

}  // namespace atom::bench
