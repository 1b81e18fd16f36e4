// Ends a text at the first of some strings, however the text is cut into pieces: what could be the
// beginning of one is held back until it is known not to be.
//
// Promises: nothing that is given out is part of a stop string; the result does not depend on the
// pieces. The first string is the one whose last byte comes first; of two with the same end, the
// longer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace atom::engine {

class StopMatcher {
 public:
  /// With `include`, the text ends behind the string, else in front of it. No string is empty.
  StopMatcher(std::vector<std::string> strings, bool include)
      : strings_(std::move(strings)), include_(include) {}

  /// What can be shown now that `text` has come; nothing once stopped.
  std::string Push(std::string_view text);
  bool stopped() const { return stopped_; }
  /// What was held back, when no more text comes.
  std::string Finish();

 private:
  size_t HeldBack() const;

  std::vector<std::string> strings_;
  bool include_;
  bool stopped_ = false;
  std::string held_;
};

}  // namespace atom::engine
