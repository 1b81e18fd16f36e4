#include "atom/model/overflow.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "atom/artifact/finite.h"
#include "atom/core/check.h"

namespace atom::model {
namespace {

using kernels::DeviceTensor;

constexpr int64_t kRowsAtOnce = 32;  // looked at on the host

void CheckRows(const DeviceTensor& hidden) {
  ATOM_CHECK(hidden.dtype == DType::kF32 && hidden.stride == hidden.cols, "hidden states of {}",
             DTypeName(hidden.dtype));
}

bool IsFinite(std::span<const float> values) {
  return artifact::FirstNonFinite({DType::kF32,
                                   {std::ssize(values)},
                                   reinterpret_cast<const std::byte*>(values.data())}) < 0;
}

}  // namespace

std::vector<bool> FiniteRows(kernels::Backend& backend, const DeviceTensor& hidden) {
  CheckRows(hidden);
  backend.Sync();
  std::vector<bool> finite(static_cast<size_t>(hidden.rows), true);
  const auto width = static_cast<size_t>(hidden.cols);
  std::vector<float> values(static_cast<size_t>(std::min(kRowsAtOnce, hidden.rows)) * width);
  for (int64_t first = 0; first < hidden.rows; first += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, hidden.rows - first);
    const std::span<float> part = std::span(values).first(static_cast<size_t>(count) * width);
    backend.Download(RowRange(hidden, first, count).data, std::as_writable_bytes(part));
    if (IsFinite(part)) continue;
    for (size_t row = 0; row * width < part.size(); ++row) {
      finite[static_cast<size_t>(first) + row] = IsFinite(part.subspan(row * width, width));
    }
  }
  return finite;
}

// Every step asks, and a step allocates nothing.
bool AllFinite(kernels::Backend& backend, const DeviceTensor& hidden, int64_t rows) {
  CheckRows(hidden);
  std::array<float, 4096> values;
  backend.Sync();
  const int64_t all = rows * hidden.cols;
  for (int64_t first = 0; first < all; first += std::ssize(values)) {
    const auto count = static_cast<size_t>(std::min(std::ssize(values), all - first));
    const std::span<float> part = std::span(values).first(count);
    backend.Download(static_cast<const float*>(hidden.data) + first, std::as_writable_bytes(part));
    if (!std::ranges::all_of(part, [](float value) { return std::isfinite(value); })) return false;
  }
  return true;
}

kernels::Batch OneSequenceOf(const kernels::Batch& batch, int64_t sequence) {
  const auto index = static_cast<size_t>(sequence);
  const int32_t begin = batch.query_starts[index], end = batch.query_starts[index + 1];
  const auto rows_of = [&](const std::vector<int32_t>& values) {
    return std::vector<int32_t>(values.begin() + begin, values.begin() + end);
  };
  const auto copy = [](std::span<const int32_t> values) {
    return std::vector<int32_t>(values.begin(), values.end());
  };
  const auto size = [](const std::vector<int32_t>& values) {
    return static_cast<int32_t>(values.size());
  };
  kernels::Batch one;
  one.tokens = rows_of(batch.tokens);
  one.positions = rows_of(batch.positions);
  one.query_starts = {0, end - begin};
  one.kv_lengths = {batch.kv_lengths[index]};
  one.kv_slots = rows_of(batch.kv_slots);
  one.pages = copy(batch.PagesOf(sequence));
  one.page_starts = {0, size(one.pages)};
  if (batch.exact_slots.empty()) return one;
  one.exact_slots = rows_of(batch.exact_slots);
  one.exact_pages = copy(batch.ExactPagesOf(sequence));
  one.exact_starts = {0, size(one.exact_pages)};
  return one;
}

std::vector<int64_t> FirstOverflows(Transformer& transformer, const kernels::Batch& batch,
                                    KvCache& cache) {
  std::vector<int64_t> first(static_cast<size_t>(batch.rows()), transformer.layers());
  transformer.ForwardHidden(batch, cache, [&](int64_t layer, const DeviceTensor& hidden) {
    const std::vector<bool> finite =
        FiniteRows(transformer.backend(), RowRange(hidden, 0, batch.rows()));
    for (size_t row = 0; row < finite.size(); ++row) {
      if (!finite[row]) first[row] = std::min(first[row], layer);
    }
  });
  return first;
}

std::string OverflowSentence(int64_t layer, int64_t layers) {
  const std::string where = layer < 0         ? std::string("the embedding")
                            : layer >= layers ? std::string("lm_head")
                                              : fmt::format("layer {}", layer);
  return where + ": its output is not finite, expected activations that fp32 holds";
}

std::string ExplainOverflow(Transformer& transformer, const kernels::Batch& batch, KvCache& cache) {
  const std::vector<int64_t> first = FirstOverflows(transformer, batch, cache);
  return OverflowSentence(*std::ranges::min_element(first), transformer.layers());
}

}  // namespace atom::model
