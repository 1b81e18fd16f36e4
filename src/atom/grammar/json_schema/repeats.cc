#include "atom/grammar/json_schema/repeats.h"

#include <bit>

namespace atom::grammar {

uint32_t Repeats::Exactly(size_t power) {
  while (exactly_.size() <= power) {
    const uint32_t rule = builder_.AddRule(name_);
    const uint32_t end = builder_.AddState();
    builder_.MarkFinal(end);
    if (exactly_.empty()) {
      builder_.AddCall(builder_.StartOf(rule), once_, end);
    } else {
      const uint32_t middle = builder_.AddState();
      builder_.AddCall(builder_.StartOf(rule), exactly_.back(), middle);
      builder_.AddCall(middle, exactly_.back(), end);
    }
    exactly_.push_back(rule);
  }
  return exactly_[power];
}

uint32_t Repeats::UpTo(size_t power) {
  while (up_to_.size() <= power) {
    const size_t size = up_to_.size();
    const uint32_t rule = builder_.AddRule(name_);
    const uint32_t end = builder_.AddState();
    builder_.MarkFinal(end);
    const uint32_t start = builder_.StartOf(rule);
    if (size == 0) {
      builder_.AddCall(start, once_, end);
    } else {  // up to half, or half and up to half
      const uint32_t middle = builder_.AddState();
      builder_.AddCall(start, up_to_.back(), end);
      builder_.AddCall(start, Exactly(size - 1), middle);
      builder_.AddCall(middle, up_to_.back(), end);
    }
    up_to_.push_back(rule);
  }
  return up_to_[power];
}

uint32_t Repeats::Add(uint32_t from, int64_t count) {
  const auto bits = static_cast<size_t>(std::bit_width(static_cast<uint64_t>(count)));
  for (size_t power = 0; power < bits; ++power) {
    if ((count >> power & 1) == 0) continue;
    const uint32_t next = builder_.AddState();
    builder_.AddCall(from, Exactly(power), next);
    from = next;
  }
  return from;
}

void Repeats::AddUpTo(uint32_t from, int64_t most, uint32_t to) {
  while (most > 0) {
    const auto power = static_cast<size_t>(std::bit_width(static_cast<uint64_t>(most)) - 1);
    builder_.AddCall(from, UpTo(power), to);
    most -= int64_t{1} << power;
    if (most == 0) return;
    const uint32_t next = builder_.AddState();
    builder_.AddCall(from, Exactly(power), next);
    from = next;
  }
}

}  // namespace atom::grammar
