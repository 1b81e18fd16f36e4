// Threads that work out which tokens grammars allow, beside the engine's thread and at a lower
// priority than the forward pass; and how much memory all grammars and their masks take.
#pragma once

#include <atomic>
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
  explicit MaskThreads(const MaskLimits& limits = {});
  ~MaskThreads();

  const MaskLimits& limits() const { return limits_; }
  /// One after the other, first come first served. What has not begun when this goes never does.
  void Post(std::function<void()> work);

  /// Bytes of grammars and of masks that are kept.
  std::atomic<int64_t> grammar_bytes{0};
  std::atomic<int64_t> mask_bytes{0};

 private:
  void Run();

  const MaskLimits limits_;
  std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<std::function<void()>> work_;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace atom::server
