// Makes the cost of a regular expression countable. Oniguruma 6.9.8 can limit how often it goes
// back, but not how long it runs: (?:(?=a*+)a)* never goes back and takes n² steps. It can call
// back from marks inside an expression, (?{}), though. With a mark behind every quantifier and at
// the start of every group and branch, what runs between two calls is no longer than the
// expression, but for a single scan forward, and the next mark sees how far that went.
//
// Promises: what the marked expression matches is what `regex` matches in Hugging Face's version of
// Oniguruma, which is newer ([:punct:] has symbols there). Whatever would run unseen
// (back references, conditions, callbacks, absent operators) is refused by name.
#pragma once

#include <string>
#include <string_view>

#include "atom/core/result.h"

namespace atom::tokenizer {

/// Bytes of an expression; those of published tokenizers stay below 3,000.
inline constexpr size_t kMaxRegexBytes = 16384;
/// The most that {n,m} may say.
inline constexpr int kMaxRegexRepeat = 1000;

struct MeteredRegex {
  std::string regex;
  /// What the way from one mark to the next counts: 1 where it is short, more with each 64 items
  /// that follow each other unmarked, and with the largest number of repetitions.
  int step_cost;
};

/// `regex`, in Oniguruma's own syntax, with its marks. Parentheses and brackets that have no
/// partner are Errors too: a mark must not end up in another place than it was meant for.
Result<MeteredRegex> AddMeter(std::string_view regex, const std::string& source);

}  // namespace atom::tokenizer
