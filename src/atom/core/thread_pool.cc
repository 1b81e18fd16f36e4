#include "atom/core/thread_pool.h"

#include "atom/core/cgroup.h"
#include "atom/core/check.h"

namespace atom {
namespace {

/// Looks at the other side before a thread goes to sleep: some 50 microseconds, longer than the
/// gaps between the loops of one step, where waking a sleeper (5 to 50 microseconds) would show.
constexpr int kSpins = 2000;

/// The scheduler may put two threads of the pool on one core. Each would spin while the other has
/// work, then sleep: never two that want to run, so that none is moved to an idle core.
constexpr int kSpinsToYield = 32;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  if (threads == 0) threads = DefaultThreads();
  ATOM_CHECK(threads >= 1, "threads = {}", threads);
  // More threads than processors would spin in each other's way.
  spins_ = threads <= DefaultThreads() ? kSpins : 0;
  workers_.reserve(static_cast<size_t>(threads) - 1);
  for (int worker = 1; worker < threads; ++worker) {
    workers_.emplace_back([this, worker] { WorkerLoop(worker); });
  }
}

ThreadPool::~ThreadPool() {
  stopping_ = true;  // published by the generation
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
}

void ThreadPool::ParallelFor(int64_t tasks, const std::function<void(int64_t, int)>& task) {
  if (workers_.empty() || tasks <= 1) {
    for (int64_t i = 0; i < tasks; ++i) task(i, 0);
    return;
  }
  task_ = &task;
  tasks_ = tasks;
  next_.store(0, std::memory_order_relaxed);
  running_.store(static_cast<uint32_t>(workers_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  RunTasks(0);
  uint32_t left = running_.load(std::memory_order_acquire);
  while (left != 0) left = AwaitChange(running_, left);
}

uint32_t ThreadPool::AwaitChange(const std::atomic<uint32_t>& value, uint32_t seen) const {
  for (int i = 0; i < spins_; ++i) {
    const uint32_t now = value.load(std::memory_order_acquire);
    if (now != seen) return now;
    Pause();
    if (i % kSpinsToYield == kSpinsToYield - 1) std::this_thread::yield();
  }
  value.wait(seen, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

void ThreadPool::WorkerLoop(int worker) {
  uint32_t seen = 0;
  while (true) {
    seen = AwaitChange(generation_, seen);
    if (stopping_) return;
    RunTasks(worker);
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
  }
}

void ThreadPool::RunTasks(int worker) {
  while (true) {
    const int64_t i = next_.fetch_add(1, std::memory_order_relaxed);
    if (i >= tasks_) return;
    (*task_)(i, worker);
  }
}

int ThreadPool::DefaultThreads() { return AllowedThreads(); }

}  // namespace atom
