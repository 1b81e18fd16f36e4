// A Permutation belongs to the edge between a producer (a norm, the attention output, gate·up) and
// the linears that read it: out[j] = in[source[j]]. Applied to the columns of those linears it
// leaves their product unchanged.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace atom::quant {

class Permutation {
 public:
  Permutation() = default;  ///< empty: the identity, of any size
  /// REQUIRES: IsPermutation(source).
  explicit Permutation(std::vector<int32_t> source);
  static bool IsPermutation(std::span<const int32_t> source);

  bool empty() const { return source_.empty(); }
  int64_t size() const { return static_cast<int64_t>(source_.size()); }
  std::span<const int32_t> source() const { return source_; }
  Permutation Inverse() const;

  /// out[j] = in[source[j]]; in and out do not overlap.
  void Gather(std::span<const float> in, std::span<float> out) const;
  /// Permutes the columns of each of the `rows` rows of w in place.
  void PermuteColumns(std::span<float> w, int64_t rows) const;
  /// Permutes the rows of w, which has `columns` columns, in place.
  void PermuteRows(std::span<float> w, int64_t columns) const;

 private:
  std::vector<int32_t> source_;
};

/// Ascending by statistic, ties by channel number (stable): the most energetic channels come last
/// and become the outliers. `statistic` must have no NaN.
Permutation OrderByStatistic(std::span<const float> statistic);

/// Deals the first k4 columns of an order one by one over the k4 / group groups of `group` columns,
/// to and fro: column i goes to group g = i mod groups of round i / groups, in every other round to
/// group groups − 1 − g. The rest, the outliers, stay. REQUIRES: group divides k4.
Permutation DealZigzag(const Permutation& order, int64_t k4, int64_t group);

}  // namespace atom::quant
