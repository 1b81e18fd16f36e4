// Observations counted by size, as Prometheus reads them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace atom::server {

class Histogram {
 public:
  /// `bounds` ascend; each bucket counts what is at most its bound.
  explicit Histogram(std::span<const double> bounds);

  void Observe(double value);
  int64_t count() const { return count_; }
  /// Adds NAME_bucket, NAME_sum and NAME_count. `labels` is `model_name="x"`.
  void Write(std::string_view name, std::string_view labels, std::string& out) const;

 private:
  std::vector<double> bounds_;
  std::vector<int64_t> counts_;  // [bounds + 1], each for itself
  double sum_ = 0.0;
  int64_t count_ = 0;
};

}  // namespace atom::server
