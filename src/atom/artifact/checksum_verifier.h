// Compares the shards of an artifact with the checksums in its index, on threads of its own, while
// the caller reads and packs the same shards: a loaded model costs one pass over its files. Nothing
// that was loaded may be used before Finish() is ok.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "atom/core/result.h"
#include "atom/io/checkpoint.h"

namespace atom::artifact {

class ChecksumVerifier {
 public:
  /// Starts at once. The checkpoint must outlive this.
  ChecksumVerifier(const io::Checkpoint& checkpoint, int threads);
  /// Does not wait for what is not finished.
  ~ChecksumVerifier();
  ChecksumVerifier(const ChecksumVerifier&) = delete;
  ChecksumVerifier& operator=(const ChecksumVerifier&) = delete;

  /// Waits; an Error names the first shard, in the order of their names, that differs. A plain
  /// checkpoint has no checksums and passes.
  Status Finish();

 private:
  Status Start(const io::Checkpoint& checkpoint, int threads);
  void Run();
  void Verify(size_t shard);

  const std::vector<io::SafetensorsFile>& shards_;
  std::vector<std::string> expected_;  // of each shard; empty without checksums
  Status started_;
  std::vector<Status> verdicts_;  // of each shard, written by the thread that took it
  std::atomic<size_t> next_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::jthread> threads_;
};

}  // namespace atom::artifact
