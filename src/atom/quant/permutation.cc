#include "atom/quant/permutation.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "atom/core/check.h"

namespace atom::quant {

Permutation::Permutation(std::vector<int32_t> source) : source_(std::move(source)) {
  ATOM_CHECK(IsPermutation(source_), "{} indices are not a permutation", source_.size());
}

bool Permutation::IsPermutation(std::span<const int32_t> source) {
  std::vector<bool> seen(source.size(), false);
  for (const int32_t index : source) {
    if (index < 0 || static_cast<size_t>(index) >= source.size()) return false;
    if (seen[static_cast<size_t>(index)]) return false;
    seen[static_cast<size_t>(index)] = true;
  }
  return true;
}

Permutation Permutation::Inverse() const {
  std::vector<int32_t> inverse(source_.size());
  for (size_t j = 0; j < source_.size(); ++j) {
    inverse[static_cast<size_t>(source_[j])] = static_cast<int32_t>(j);
  }
  Permutation result;
  result.source_ = std::move(inverse);
  return result;
}

void Permutation::Gather(std::span<const float> in, std::span<float> out) const {
  ATOM_CHECK(in.size() == out.size() && (empty() || in.size() == source_.size()),
             "gather of {} into {} values by a permutation of {}", in.size(), out.size(),
             source_.size());
  if (empty()) {
    std::copy(in.begin(), in.end(), out.begin());
    return;
  }
  for (size_t j = 0; j < source_.size(); ++j) out[j] = in[static_cast<size_t>(source_[j])];
}

void Permutation::PermuteColumns(std::span<float> w, int64_t rows) const {
  if (empty()) return;
  const size_t columns = source_.size();
  ATOM_CHECK(w.size() == static_cast<size_t>(rows) * columns, "{} values, {} rows of {}", w.size(),
             rows, columns);
  std::vector<float> old(columns);
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    const std::span<float> values = w.subspan(row * columns, columns);
    std::copy(values.begin(), values.end(), old.begin());
    Gather(old, values);
  }
}

void Permutation::PermuteRows(std::span<float> w, int64_t columns) const {
  if (empty()) return;
  const auto width = static_cast<size_t>(columns);
  ATOM_CHECK(w.size() == source_.size() * width, "{} values, {} rows of {}", w.size(),
             source_.size(), columns);
  const auto row = [&](size_t index) { return w.begin() + static_cast<int64_t>(index * width); };
  std::vector<float> first(width);
  std::vector<bool> done(source_.size(), false);
  for (size_t start = 0; start < source_.size(); ++start) {
    if (done[start]) continue;
    // Follow the cycle: each row moves to where it is wanted, the first one waits in `first`.
    std::copy_n(row(start), width, first.begin());
    size_t to = start;
    for (auto from = static_cast<size_t>(source_[to]); from != start;
         from = static_cast<size_t>(source_[to])) {
      std::copy_n(row(from), width, row(to));
      done[to] = true;
      to = from;
    }
    std::copy_n(first.begin(), width, row(to));
    done[to] = true;
  }
}

Permutation OrderByStatistic(std::span<const float> statistic) {
  std::vector<int32_t> order(statistic.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return statistic[static_cast<size_t>(a)] < statistic[static_cast<size_t>(b)];
  });
  return Permutation(std::move(order));
}

Permutation DealZigzag(const Permutation& order, int64_t k4, int64_t group) {
  if (k4 == 0 || order.empty()) return order;
  ATOM_CHECK(group > 0 && k4 % group == 0 && k4 <= order.size(), "{} of {} columns in groups of {}",
             k4, order.size(), group);
  const int64_t groups = k4 / group;
  std::vector<int32_t> dealt(order.source().begin(), order.source().end());
  for (int64_t i = 0; i < k4; ++i) {
    const int64_t round = i / groups;
    const int64_t g = round % 2 == 0 ? i % groups : groups - 1 - i % groups;
    dealt[static_cast<size_t>(g * group + round)] = order.source()[static_cast<size_t>(i)];
  }
  return Permutation(std::move(dealt));
}

}  // namespace atom::quant
