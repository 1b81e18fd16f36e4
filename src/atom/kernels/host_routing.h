// How rows choose their experts, on the host: docs/numerics.md, section 4, as code, and what the
// backends whose device is the host keep of it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "atom/kernels/backend.h"

namespace atom::kernels {

/// The specification of Backend::Route, of one row: experts [top_k], ascending, and their weights.
void RouteRow(std::span<const float> logits, const RouterShape& shape, std::span<int32_t> experts,
              std::span<float> weights);

struct HostRouting final : ExpertRouting {
  HostRouting(const RouterShape& shape, int64_t capacity);
  static int64_t Bytes(const RouterShape& shape, int64_t capacity);
  /// REQUIRES: made by a backend whose device is the host.
  static const HostRouting& Of(const ExpertRouting& routing);
  static HostRouting& Of(ExpertRouting& routing);

  /// For a Route of logits [rows][experts]; checks them.
  void Begin(int64_t rows, int64_t logits, const RouterShape& shape);
  /// The shapes of a GroupedLinear, and those of a Combine.
  void CheckGrouped(int64_t input_rows, int64_t weights, int64_t output_rows) const;
  void CheckCombined(const DeviceTensor& x, const DeviceTensor& y) const;
  /// The row of a grouped input that a pair reads.
  int64_t InputRow(int64_t pair, int64_t input_rows) const {
    return input_rows == pairs() ? pair : pair / top_k();
  }

  std::span<int32_t> RowExperts(int64_t row);
  std::span<float> RowWeights(int64_t row);
  int32_t Expert(int64_t pair) const { return expert[static_cast<size_t>(pair)]; }
  float Weight(int64_t pair) const { return weight[static_cast<size_t>(pair)]; }

  /// Fills `order` and `first`, once all rows have chosen.
  void Group();
  /// The pairs of an expert, ascending.
  std::span<const int32_t> PairsOf(int64_t number) const;
  UnpackedRouting Unpacked() const;

  std::vector<int32_t> expert;  ///< [capacity * top_k]
  std::vector<float> weight;    ///< [capacity * top_k]
  std::vector<int32_t> order;   ///< [capacity * top_k] pairs by expert, ascending within one
  std::vector<int32_t> first;   ///< [experts + 1] where those of an expert begin in `order`
};

}  // namespace atom::kernels
