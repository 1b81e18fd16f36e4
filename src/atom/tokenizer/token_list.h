// The list of a tokenizer's tokens while its files are read: takes them in any order and refuses
// what contradicts itself. Every reader fills one, so every form has the same limits.
//
// Promises of a finished list: ids 0 … n−1, each once; no token empty, longer than kMaxTokenBytes,
// or there twice.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "atom/core/result.h"

namespace atom::tokenizer {

/// The longest token in use is a run of a few hundred spaces or dashes.
inline constexpr size_t kMaxTokenBytes = 1024;

class TokenList {
 public:
  /// `source` starts the errors' sentences.
  explicit TokenList(std::string source) : source_(std::move(source)) {}

  /// An Error if another token has the id, or the token another id. The same again is fine.
  Status Add(int64_t id, std::string_view token);

  std::optional<int32_t> Find(std::string_view token) const;
  int64_t size() const { return static_cast<int64_t>(ids_.size()); }

  /// The tokens by id; an Error if an id is left out or beyond their number.
  Result<std::vector<std::string>> Finish() const;

 private:
  std::string source_;
  std::unordered_map<std::string, int32_t> ids_;
  std::unordered_map<int32_t, const std::string*> tokens_;  // into the keys of ids_
};

}  // namespace atom::tokenizer
