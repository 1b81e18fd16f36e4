// What a clone without Git LFS has in the place of large files: a text of three lines that begins
// with the address of the pointer format (https://git-lfs.github.com/spec/v1).
#pragma once

#include <string>
#include <string_view>

#include "atom/core/result.h"

namespace atom::io {

inline Status RefuseLfsPointer(std::string_view file, const std::string& source) {
  if (!file.starts_with("version https://git-lfs.github.com/spec/v1\n")) return {};
  return MakeError("{}: is a Git LFS pointer, not the file: fetch it with git lfs pull", source);
}

}  // namespace atom::io
