#include "atom/io/mapped_file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "atom/io/lfs_pointer.h"

namespace atom::io {
namespace {

int64_t ModifiedNanoseconds(const struct stat& info) {
  return int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

// Whole pages only: those that the part shares with its neighbours are left alone.
void Advise(std::span<const std::byte> part, int advice) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(part.data() + part.size()) / page * page;
  if (begin >= end) return;
  (void)madvise(reinterpret_cast<void*>(begin), end - begin, advice);  // a hint: may fail
}

}  // namespace

Result<MappedFile> MappedFile::Open(const std::filesystem::path& path) {
  MappedFile mapped;
  mapped.path_ = path;
  // O_NONBLOCK: a pipe is opened without waiting for its writer, to be refused below.
  mapped.file_ = Descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!mapped.file_.valid() || fstat(mapped.file_.get(), &info) != 0) {
    return MakeError("{}: cannot be opened: {}", path.string(), std::strerror(errno));
  }
  if (S_ISDIR(info.st_mode)) {
    return MakeError("{}: is a folder, expected a file", path.string());
  }
  if (!S_ISREG(info.st_mode)) {
    return MakeError("{}: is a device or a pipe, expected a regular file", path.string());
  }
  if (info.st_size == 0) {
    return MakeError("{}: is empty (0 bytes)", path.string());
  }
  const auto size = static_cast<size_t>(info.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, mapped.file_.get(), 0);
  if (data == MAP_FAILED) {
    return MakeError("{}: {} bytes cannot be mapped: {}", path.string(), size,
                     std::strerror(errno));
  }
  mapped.bytes_ = {static_cast<const std::byte*>(data), size};
  mapped.modified_ns_ = ModifiedNanoseconds(info);
  const std::string_view text(static_cast<const char*>(data), size);
  if (Status s = RefuseLfsPointer(text, path.string()); !s.ok()) return s.error();
  return mapped;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::move(other.file_)),
      bytes_(std::exchange(other.bytes_, {})),
      modified_ns_(other.modified_ns_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(file_, other.file_);
  std::swap(bytes_, other.bytes_);
  std::swap(modified_ns_, other.modified_ns_);
  return *this;
}

void MappedFile::ReadAhead(std::span<const std::byte> part) const { Advise(part, MADV_WILLNEED); }
void MappedFile::ReleasePages(std::span<const std::byte> part) const {
  Advise(part, MADV_DONTNEED);
}

Status MappedFile::CheckUnchanged() const {
  struct stat info {};
  if (fstat(file_.get(), &info) != 0) {
    return MakeError("{}: cannot be examined: {}", path_.string(), std::strerror(errno));
  }
  if (info.st_size != static_cast<int64_t>(bytes_.size())) {
    return MakeError("{}: has {} bytes now, but had {} when it was opened", path_.string(),
                     int64_t{info.st_size}, bytes_.size());
  }
  if (ModifiedNanoseconds(info) != modified_ns_) {
    return MakeError("{}: was modified after it had been opened", path_.string());
  }
  return {};
}

}  // namespace atom::io
