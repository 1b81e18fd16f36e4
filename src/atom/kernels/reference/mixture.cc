// Route, GroupedLinear, Combine: docs/numerics.md, section 4.
#include <cmath>

#include "atom/kernels/host_routing.h"
#include "atom/kernels/reference/product.h"
#include "atom/kernels/reference/reference_backend.h"

namespace atom::kernels::reference {

std::unique_ptr<ExpertRouting> ReferenceBackend::MakeRouting(const RouterShape& shape,
                                                             int64_t capacity) {
  return std::make_unique<HostRouting>(shape, capacity);
}

int64_t ReferenceBackend::RoutingBytes(const RouterShape& shape, int64_t capacity) const {
  return HostRouting::Bytes(shape, capacity);
}

UnpackedRouting ReferenceBackend::Unpack(const ExpertRouting& routing) const {
  return HostRouting::Of(routing).Unpacked();
}

void ReferenceBackend::Route(const DeviceTensor& logits, const RouterShape& shape,
                             ExpertRouting& routing) {
  HostRouting& own = HostRouting::Of(routing);
  own.Begin(logits.rows, logits.cols, shape);
  pool_.ParallelFor(logits.rows, [&](int64_t row, int) {
    RouteRow(Row(logits, row), shape, own.RowExperts(row), own.RowWeights(row));
  });
  own.Group();
}

void ReferenceBackend::GroupedLinear(const PackedActivation& x, const ExpertRouting& routing,
                                     std::span<const PackedWeight* const> weights,
                                     const DeviceTensor& y) {
  const ReferenceActivation& a = ReferenceActivation::Of(x);
  const HostRouting& own = HostRouting::Of(routing);
  own.CheckGrouped(x.rows(), std::ssize(weights), y.rows);
  const int64_t readers = std::ssize(weights) / own.experts();
  pool_.ParallelFor(own.pairs(), [&](int64_t pair, int) {
    const int64_t m = own.InputRow(pair, x.rows());
    int64_t column = 0;
    for (int64_t reader = 0; reader < readers; ++reader) {
      const auto index = static_cast<size_t>(own.Expert(pair) * readers + reader);
      const ReferenceWeight& w = ReferenceWeight::Of(*weights[index]);
      ATOM_CHECK(x.k() == w.k(), "{} columns times {}", x.k(), w.k());
      ATOM_CHECK(column + w.n() <= y.cols, "output {} wide, expected more", y.cols);
      const Product product = ChooseProduct(a, w);
      for (int64_t n = 0; n < w.n(); ++n, ++column) {
        float acc = product(a, m, w, n);
        if (!w.bias.empty()) acc += w.bias[static_cast<size_t>(n)];
        Row(y, pair)[static_cast<size_t>(column)] = acc;
      }
    }
    ATOM_CHECK(column == y.cols, "output {} wide, expected {}", y.cols, column);
  });
}

void ReferenceBackend::Combine(const DeviceTensor& x, const ExpertRouting& routing,
                               const DeviceTensor& y, OutputMode mode) {
  const HostRouting& own = HostRouting::Of(routing);
  own.CheckCombined(x, y);
  pool_.ParallelFor(y.rows, [&](int64_t row, int) {
    const std::span<float> out = Row(y, row);
    for (size_t c = 0; c < out.size(); ++c) {
      float acc = 0.0f;
      for (int64_t j = 0; j < own.top_k(); ++j) {
        const int64_t pair = row * own.top_k() + j;
        acc = std::fma(own.Weight(pair), Row(x, pair)[c], acc);
      }
      out[c] = mode == OutputMode::kAdd ? out[c] + acc : acc;
    }
  });
}

}  // namespace atom::kernels::reference
