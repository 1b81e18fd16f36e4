// Who may ask: the keys of `Authorization: Bearer KEY`.
//
// Promises: how long a comparison takes says nothing about the keys, and no key is ever printed.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "atom/core/result.h"

namespace atom::server {

/// Whether all are equal. Looks at every pair and decides nothing before the last.
template <class Unit, size_t kSize>
bool SameThroughout(const std::array<Unit, kSize>& a, const std::array<Unit, kSize>& b) {
  int different = 0;
  for (size_t i = 0; i < kSize; ++i) different |= a[i] ^ b[i];
  return different == 0;
}

class ApiKeys {
 public:
  static constexpr size_t kLongest = 256;

  /// One key a line; empty lines and lines that start with # are none.
  static Result<ApiKeys> Load(const std::filesystem::path& path);

  /// An Error if the key is empty, too long or has a space.
  Status Add(std::string_view key);
  bool empty() const { return keys_.empty(); }
  size_t size() const { return keys_.size(); }
  /// Which key an Authorization header brings: its number, from 0.
  std::optional<size_t> Find(std::string_view authorization) const;

 private:
  /// A key's bytes, and then what no byte is.
  using Padded = std::array<int16_t, kLongest>;
  /// REQUIRES: at most kLongest bytes.
  static Padded Pad(std::string_view key);

  std::vector<Padded> keys_;
};

}  // namespace atom::server
