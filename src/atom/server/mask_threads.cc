#include "atom/server/mask_threads.h"

#include <sys/resource.h>
#include <unistd.h>
#include <utility>

namespace atom::server {
namespace {

/// About a third of the weight of a thread of the forward pass, where both want a core.
constexpr int kNiceness = 5;

/// A twentieth of a core at most, in pieces that a step of a few milliseconds hardly shows: much
/// less than the scheduler's slices.
constexpr std::chrono::microseconds kWork(150);
constexpr std::chrono::microseconds kRest(3000);

}  // namespace

MaskThreads::Pace::Pace(MaskThreads& threads)
    : threads_(threads), since_(std::chrono::steady_clock::now()) {}

void MaskThreads::Pace::Rest() {
  if (std::chrono::steady_clock::now() - since_ < kWork) return;
  {
    std::unique_lock lock(threads_.mutex_);
    threads_.hurried_.wait_for(lock, kRest,
                               [this] { return threads_.hurries_ > 0 || threads_.stopping_; });
  }
  since_ = std::chrono::steady_clock::now();
}

MaskThreads::Hurry::Hurry(MaskThreads& threads) : threads_(threads) {
  {
    const std::lock_guard lock(threads_.mutex_);
    ++threads_.hurries_;
  }
  threads_.hurried_.notify_all();
}

MaskThreads::Hurry::~Hurry() {
  const std::lock_guard lock(threads_.mutex_);
  --threads_.hurries_;
}

MaskThreads::MaskThreads(const MaskLimits& limits) : limits_(limits) {
  for (int i = 0; i < limits.threads; ++i) threads_.emplace_back([this] { Run(); });
}

MaskThreads::~MaskThreads() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  posted_.notify_all();
  hurried_.notify_all();
}

void MaskThreads::Post(std::function<void(Pace&)> work) {
  {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
  }
  posted_.notify_one();
}

void MaskThreads::Run() {
  // Of this thread alone. Where it is not allowed, it works as others do.
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNiceness);
  while (true) {
    std::unique_lock lock(mutex_);
    posted_.wait(lock, [this] { return stopping_ || !work_.empty(); });
    if (stopping_) return;
    const std::function<void(Pace&)> work = std::move(work_.front());
    work_.pop_front();
    lock.unlock();
    Pace pace(*this);
    work(pace);
  }
}

}  // namespace atom::server
