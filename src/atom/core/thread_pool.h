// A fixed set of threads that run the tasks of one loop at a time. Which thread runs a task is not
// fixed, so a task must write only what is its own: then results do not depend on the number of
// threads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
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

  /// The processors this process may run on (its affinity mask), at least 1.
  static int DefaultThreads();

 private:
  void WorkerLoop(int worker);
  void RunTasks(int worker);

  std::mutex mutex_;
  std::condition_variable start_;
  std::condition_variable done_;
  uint64_t generation_ = 0;  // guarded by mutex_; a new value starts a loop
  int running_ = 0;          // guarded by mutex_; workers still inside the loop
  bool stopping_ = false;    // guarded by mutex_
  const std::function<void(int64_t, int)>* task_ = nullptr;
  int64_t tasks_ = 0;
  std::atomic<int64_t> next_{0};
  std::vector<std::jthread> workers_;
};

}  // namespace atom
