// How long a call takes: repeats of a minimum length, so that the clock and the odd interruption
// weigh little, and the median of them, which one disturbed repeat does not move.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

namespace atom::bench {

/// How much time and memory the measurements may take.
struct Effort {
  double repeat_seconds = 0.04;  ///< least length of a repeat
  int repeats = 7;
  int64_t rotate_bytes = 400'000'000;        ///< of weights or KV, so that they come from memory
  int64_t probe_bytes = int64_t{512} << 20;  ///< that the memory probe reads
};

/// Short and inexact: to try out that everything runs.
Effort QuickEffort();

class Stopwatch {
 public:
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// The middle one, or the mean of the two in the middle. REQUIRES: not empty.
double Median(std::vector<double> values);

/// Calls until `repeat_seconds` are over, at least once; seconds of one call.
double TimeRepeat(double repeat_seconds, const std::function<void()>& call);

/// The median over repeats, after a quarter of a repeat to warm up.
double MedianSeconds(const Effort& effort, const std::function<void()>& call);

}  // namespace atom::bench
