#include "atom/io/atomic_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

namespace atom::io {
namespace {

// "name" means "./name".
std::filesystem::path FolderOf(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

// Where the bytes go when they go to `path`: through symbolic links, but never in the place of a
// folder or of something like /dev/stdout, which a rename would replace.
Result<std::filesystem::path> Destination(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto type = std::filesystem::status(path, ignored).type();
  if (!path.has_filename() || type == std::filesystem::file_type::directory) {
    return MakeError("{}: cannot be written: is a folder, expected the name of a file",
                     path.string());
  }
  if (type == std::filesystem::file_type::regular) {
    auto target = std::filesystem::canonical(path, ignored);
    return ignored ? path : target;
  }
  if (std::filesystem::exists(path, ignored)) {
    return MakeError("{}: cannot be written: is a device or a pipe, expected the name of a file",
                     path.string());
  }
  return path;
}

}  // namespace

Result<AtomicFile> AtomicFile::Create(const std::filesystem::path& path) {
  Result<std::filesystem::path> destination = Destination(path);
  if (!destination.ok()) return destination.error();
  constexpr int kAttempts = 100;  // names taken by leftovers, or by another writer of this process
  AtomicFile created;
  created.path_ = *std::move(destination);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto temporary =
        FolderOf(created.path_) /  // of a link's target: a rename stays on one file system
        fmt::format(".{}.{}-{}.partial", created.path_.filename().string(), getpid(), attempt);
    created.file_ =
        Descriptor(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (created.file_.valid()) {
      created.temporary_ = temporary;
      return created;
    }
    if (errno != EEXIST) break;
  }
  return MakeError("{}: cannot be written: {}", path.string(), std::strerror(errno));
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      file_(std::move(other.file_)) {}

Status AtomicFile::Write(std::span<const std::byte> bytes) {
  ATOM_CHECK(file_.valid(), "write to {} after Commit", path_.string());
  while (!bytes.empty()) {
    const ssize_t written = write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      return MakeError("{}: cannot be written: {}", path_.string(), std::strerror(errno));
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Status AtomicFile::Write(std::string_view text) { return Write(std::as_bytes(std::span(text))); }

Status AtomicFile::Commit() {
  ATOM_CHECK(file_.valid(), "second Commit of {}", path_.string());
  if (fsync(file_.get()) != 0) {
    return MakeError("{}: cannot be flushed to the disk: {}", path_.string(), std::strerror(errno));
  }
  file_ = Descriptor();
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return MakeError("{}: cannot be put in place: {}", path_.string(), std::strerror(errno));
  }
  temporary_.clear();
  return SyncDirectory(FolderOf(path_));
}

Status WriteFileAtomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  Result<AtomicFile> file = AtomicFile::Create(path);
  if (!file.ok()) return file.error();
  if (Status status = file->Write(bytes); !status.ok()) return status;
  return file->Commit();
}

Status WriteFileAtomically(const std::filesystem::path& path, std::string_view text) {
  return WriteFileAtomically(path, std::as_bytes(std::span(text)));
}

Status SyncDirectory(const std::filesystem::path& folder) {
  const Descriptor directory(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some network file systems cannot flush folders (EINVAL) and need not.
  if (!directory.valid() || (fsync(directory.get()) != 0 && errno != EINVAL)) {
    return MakeError("{}: the folder cannot be flushed to the disk: {}", folder.string(),
                     std::strerror(errno));
  }
  return {};
}

Status RenameDirectory(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (Status status = SyncDirectory(from); !status.ok()) return status;
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    return MakeError("{}: the finished folder {} cannot be given this name: {}", to.string(),
                     from.string(), std::strerror(errno));
  }
  return SyncDirectory(FolderOf(to.has_filename() ? to : to.parent_path()));  // "to/" is "to"
}

}  // namespace atom::io
