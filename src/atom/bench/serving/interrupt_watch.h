// Turns Ctrl-C into a question: while an object of this class lives, SIGINT ends nothing but is
// noticed by Seen(), so that what was measured is kept. Threads and processes started meanwhile
// inherit that; threads that run already do not, so make one first. A second Ctrl-C before anybody
// asks is the same as one.
#pragma once

#include <csignal>

namespace atom::bench {

class InterruptWatch {
 public:
  InterruptWatch();
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

  /// Whether SIGINT has come; stays true.
  bool Seen();

 private:
  sigset_t interrupt_;
  sigset_t before_;
  bool seen_ = false;
};

}  // namespace atom::bench
