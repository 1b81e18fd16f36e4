#include "atom/engine/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace atom::engine {

std::string StopMatcher::Push(std::string_view text) {
  if (stopped_) return {};
  held_ += text;
  size_t start = 0;
  size_t end = std::string::npos;
  for (const std::string& string : strings_) {
    const size_t at = held_.find(string);
    if (at == std::string::npos) continue;
    if (at + string.size() > end || (at + string.size() == end && at > start)) continue;
    start = at;
    end = at + string.size();
  }
  stopped_ = end != std::string::npos;
  if (stopped_) return std::exchange(held_, {}).substr(0, include_ ? end : start);

  std::string shown = std::exchange(held_, held_.substr(held_.size() - HeldBack()));
  shown.resize(shown.size() - held_.size());
  return shown;
}

/// Bytes at the end that could begin a stop string.
size_t StopMatcher::HeldBack() const {
  size_t most = 0;
  for (const std::string& string : strings_) {
    for (size_t size = std::min(string.size() - 1, held_.size()); size > most; --size) {
      if (held_.ends_with(std::string_view(string).substr(0, size))) most = size;
    }
  }
  return most;
}

std::string StopMatcher::Finish() { return std::exchange(held_, {}); }

}  // namespace atom::engine
