#include "atom/artifact/partial_folder.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <utility>

#include "atom/artifact/layer_tensors.h"
#include "atom/io/atomic_file.h"
#include "atom/io/json.h"

namespace atom::artifact {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLock = "lock";
constexpr std::string_view kIdentity = "identity.json";
constexpr std::string_view kChecksums = "checksums.json";
constexpr int64_t kMaxStateBytes = int64_t{1} << 40;

Status Refuse(const fs::path& folder, std::string_view why) {
  return MakeError(
      "{}: {}, expected an unfinished run of atom quantize: remove it, or choose "
      "another output",
      folder.string(), why);
}

// Ours, or free to become ours.
Status CheckOurs(const fs::path& folder) {
  std::error_code failed;
  const fs::file_status status = fs::symlink_status(folder, failed);
  if (status.type() == fs::file_type::not_found) return {};
  if (status.type() != fs::file_type::directory) return Refuse(folder, "is not a folder");
  if (fs::exists(folder / kLock, failed) || fs::is_empty(folder, failed)) return {};
  return Refuse(folder, "holds other files");
}

// Whether the open lock is still the file of that name: its holder may have removed the folder.
bool IsCurrent(const io::Descriptor& lock, const fs::path& path) {
  struct stat held {};
  struct stat named {};
  return fstat(lock.get(), &held) == 0 && stat(path.c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

// Removes the entries of a folder that `keep` does not want.
template <class Keep>
Status RemoveEntries(const fs::path& folder, Keep keep) {
  std::error_code failed;
  std::vector<fs::path> unwanted;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    if (!keep(entry->path().filename().string())) unwanted.push_back(entry->path());
  }
  if (failed) return MakeError("{}: cannot be read: {}", folder.string(), failed.message());
  for (const fs::path& path : unwanted) {
    fs::remove_all(path, failed);
    if (failed) return MakeError("{}: cannot be removed: {}", path.string(), failed.message());
  }
  return {};
}

bool IsTemporary(const std::string& name) { return name.starts_with("."); }

fs::path StatePath(const fs::path& folder, const std::string& name) {
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
  });
  ATOM_CHECK(plain, "state '{}'", name);
  return folder / fmt::format("state-{}.bin", name);
}

// What an earlier run recorded; nothing where that cannot be read, since then it does not count.
ShardChecksums ReadChecksums(const fs::path& path) {
  ShardChecksums checksums;
  const Result<io::Json> json = io::ReadJsonFile(path);
  if (!json.ok() || !json->is_object()) return checksums;
  for (const auto& [shard, checksum] : json->items()) {
    if (checksum.is_string()) checksums[shard] = checksum.get<std::string>();
  }
  return checksums;
}

constexpr std::string_view kWayOut =
    "finish that run as it was begun, choose another output, or discard it with --restart";

/// Names the first field in which an unfinished run is not this one.
Status DifferentRun(const fs::path& folder, const std::string& before, const std::string& now) {
  const Result<io::Json> found = io::ParseJson(before, (folder / kIdentity).string());
  if (!found.ok()) return MakeError("{}; {}", found.error().message, kWayOut);
  const io::Json theirs = found->flatten();
  const io::Json ours = io::Json::parse(now).flatten();
  const auto value_of = [](const io::Json& run, const std::string& field) {
    return run.contains(field) ? io::DumpJson(run.at(field), -1) : std::string("nothing");
  };
  io::Json fields = theirs;
  fields.update(ours);
  for (const auto& [field, value] : fields.items()) {
    const std::string their_value = value_of(theirs, field);
    const std::string our_value = value_of(ours, field);
    if (their_value == our_value) continue;
    return MakeError("{}: holds an unfinished run of atom quantize with {} of {}, expected {}; {}",
                     folder.string(), field, their_value, our_value, kWayOut);
  }
  return MakeError("{}: holds an unfinished run spelled otherwise; {}", folder.string(), kWayOut);
}

}  // namespace

Result<PartialFolder> PartialFolder::Lock(const fs::path& folder) {
  constexpr int kAttempts = 100;  // each lost to a process that removed the folder at that moment
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (Status ours = CheckOurs(folder); !ours.ok()) return ours.error();
    if (mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) {
      return MakeError("{}: the folder cannot be made: {}", folder.string(), std::strerror(errno));
    }
    const fs::path path = folder / kLock;
    io::Descriptor lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (!lock.valid() && errno == ENOENT) continue;
    if (!lock.valid()) {
      return MakeError("{}: cannot be written: {}", path.string(), std::strerror(errno));
    }
    if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) {
        return MakeError("{}: another atom quantize is writing here", folder.string());
      }
      return MakeError("{}: cannot be locked: {}", path.string(), std::strerror(errno));
    }
    if (IsCurrent(lock, path)) return PartialFolder(folder, std::move(lock));
  }
  return MakeError("{}: cannot be locked: other processes keep removing it", folder.string());
}

Result<PartialFolder> PartialFolder::Acquire(const fs::path& folder, const std::string& identity,
                                             Left left) {
  Result<PartialFolder> locked = Lock(folder);
  if (!locked.ok()) return locked;
  if (Status status = locked->Resume(identity, left); !status.ok()) return status.error();
  return locked;
}

Status PartialFolder::Begin(const std::string& identity) {
  if (Status status = Discard(); !status.ok()) return status;
  return io::WriteFileAtomically(folder_ / kIdentity, identity);
}

Status PartialFolder::Resume(const std::string& identity, Left left) {
  const fs::path path = folder_ / kIdentity;
  std::error_code failed;
  // Without an identity nothing counts: a kill came before it was written, or while discarding.
  const bool found = fs::exists(fs::symlink_status(path, failed));
  if (left == Left::kDiscard || !found) {
    if (Status status = Begin(identity); !status.ok()) {
      Remove();
      return status;
    }
  } else {
    const Result<std::string> before = io::ReadFile(path, io::kMaxJsonBytes);
    if (!before.ok()) return MakeError("{}; {}", before.error().message, kWayOut);
    if (*before != identity) return DifferentRun(folder_, *before, identity);
    resumed_ = true;
    checksums_ = ReadChecksums(folder_ / kChecksums);
    if (Status status = RemoveEntries(folder_, [](const auto& name) { return !IsTemporary(name); });
        !status.ok()) {
      return status;
    }
  }
  fs::create_directory(model(), failed);
  if (failed) return MakeError("{}: cannot be made: {}", model().string(), failed.message());
  return io::SyncDirectory(folder_);
}

// The identity goes first, and durably: what is left by a kill in here has none and is discarded
// again, never taken for another run's.
Status PartialFolder::Discard() {
  std::error_code failed;
  fs::remove(folder_ / kIdentity, failed);
  if (Status status = io::SyncDirectory(folder_); !status.ok()) return status;
  return RemoveEntries(folder_, [](const std::string& name) { return name == kLock; });
}

void PartialFolder::RemoveLeftover(const fs::path& folder) {
  std::error_code failed;
  if (fs::symlink_status(folder, failed).type() != fs::file_type::directory) return;
  if (!fs::exists(folder / kLock, failed)) {
    fs::remove(folder, failed);  // fails unless it is empty
    return;
  }
  Result<PartialFolder> locked = Lock(folder);
  if (locked.ok() && !fs::exists(locked->model(), failed)) locked->Remove();
}

Status PartialFolder::RecordChecksum(const std::string& shard, const std::string& checksum) {
  checksums_[shard] = checksum;
  return io::WriteFileAtomically(folder_ / kChecksums, io::DumpJson(io::Json(checksums_), 2));
}

Status PartialFolder::KeepShards(int64_t shards, int64_t total) {
  return RemoveEntries(model(), [&](const std::string& name) {
    for (int64_t shard = 1; shard <= shards; ++shard) {
      if (name == ShardName(shard, total)) return true;
    }
    return false;
  });
}

Status PartialFolder::WriteState(const std::string& name, const std::string& bytes) {
  return io::WriteFileAtomically(StatePath(folder_, name), bytes);
}

Result<std::optional<std::string>> PartialFolder::ReadState(const std::string& name) const {
  const fs::path path = StatePath(folder_, name);
  std::error_code failed;
  if (!fs::exists(path, failed)) return std::optional<std::string>();
  Result<std::string> bytes = io::ReadFile(path, kMaxStateBytes);
  if (!bytes.ok()) return bytes.error();
  return std::optional<std::string>(*std::move(bytes));
}

void PartialFolder::Remove() {
  // The lock last, see CheckOurs; held until its file is gone, so that nobody enters before.
  if (const Status emptied = Discard(); emptied.ok()) {
    std::error_code failed;
    fs::remove(folder_ / kLock, failed);
    fs::remove(folder_, failed);
  }
  lock_ = io::Descriptor();
}

}  // namespace atom::artifact
