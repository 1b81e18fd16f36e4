// Two random number generators with a fixed, documented sequence: Rng for sampling and tests, and
// PythonRandom, which draws what CPython's `random` draws from the same seed, so that calibration
// windows are those of the published program.
#pragma once

#include <array>
#include <cstdint>

namespace atom {

/// xoshiro256** 1.0 (Blackman, Vigna), seeded through splitmix64.
class Rng {
 public:
  explicit Rng(uint64_t seed);
  uint64_t Next();
  /// Uniform in [0, 1), 53 bits.
  double Uniform();
  /// Standard normal (Box-Muller, one value a call).
  double Normal();
  /// Uniform in [0, bound); bound > 0.
  int64_t Below(int64_t bound);

 private:
  std::array<uint64_t, 4> state_;
};

/// CPython's random.Random(seed) for 0 <= seed < 2^64: MT19937 seeded by init_by_array.
class PythonRandom {
 public:
  explicit PythonRandom(uint64_t seed);
  /// random.randint(low, high): uniform in [low, high], both ends included.
  int64_t RandInt(int64_t low, int64_t high);

 private:
  uint32_t NextWord();
  uint64_t Bits(int count);  // random.getrandbits, count <= 64

  std::array<uint32_t, 624> state_;
  int index_ = 624;
};

}  // namespace atom
