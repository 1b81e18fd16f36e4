#include "atom/tokenizer/rank_merges.h"

#include <string_view>
#include <unordered_map>

namespace atom::tokenizer {

std::vector<BpeMerge> MergesOfRanks(const std::vector<std::string>& tokens, int32_t first_id) {
  std::unordered_map<std::string_view, int32_t> ids;
  ids.reserve(tokens.size());
  for (auto id = static_cast<size_t>(first_id); id < tokens.size(); ++id) {
    ids.emplace(tokens[id], static_cast<int32_t>(id));
  }
  std::vector<BpeMerge> merges;
  for (auto id = static_cast<size_t>(first_id); id < tokens.size(); ++id) {
    const std::string_view token = tokens[id];
    for (size_t cut = 1; cut < token.size(); ++cut) {
      const auto left = ids.find(token.substr(0, cut));
      if (left == ids.end()) continue;
      const auto right = ids.find(token.substr(cut));
      if (right == ids.end()) continue;
      const auto product = static_cast<int32_t>(id);
      merges.push_back({left->second, right->second, product, product});
    }
  }
  return merges;
}

}  // namespace atom::tokenizer
