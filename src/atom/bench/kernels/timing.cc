#include "atom/bench/kernels/timing.h"

#include <algorithm>

#include "atom/core/check.h"

namespace atom::bench {

Effort QuickEffort() {
  return {.repeat_seconds = 0.002,
          .repeats = 3,
          .rotate_bytes = 4'000'000,
          .probe_bytes = int64_t{32} << 20};
}

double Median(std::vector<double> values) {
  ATOM_CHECK(!values.empty(), "the median of nothing");
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double TimeRepeat(double repeat_seconds, const std::function<void()>& call) {
  const Stopwatch clock;
  int64_t calls = 0;
  double elapsed = 0.0;
  do {
    call();
    ++calls;
    elapsed = clock.Seconds();
  } while (elapsed < repeat_seconds);
  return elapsed / static_cast<double>(calls);
}

double MedianSeconds(const Effort& effort, const std::function<void()>& call) {
  TimeRepeat(effort.repeat_seconds / 4, call);
  std::vector<double> seconds;
  for (int i = 0; i < effort.repeats; ++i) {
    seconds.push_back(TimeRepeat(effort.repeat_seconds, call));
  }
  return Median(std::move(seconds));
}

}  // namespace atom::bench
