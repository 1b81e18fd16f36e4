#include "atom/tokenizer/token_list.h"

#include <algorithm>
#include <limits>

#include "atom/io/quote.h"

namespace atom::tokenizer {

Status TokenList::Add(int64_t id, std::string_view token) {
  if (token.empty()) return MakeError("{}: the token with id {} is empty", source_, id);
  if (token.size() > kMaxTokenBytes) {
    return MakeError("{}: the token with id {} is {} bytes long, expected at most {}", source_, id,
                     token.size(), kMaxTokenBytes);
  }
  if (id < 0 || id > std::numeric_limits<int32_t>::max()) {
    return MakeError("{}: token {} has id {}, expected a number from 0 to 2147483647", source_,
                     io::Quote(token), id);
  }
  const auto [entry, is_new] = ids_.emplace(token, static_cast<int32_t>(id));
  if (entry->second != id) {
    return MakeError("{}: token {} has two ids, {} and {}", source_, io::Quote(token),
                     entry->second, id);
  }
  if (!is_new) return {};
  const auto [owner, is_free] = tokens_.emplace(entry->second, &entry->first);
  if (!is_free) {
    return MakeError("{}: two tokens, {} and {}, have the id {}", source_,
                     io::Quote(*owner->second), io::Quote(token), id);
  }
  return {};
}

std::optional<int32_t> TokenList::Find(std::string_view token) const {
  const auto found = ids_.find(std::string(token));
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

Result<std::vector<std::string>> TokenList::Finish() const {
  if (ids_.empty()) return MakeError("{}: has no tokens", source_);
  std::vector<std::string> by_id(ids_.size());
  auto last = ids_.begin();
  for (auto entry = ids_.begin(); entry != ids_.end(); ++entry) {
    if (entry->second > last->second) last = entry;
    const auto id = static_cast<size_t>(entry->second);
    if (id < by_id.size()) by_id[id] = entry->first;
  }
  const auto gap = std::find(by_id.begin(), by_id.end(), "");
  if (gap == by_id.end()) return by_id;
  return MakeError("{}: no token has the id {}, but token {} has {}; expected ids 0 to {}", source_,
                   gap - by_id.begin(), io::Quote(last->first), last->second, by_id.size() - 1);
}

}  // namespace atom::tokenizer
