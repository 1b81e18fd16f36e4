// Waiting for what another thread or process does: for the condition itself, never for a time that
// a busy machine may need more of.
#pragma once

#include <chrono>
#include <thread>

namespace atom::tests {

/// Whether `condition` comes true within half a minute: under sanitizers all takes its time.
template <class Condition>
bool Soon(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace atom::tests
