#include "atom/bench/serving/event_stream.h"

#include <utility>

namespace atom::bench {

std::vector<std::string> EventStream::Push(std::string_view bytes) {
  std::vector<std::string> events;
  for (const char c : bytes) {
    // A line ends with CR, LF or both; the two may come in different pieces.
    const bool second_half = c == '\n' && after_carriage_return_;
    after_carriage_return_ = c == '\r';
    if (second_half) continue;
    if (c == '\n' || c == '\r') {
      TakeLine(line_, events);
      line_.clear();
    } else {
      line_ += c;
    }
  }
  return events;
}

void EventStream::TakeLine(std::string_view line, std::vector<std::string>& events) {
  constexpr std::string_view kData = "data:";
  if (line.empty()) {
    if (data_) events.push_back(*std::exchange(data_, std::nullopt));
    return;
  }
  if (!line.starts_with(kData)) return;
  line.remove_prefix(kData.size());
  if (line.starts_with(' ')) line.remove_prefix(1);
  if (data_) {
    *data_ += '\n';
    data_->append(line);
  } else {
    data_ = std::string(line);
  }
}

}  // namespace atom::bench
