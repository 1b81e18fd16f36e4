// A file's bytes in memory, read-only, paged in by the system as they are touched: how weights are
// read without copying them.
//
// Open checks that there is a regular, readable, non-empty file. The mapping is private to reading:
// if another program truncates the file afterwards, touching the lost pages is a SIGBUS, which no
// library can turn into an error; CheckUnchanged() tells in time in all but the last moment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "atom/core/result.h"
#include "atom/io/descriptor.h"

namespace atom::io {

class MappedFile {
 public:
  static Result<MappedFile> Open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  /// The whole file, at least one byte, page-aligned; valid as long as this object (moves keep it).
  std::span<const std::byte> bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }

  /// Hints for a part of bytes(). Read ahead: the caller will want it soon. Release: it is done for
  /// now, its memory may go back to the system; touched again, it is read again.
  void ReadAhead(std::span<const std::byte> part) const;
  void ReleasePages(std::span<const std::byte> part) const;

  /// An Error if the file's size or time of modification is no longer what Open saw.
  Status CheckUnchanged() const;

 private:
  MappedFile() = default;

  std::filesystem::path path_;
  Descriptor file_;
  std::span<const std::byte> bytes_;
  int64_t modified_ns_ = 0;
};

}  // namespace atom::io
