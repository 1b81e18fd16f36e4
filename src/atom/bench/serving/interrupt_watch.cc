#include "atom/bench/serving/interrupt_watch.h"

#include <ctime>

namespace atom::bench {

InterruptWatch::InterruptWatch() {
  sigemptyset(&interrupt_);
  sigaddset(&interrupt_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt_, &before_);
}

InterruptWatch::~InterruptWatch() {
  Seen();  // one that nobody asked about does not end the program now
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

bool InterruptWatch::Seen() {
  const timespec at_once{};
  if (sigtimedwait(&interrupt_, nullptr, &at_once) == SIGINT) seen_ = true;
  return seen_;
}

}  // namespace atom::bench
