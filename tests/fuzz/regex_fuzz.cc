// Fuzzes the regular expressions of tokenizer files: whatever the expression and the text, a search
// ends within the steps that it is given, the same each time, and its matches lie in the text, one
// behind the other. Input: an expression, a zero byte, a text.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "atom/core/check.h"
#include "atom/tokenizer/regex.h"

#include "error_sentence.h"

namespace {

using atom::tokenizer::Regex;
using atom::tokenizer::RegexMatch;
using atom::tokenizer::RegexSteps;

constexpr uint64_t kSteps = 1'000'000;  // about 30 ms

struct Found {
  bool ok;
  uint64_t steps_left;
  std::vector<RegexMatch> matches;
};

Found Search(const Regex& regex, std::string_view text) {
  Found found;
  RegexSteps steps(text.size());
  steps.left = kSteps;
  found.ok = regex.FindAll(text, steps, found.matches).ok();
  found.steps_left = steps.left;
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\0'), size);
  const std::string_view text = input.substr(std::min(end + 1, size));
  const auto regex = Regex::Compile(input.substr(0, end), "fuzz");
  if (!regex.ok()) {
    atom::fuzz::CheckSentence(regex.error());
    return 0;
  }
  const Found found = Search(*regex, text);
  size_t pos = 0;
  for (const RegexMatch& match : found.matches) {
    ATOM_CHECK(match.begin >= pos && match.end >= match.begin && match.end <= text.size(),
               "a match from {} to {} behind {}", match.begin, match.end, pos);
    pos = match.end;
  }
  const Found again = Search(*regex, text);
  ATOM_CHECK(again.ok == found.ok && again.steps_left == found.steps_left &&
                 again.matches.size() == found.matches.size(),
             "{} matches and {} steps left, then {} and {}", found.matches.size(), found.steps_left,
             again.matches.size(), again.steps_left);
  return 0;
}
