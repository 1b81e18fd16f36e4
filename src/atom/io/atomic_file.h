// Files that are either whole or absent, whatever happens in between: written under a temporary
// name in the same folder, flushed to the disk, renamed into place, and the folder flushed.
//
//   Result<AtomicFile> file = AtomicFile::Create(path);
//   if (!file.ok()) return file.error();
//   if (Status status = file->Write(bytes); !status.ok()) return status;
//   return file->Commit();
//
// Whatever was at `path` stays until Commit succeeds; without Commit the temporary file is removed.
// A killed process leaves at most a file ".<name>.<number>.partial".
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

#include "atom/core/result.h"
#include "atom/io/descriptor.h"

namespace atom::io {

class AtomicFile {
 public:
  /// The folder of `path` must exist.
  static Result<AtomicFile> Create(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) = delete;

  /// Appends; not buffered.
  Status Write(std::span<const std::byte> bytes);
  Status Write(std::string_view text);
  /// Makes the file appear under its name; nothing may be written after it.
  Status Commit();

 private:
  AtomicFile() = default;

  std::filesystem::path path_;
  std::filesystem::path temporary_;  // empty once committed or moved from
  Descriptor file_;
};

Status WriteFileAtomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
Status WriteFileAtomically(const std::filesystem::path& path, std::string_view text);

/// Makes the names inside a folder durable.
Status SyncDirectory(const std::filesystem::path& folder);
/// Moves a finished folder to its final name on the same file system, durably. The new name must
/// be free (an empty folder there is replaced): a folder with files is never overwritten.
Status RenameDirectory(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace atom::io
