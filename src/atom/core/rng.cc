#include "atom/core/rng.h"

#include <bit>
#include <cmath>
#include <numbers>
#include <vector>

#include "atom/core/check.h"

namespace atom {

Rng::Rng(uint64_t seed) {
  for (uint64_t& word : state_) {  // splitmix64
    seed += 0x9e3779b97f4a7c15u;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    word = z ^ (z >> 31);
  }
}

uint64_t Rng::Next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

double Rng::Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

double Rng::Normal() {
  const double u = 1.0 - Uniform();  // in (0, 1]
  const double v = Uniform();
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

int64_t Rng::Below(int64_t bound) {
  ATOM_CHECK(bound > 0, "bound = {}", bound);
  const uint64_t range = static_cast<uint64_t>(bound);
  const uint64_t limit = UINT64_MAX - UINT64_MAX % range;
  uint64_t draw = Next();
  while (draw >= limit) draw = Next();
  return static_cast<int64_t>(draw % range);
}

PythonRandom::PythonRandom(uint64_t seed) {
  // init_by_array of the reference MT19937, with the seed's 32-bit words as the key (one word at
  // least), as CPython's random_seed does.
  std::vector<uint32_t> key = {static_cast<uint32_t>(seed)};
  if (seed >> 32 != 0) key.push_back(static_cast<uint32_t>(seed >> 32));
  const int n = static_cast<int>(state_.size());
  state_[0] = 19650218u;
  for (int i = 1; i < n; ++i) {
    state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + static_cast<uint32_t>(i);
  }
  int i = 1;
  size_t j = 0;
  for (int k = n; k > 0; --k) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525u)) + key[j] +
                static_cast<uint32_t>(j);
    if (++i == n) {
      state_[0] = state_[n - 1];
      i = 1;
    }
    if (++j == key.size()) j = 0;
  }
  for (int k = n - 1; k > 0; --k) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941u)) -
                static_cast<uint32_t>(i);
    if (++i == n) {
      state_[0] = state_[n - 1];
      i = 1;
    }
  }
  state_[0] = 0x80000000u;
}

uint32_t PythonRandom::NextWord() {
  constexpr int kN = 624;
  constexpr int kM = 397;
  if (index_ == kN) {
    for (int i = 0; i < kN; ++i) {
      const uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % kN] & 0x7fffffffu);
      state_[i] = state_[(i + kM) % kN] ^ (y >> 1) ^ ((y & 1u) != 0 ? 0x9908b0dfu : 0u);
    }
    index_ = 0;
  }
  uint32_t y = state_[index_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

uint64_t PythonRandom::Bits(int count) {
  if (count <= 32) return NextWord() >> (32 - count);
  const uint64_t low = NextWord();  // CPython fills 32-bit words from the least significant on
  return low | (static_cast<uint64_t>(NextWord() >> (64 - count)) << 32);
}

int64_t PythonRandom::RandInt(int64_t low, int64_t high) {
  ATOM_CHECK(low <= high, "randint({}, {})", low, high);
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) + 1;
  // _randbelow: reject draws of that many bits >= range.
  const int bits = static_cast<int>(std::bit_width(range));
  uint64_t draw = Bits(bits);
  while (draw >= range) draw = Bits(bits);
  return static_cast<int64_t>(static_cast<uint64_t>(low) + draw);
}

}  // namespace atom
