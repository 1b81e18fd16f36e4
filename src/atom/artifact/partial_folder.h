// OUT.partial: what an unfinished run keeps on disk so that the next one can go on from it.
//
//   OUT.partial/lock             held (flock) by the process that writes
//   OUT.partial/identity.json    what determines the artifact's bytes
//   OUT.partial/checksums.json   shard → checksum; a shard counts as finished once it is in here
//   OUT.partial/state-NAME.bin   named side data of the run
//   OUT.partial/model/           what becomes OUT by one rename, and nothing else
//
// Every file appears whole or not at all (io/atomic_file.h), so a kill leaves no half of anything.
// The lock is the first file to come and the last to go: a folder with files but without a lock is
// somebody else's and is left alone.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "atom/artifact/shard_index.h"
#include "atom/core/result.h"
#include "atom/io/descriptor.h"

namespace atom::artifact {

class PartialFolder {
 public:
  /// What to do with a folder that another run has left.
  enum class Left {
    kResume,   ///< go on from it
    kDiscard,  ///< begin anew, whatever it was
  };
  /// Creates the folder or takes over a left one. `identity` is a JSON object. Errors: another
  /// process holds the lock; the folder is not one of ours; it cannot be written; to be resumed,
  /// its identity cannot be read or is another, with what differs. Then nothing is touched.
  static Result<PartialFolder> Acquire(const std::filesystem::path& folder,
                                       const std::string& identity, Left left = Left::kResume);
  /// Removes what a kill between the final rename and Remove() left behind; never a model.
  static void RemoveLeftover(const std::filesystem::path& folder);

  bool resumed() const { return resumed_; }
  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path model() const { return folder_ / "model"; }

  /// The checksums recorded by this run and those it resumes.
  const ShardChecksums& checksums() const { return checksums_; }
  Status RecordChecksum(const std::string& shard, const std::string& checksum);

  /// Removes everything in model() but the first `shards` of `total`.
  Status KeepShards(int64_t shards, int64_t total);

  Status WriteState(const std::string& name, const std::string& bytes);
  Result<std::optional<std::string>> ReadState(const std::string& name) const;

  /// Removes the folder and gives the lock back.
  void Remove();

 private:
  PartialFolder(std::filesystem::path folder, io::Descriptor lock)
      : folder_(std::move(folder)), lock_(std::move(lock)) {}
  static Result<PartialFolder> Lock(const std::filesystem::path& folder);
  Status Resume(const std::string& identity, Left left);
  Status Begin(const std::string& identity);
  Status Discard();

  std::filesystem::path folder_;
  io::Descriptor lock_;
  bool resumed_ = false;
  ShardChecksums checksums_;
};

}  // namespace atom::artifact
