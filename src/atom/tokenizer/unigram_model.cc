#include "atom/tokenizer/unigram_model.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "atom/core/check.h"
#include "atom/io/quote.h"
#include "atom/tokenizer/bpe_model.h"
#include "atom/tokenizer/unicode.h"

namespace atom::tokenizer {
namespace {

constexpr double kUnknownPenalty = 10;

}  // namespace

Result<UnigramModel> UnigramModel::Create(UnigramSpec spec, const std::string& source) {
  if (spec.scores.empty()) return MakeError("{}: the model has no tokens", source);
  UnigramModel model;
  model.source_ = source;
  model.unk_id_ = spec.unk_id;
  model.unk_score_ = *std::min_element(spec.scores.begin(), spec.scores.end()) - kUnknownPenalty;
  spec.tokens.resize(spec.scores.size());
  model.BuildTrie(spec.tokens);
  if (spec.byte_fallback) model.byte_ids_.emplace().fill(-1);
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    if (spec.tokens[id].empty()) continue;
    const std::optional<uint8_t> byte = ByteOfToken(spec.tokens[id]);
    if (byte && spec.byte_fallback) (*model.byte_ids_)[*byte] = static_cast<int32_t>(id);
    model.ids_.emplace(std::move(spec.tokens[id]), static_cast<int32_t>(id));
  }
  model.scores_ = std::move(spec.scores);
  return model;
}

// Level by level, from ranges of the sorted tokens that share a prefix.
void UnigramModel::BuildTrie(const std::vector<std::string>& tokens) {
  struct Range {
    size_t begin;
    size_t end;
    size_t depth;
  };
  std::vector<int32_t> order(tokens.size());
  std::iota(order.begin(), order.end(), 0);
  const auto token = [&](size_t i) -> const std::string& {
    return tokens[static_cast<size_t>(order[i])];
  };
  std::erase_if(order, [&](int32_t id) { return tokens[static_cast<size_t>(id)].empty(); });
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return tokens[static_cast<size_t>(a)] < tokens[static_cast<size_t>(b)];
  });
  nodes_.assign(1, Node());
  std::vector<Range> ranges = {{0, order.size(), 0}};  // by node
  for (size_t n = 0; n < nodes_.size(); ++n) {
    auto [begin, end, depth] = ranges[n];
    if (begin < end && token(begin).size() == depth) nodes_[n].id = order[begin++];
    nodes_[n].first_child = static_cast<uint32_t>(nodes_.size());
    while (begin < end) {
      const char byte = token(begin)[depth];
      size_t next = begin + 1;
      while (next < end && token(next)[depth] == byte) ++next;
      Node child;
      child.byte = static_cast<uint8_t>(byte);
      nodes_.push_back(child);
      ranges.push_back({begin, next, depth + 1});
      ++nodes_[n].children;
      begin = next;
    }
  }
}

const UnigramModel::Node* UnigramModel::Child(const Node& node, uint8_t byte) const {
  const auto begin = nodes_.begin() + node.first_child;
  const auto end = begin + node.children;
  const auto found = std::partition_point(begin, end, [&](const Node& n) { return n.byte < byte; });
  return found != end && found->byte == byte ? &*found : nullptr;
}

std::vector<UnigramModel::Path> UnigramModel::BestPaths(std::string_view word) const {
  std::vector<Path> paths(word.size() + 1);
  for (size_t begin = 0; begin < word.size();) {
    const double score = paths[begin].score;
    const auto offer = [&](size_t end, int32_t id, double token_score) {
      Path& path = paths[end];
      if (path.begin >= 0 && token_score + score <= path.score) return;
      path = {token_score + score, static_cast<int32_t>(begin), id};
    };
    const size_t character = NextChar(word, begin).length;
    bool known = false;
    const Node* node = nodes_.data();
    for (size_t end = begin; end < word.size();) {
      node = Child(*node, static_cast<uint8_t>(word[end]));
      if (node == nullptr) break;
      ++end;
      if (node->id < 0) continue;
      offer(end, node->id, scores_[static_cast<size_t>(node->id)]);
      known = known || end - begin == character;
    }
    if (!known) offer(begin + character, unk_id_.value_or(-1), unk_score_);
    begin += character;
  }
  return paths;
}

Status UnigramModel::AppendUnknown(std::string_view text, std::vector<int32_t>& ids) const {
  // What is unknown by parts may be a token as a whole.
  if (const auto found = ids_.find(std::string(text)); found != ids_.end()) {
    ids.push_back(found->second);
    return {};
  }
  const auto has_token = [&](char c) { return (*byte_ids_)[static_cast<uint8_t>(c)] >= 0; };
  if (byte_ids_ && std::all_of(text.begin(), text.end(), has_token)) {
    for (const char c : text) ids.push_back((*byte_ids_)[static_cast<uint8_t>(c)]);
  } else {
    ids.push_back(*unk_id_);
  }
  return {};
}

Status UnigramModel::EncodeWord(std::string_view word, std::vector<int32_t>& ids) const {
  const std::vector<Path> paths = BestPaths(word);
  struct Token {
    size_t begin;
    size_t end;
    int32_t id;
  };
  std::vector<Token> tokens;  // the last first
  for (size_t end = word.size(); end > 0;) {
    const Path& path = paths[end];
    const auto begin = static_cast<size_t>(path.begin);
    if (path.id < 0) {
      return MakeError("{}: {} is not in the vocabulary and the model has no unk_id", source_,
                       io::Quote(word.substr(begin, end - begin)));
    }
    const bool unknown = path.id == unk_id_;
    if (unknown && !tokens.empty() && tokens.back().id == unk_id_) {
      tokens.back().begin = begin;
    } else {
      tokens.push_back({begin, end, path.id});
    }
    end = begin;
  }
  for (auto token = tokens.rbegin(); token != tokens.rend(); ++token) {
    if (token->id != unk_id_) {
      ids.push_back(token->id);
      continue;
    }
    const Status appended =
        AppendUnknown(word.substr(token->begin, token->end - token->begin), ids);
    if (!appended.ok()) return appended;
  }
  return {};
}

}  // namespace atom::tokenizer
