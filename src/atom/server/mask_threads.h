// Threads that work out which tokens grammars allow, beside the engine's thread; and how much
// memory all grammars and their masks take. A forward pass ends with its slowest thread, so work
// beside one takes a core for short whiles only and at a lower priority.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace atom::server {

struct MaskLimits {
  int threads = 2;
  int64_t grammar_bytes = int64_t{32} << 20;  ///< of all schemas that are kept to
  int64_t mask_bytes = int64_t{32} << 20;     ///< of what was worked out for them, between walks
  int64_t walk_bytes = int64_t{8} << 20;      ///< that each thread may add meanwhile

  /// In all, for the memory plan.
  int64_t bytes() const { return grammar_bytes + mask_bytes + threads * walk_bytes; }
};

class MaskThreads {
 public:
  /// Of one piece of work, on one of these threads or on another that makes a grammar.
  class Pace {
   public:
    explicit Pace(MaskThreads& threads);
    /// Sleeps if the thread has worked for a while since it last did, and nobody waits.
    void Rest();

   private:
    MaskThreads& threads_;
    std::chrono::steady_clock::time_point since_;
  };

  /// While one of these lives no work rests: there is no forward pass, it waits for a mask.
  class Hurry {
   public:
    explicit Hurry(MaskThreads& threads);
    ~Hurry();
    Hurry(const Hurry&) = delete;
    Hurry& operator=(const Hurry&) = delete;

   private:
    MaskThreads& threads_;
  };

  explicit MaskThreads(const MaskLimits& limits = {});
  ~MaskThreads();

  const MaskLimits& limits() const { return limits_; }
  /// One after the other, first come first served. What has not begun when this goes never does.
  void Post(std::function<void(Pace&)> work);

  /// Bytes of grammars and of masks that are kept.
  std::atomic<int64_t> grammar_bytes{0};
  std::atomic<int64_t> mask_bytes{0};

 private:
  void Run();

  const MaskLimits limits_;
  std::mutex mutex_;
  std::condition_variable posted_;
  std::condition_variable hurried_;
  int hurries_ = 0;
  std::deque<std::function<void(Pace&)>> work_;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace atom::server
