// Fingerprints of bytes and files: XXH3-128 as 32 hex digits, what `xxh128sum` prints. Guards
// against truncation, bit rot and mixed-up files, not against an adversary.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "atom/core/result.h"

struct XXH3_state_s;

namespace atom::io {

/// For bytes that come in pieces; how they are cut does not matter.
class Checksum {
 public:
  Checksum();
  void Update(std::span<const std::byte> bytes);
  void Update(std::string_view text);
  /// Of everything so far; more may follow.
  std::string Hex() const;

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
};

std::string ChecksumOf(std::span<const std::byte> bytes);
std::string ChecksumOf(std::string_view text);
/// Reads the file through a small buffer.
Result<std::string> ChecksumOfFile(const std::filesystem::path& path);

}  // namespace atom::io
