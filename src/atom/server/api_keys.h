// Who may ask: the keys of `Authorization: Bearer KEY`.
//
// Promises: how long a comparison takes says nothing about the keys, and no key is ever printed.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"

namespace atom::server {

class ApiKeys {
 public:
  /// One key a line; empty lines and lines that start with # are none.
  static Result<ApiKeys> Load(const std::filesystem::path& path);

  /// An Error if the key is empty, too long or has a space.
  Status Add(std::string_view key);
  bool empty() const { return keys_.empty(); }
  size_t size() const { return keys_.size(); }
  /// Which key an Authorization header brings: its number, from 0.
  std::optional<size_t> Find(std::string_view authorization) const;

 private:
  std::vector<std::string> keys_;
};

}  // namespace atom::server
