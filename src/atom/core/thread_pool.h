// A fixed set of threads that run the tasks of one loop at a time. Which thread runs a task is not
// fixed, so a task must write only what is its own: then results do not depend on the number of
// threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace atom {

class ThreadPool {
 public:
  /// `threads` counts the caller, which works too. 0 means DefaultThreads().
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls task(i, worker) once for each i in [0, tasks), worker in [0, threads()); returns when
  /// all are done. One loop at a time: not to be called from inside a task.
  void ParallelFor(int64_t tasks, const std::function<void(int64_t task, int worker)>& task);

  /// The processors that this process may use: AllowedThreads (cgroup.h).
  static int DefaultThreads();

 private:
  void WorkerLoop(int worker);
  void RunTasks(int worker);
  /// Spins a little, then sleeps, until `value` is not `seen`; returns what it is (spurious
  /// wake-ups give `seen`).
  uint32_t AwaitChange(const std::atomic<uint32_t>& value, uint32_t seen) const;

  // A new generation starts a loop and publishes what lies below; the loop is over when no worker
  // runs.
  std::atomic<uint32_t> generation_{0};
  std::atomic<uint32_t> running_{0};
  int spins_ = 0;
  bool stopping_ = false;
  const std::function<void(int64_t, int)>* task_ = nullptr;
  int64_t tasks_ = 0;
  std::atomic<int64_t> next_{0};
  std::vector<std::jthread> workers_;
};

}  // namespace atom
