// What ranked vocabularies (tiktoken, tekken) say instead of a list of merges: two neighbours merge
// if what they spell together is a token, the lowest rank first.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "atom/tokenizer/pair_table.h"

namespace atom::tokenizer {

/// The merges of the tokens from `first_id` on, whose ids are in the order of their ranks: every
/// way to cut a token into two others is one.
std::vector<BpeMerge> MergesOfRanks(const std::vector<std::string>& tokens, int32_t first_id);

}  // namespace atom::tokenizer
