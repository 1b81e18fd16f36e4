#include "atom/server/histogram.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>

namespace atom::server {

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds.begin(), bounds.end()), counts_(bounds.size() + 1) {}

void Histogram::Observe(double value) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  ++counts_[static_cast<size_t>(bucket)];
  sum_ += value;
  ++count_;
}

void Histogram::Write(std::string_view name, std::string_view labels, std::string& out) const {
  auto to = std::back_inserter(out);
  int64_t total = 0;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    total += counts_[i];
    fmt::format_to(to, "{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, bounds_[i], total);
  }
  fmt::format_to(to, "{}_bucket{{{},le=\"+Inf\"}} {}\n", name, labels, count_);
  fmt::format_to(to, "{}_sum{{{}}} {}\n", name, labels, sum_);
  fmt::format_to(to, "{}_count{{{}}} {}\n", name, labels, count_);
}

}  // namespace atom::server
