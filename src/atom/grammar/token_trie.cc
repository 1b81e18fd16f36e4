#include "atom/grammar/token_trie.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>

#include "atom/core/check.h"

namespace atom::grammar {
namespace {

/// Of the tokens that the model can draw: a tokenizer may know more than it has logits.
std::vector<std::string> PlainBytes(const tokenizer::Tokenizer& tokenizer, int64_t vocab_size) {
  const int64_t tokens = std::min(tokenizer.vocab_size(), vocab_size);
  std::vector<std::string> bytes(static_cast<size_t>(tokens));
  for (int32_t id = 0; id < tokens; ++id) {
    if (!tokenizer.IsSpecial(id)) bytes[static_cast<size_t>(id)] = tokenizer.TokenBytes(id);
  }
  return bytes;
}

std::vector<int32_t> EndIds(const tokenizer::Tokenizer& tokenizer, int64_t vocab_size) {
  std::vector<int32_t> ids = tokenizer.eos_ids();
  std::erase_if(ids, [vocab_size](int32_t id) { return id >= vocab_size; });
  return ids;
}

}  // namespace

TokenTrie::TokenTrie(const tokenizer::Tokenizer& tokenizer, int64_t vocab_size)
    : TokenTrie(PlainBytes(tokenizer, vocab_size), EndIds(tokenizer, vocab_size), vocab_size) {}

TokenTrie::TokenTrie(std::span<const std::string> bytes, std::vector<int32_t> end_ids,
                     int64_t vocab_size)
    : end_ids_(std::move(end_ids)), vocab_size_(vocab_size) {
  ATOM_CHECK(static_cast<size_t>(vocab_size) >= bytes.size(), "{} tokens, vocabulary of {}",
             bytes.size(), vocab_size);
  std::vector<bool> ends(static_cast<size_t>(vocab_size), false);
  for (const int32_t id : end_ids_) {
    ATOM_CHECK(id >= 0 && id < vocab_size, "id {}, vocabulary of {}", id, vocab_size);
    ends[static_cast<size_t>(id)] = true;
  }
  std::vector<int32_t> sorted(bytes.size());
  std::iota(sorted.begin(), sorted.end(), 0);
  const auto bytes_of = [&](int32_t id) -> const std::string& {
    return bytes[static_cast<size_t>(id)];
  };
  std::erase_if(sorted,
                [&](int32_t id) { return bytes_of(id).empty() || ends[static_cast<size_t>(id)]; });
  // By bytes as numbers from 0 to 255, as std::string compares.
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](int32_t a, int32_t b) { return bytes_of(a) < bytes_of(b); });

  std::vector<uint32_t> path;  // the nodes of the token before, by depth
  std::string_view before;
  const auto close = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back()) {
      nodes_[path.back()].end = static_cast<uint32_t>(nodes_.size());
    }
  };
  for (const int32_t id : sorted) {
    const std::string_view token = bytes_of(id);
    const auto split = std::mismatch(token.begin(), token.end(), before.begin(), before.end());
    close(static_cast<size_t>(split.first - token.begin()));
    while (path.size() < token.size()) {
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      const auto depth = static_cast<uint32_t>(path.size() - 1);
      nodes_.push_back({.byte = static_cast<uint8_t>(token[depth]),
                        .depth = depth,
                        .end = 0,
                        .tokens_begin = static_cast<uint32_t>(token_ids_.size())});
      max_depth_ = std::max(max_depth_, depth + 1);
    }
    token_ids_.push_back(id);
    before = token;
  }
  close(0);
  const auto count = static_cast<uint32_t>(nodes_.size());
  nodes_.push_back({0, 0, count, static_cast<uint32_t>(token_ids_.size())});
}

}  // namespace atom::grammar
