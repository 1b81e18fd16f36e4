// The tree of tokens read back: each token's bytes along the path to it, jumps that skip exactly
// what begins alike.
#include "atom/grammar/token_trie.h"

#include <gtest/gtest.h>
#include <map>
#include <random>

namespace atom::grammar {
namespace {

std::map<int32_t, std::string> ReadBack(const TokenTrie& trie) {
  std::map<int32_t, std::string> tokens;
  std::string path;
  const auto nodes = trie.nodes();
  for (size_t i = 0; i + 1 < nodes.size(); ++i) {
    path.resize(nodes[i].depth);
    path += static_cast<char>(nodes[i].byte);
    for (uint32_t t = nodes[i].tokens_begin; t < nodes[i + 1].tokens_begin; ++t) {
      tokens[trie.token_ids()[t]] = path;
    }
    // The subtree: deeper nodes up to `end`, and none there.
    for (size_t below = i + 1; below < nodes[i].end; ++below) {
      EXPECT_GT(nodes[below].depth, nodes[i].depth);
    }
    EXPECT_LE(nodes[nodes[i].end].depth, nodes[i].depth);
  }
  return tokens;
}

TEST(TokenTrie, HoldsEveryTokenWithBytes) {
  std::mt19937 random(2);
  std::vector<std::string> tokens;
  for (int i = 0; i < 2000; ++i) {
    std::string token;
    for (uint32_t left = random() % 6; left > 0; --left) token += "ab\xFF\x80z"[random() % 5];
    tokens.push_back(token);
  }
  const TokenTrie trie(tokens, {5, 2001}, 2003);
  std::map<int32_t, std::string> expected;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (!tokens[id].empty() && id != 5) expected[static_cast<int32_t>(id)] = tokens[id];
  }
  EXPECT_EQ(ReadBack(trie), expected);
  EXPECT_EQ(trie.vocab_size(), 2003);
  EXPECT_EQ(trie.max_depth(), 5u);
  EXPECT_EQ(trie.token_ids().size(), expected.size());
}

TEST(TokenTrie, OfNothing) {
  const TokenTrie trie(std::vector<std::string>{"", ""}, {}, 2);
  EXPECT_EQ(trie.nodes().size(), 1u);
  EXPECT_TRUE(trie.token_ids().empty());
}

}  // namespace
}  // namespace atom::grammar
