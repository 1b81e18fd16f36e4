#include "atom/kernels/host_routing.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "atom/core/check.h"
#include "atom/kernels/reference/exp.h"

namespace atom::kernels {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

float Key(float logit) { return std::isnan(logit) ? kLowest : logit; }

template <class T>
std::span<T> Pairs(std::vector<T>& values, int64_t row, int64_t top_k) {
  return std::span(values).subspan(static_cast<size_t>(row * top_k), static_cast<size_t>(top_k));
}

void CheckShape(const RouterShape& shape) {
  ATOM_CHECK(shape.top_k >= 1 && shape.top_k <= shape.experts, "{} of {} experts", shape.top_k,
             shape.experts);
}

}  // namespace

void RouteRow(std::span<const float> logits, const RouterShape& shape, std::span<int32_t> experts,
              std::span<float> weights) {
  // The chosen ones so far, best first: few, so that each newcomer is inserted.
  size_t chosen = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const float key = Key(logits[i]);
    size_t place = chosen;
    while (place > 0 && key > Key(logits[static_cast<size_t>(experts[place - 1])])) --place;
    if (place == experts.size()) continue;
    chosen = std::min(chosen + 1, experts.size());
    for (size_t j = chosen - 1; j > place; --j) experts[j] = experts[j - 1];
    experts[place] = static_cast<int32_t>(i);
  }
  const float max = Key(logits[static_cast<size_t>(experts[0])]);
  std::ranges::sort(experts);
  const auto exp = [&](size_t i) { return double{reference::Exp(logits[i] - max)}; };
  double sum = 0.0;
  if (shape.renormalize) {
    for (const int32_t i : experts) sum += exp(static_cast<size_t>(i));
  } else {
    for (size_t i = 0; i < logits.size(); ++i) sum += exp(i);
  }
  for (size_t j = 0; j < experts.size(); ++j) {
    weights[j] = static_cast<float>(exp(static_cast<size_t>(experts[j])) / sum);
  }
}

HostRouting::HostRouting(const RouterShape& shape, int64_t capacity_rows)
    : ExpertRouting(shape, capacity_rows) {
  CheckShape(shape);
  const auto pairs = static_cast<size_t>(capacity_rows * shape.top_k);
  expert.resize(pairs);
  weight.resize(pairs);
  order.resize(pairs);
  first.resize(static_cast<size_t>(shape.experts + 1));
}

int64_t HostRouting::Bytes(const RouterShape& shape, int64_t capacity) {
  constexpr int64_t kWord = sizeof(int32_t);
  return kWord * (3 * capacity * shape.top_k + shape.experts + 1);
}

const HostRouting& HostRouting::Of(const ExpertRouting& routing) {
  const auto* own = dynamic_cast<const HostRouting*>(&routing);
  ATOM_CHECK(own != nullptr, "the routing was made by another backend");
  return *own;
}

HostRouting& HostRouting::Of(ExpertRouting& routing) {
  auto* own = dynamic_cast<HostRouting*>(&routing);
  ATOM_CHECK(own != nullptr, "the routing was made by another backend");
  return *own;
}

void HostRouting::Begin(int64_t route_rows, int64_t logits, const RouterShape& shape) {
  ATOM_CHECK(shape.experts == experts() && shape.top_k == top_k() && logits == experts(),
             "{} logits, {} of {} experts; the routing was made for {} of {}", logits, shape.top_k,
             shape.experts, top_k(), experts());
  ATOM_CHECK(route_rows <= capacity(), "{} rows, room for {}", route_rows, capacity());
  set_rows(route_rows);
}

void HostRouting::CheckGrouped(int64_t input_rows, int64_t weights, int64_t output_rows) const {
  ATOM_CHECK(input_rows == rows() || input_rows == pairs(), "{} rows of input, {} rows, {} pairs",
             input_rows, rows(), pairs());
  ATOM_CHECK(weights > 0 && weights % experts() == 0, "{} weights of {} experts", weights,
             experts());
  ATOM_CHECK(output_rows == pairs(), "{} rows of output, {} pairs", output_rows, pairs());
}

void HostRouting::CheckCombined(const DeviceTensor& x, const DeviceTensor& y) const {
  ATOM_CHECK(x.rows == pairs() && y.rows == rows() && x.cols == y.cols,
             "{} x {} onto {} x {}, {} of {} experts", x.rows, x.cols, y.rows, y.cols, top_k(),
             experts());
}

std::span<int32_t> HostRouting::RowExperts(int64_t row) { return Pairs(expert, row, top_k()); }
std::span<float> HostRouting::RowWeights(int64_t row) { return Pairs(weight, row, top_k()); }

void HostRouting::Group() {
  std::ranges::fill(first, 0);
  for (int64_t pair = 0; pair < pairs(); ++pair) ++first[static_cast<size_t>(Expert(pair))];
  int32_t end = 0;
  for (int32_t& begin : first) {  // counts become ends, which become begins while pairs are placed
    end += begin;
    begin = end;
  }
  for (int64_t pair = pairs() - 1; pair >= 0; --pair) {
    int32_t& place = first[static_cast<size_t>(Expert(pair))];
    order[static_cast<size_t>(--place)] = static_cast<int32_t>(pair);
  }
}

std::span<const int32_t> HostRouting::PairsOf(int64_t number) const {
  const auto begin = static_cast<size_t>(first[static_cast<size_t>(number)]);
  const auto end = static_cast<size_t>(first[static_cast<size_t>(number + 1)]);
  return std::span(order).subspan(begin, end - begin);
}

UnpackedRouting HostRouting::Unpacked() const {
  return {{expert.begin(), expert.begin() + pairs()}, {weight.begin(), weight.begin() + pairs()}};
}

}  // namespace atom::kernels
