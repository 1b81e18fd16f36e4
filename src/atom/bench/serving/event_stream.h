// Server-sent events out of a body that comes in pieces: what stands behind "data:" of each event.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace atom::bench {

class EventStream {
 public:
  /// The data of the events that `bytes` completes; several data lines of one are joined by a
  /// newline. Comments and other fields are left out.
  std::vector<std::string> Push(std::string_view bytes);

 private:
  void TakeLine(std::string_view line, std::vector<std::string>& events);

  std::string line_;  // its beginning
  bool after_carriage_return_ = false;
  std::optional<std::string> data_;  // of the event under way
};

}  // namespace atom::bench
