#include "atom/server/mask_threads.h"

#include <sys/resource.h>
#include <unistd.h>
#include <utility>

namespace atom::server {
namespace {

/// About a third of the weight of a thread of the forward pass, where both want a core.
constexpr int kNiceness = 5;

}  // namespace

MaskThreads::MaskThreads(const MaskLimits& limits) : limits_(limits) {
  for (int i = 0; i < limits.threads; ++i) threads_.emplace_back([this] { Run(); });
}

MaskThreads::~MaskThreads() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  posted_.notify_all();
}

void MaskThreads::Post(std::function<void()> work) {
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
    const std::function<void()> work = std::move(work_.front());
    work_.pop_front();
    lock.unlock();
    work();
  }
}

}  // namespace atom::server
