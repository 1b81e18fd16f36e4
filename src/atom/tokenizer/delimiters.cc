#include "atom/tokenizer/delimiters.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "atom/core/check.h"

namespace atom::tokenizer {
namespace {

struct BehaviorRow {
  DelimiterBehavior behavior;
  std::string_view name;
};
constexpr std::array<BehaviorRow, 5> kBehaviors = {{
    {DelimiterBehavior::kRemoved, "Removed"},
    {DelimiterBehavior::kIsolated, "Isolated"},
    {DelimiterBehavior::kMergedWithPrevious, "MergedWithPrevious"},
    {DelimiterBehavior::kMergedWithNext, "MergedWithNext"},
    {DelimiterBehavior::kContiguous, "Contiguous"},
}};

// The stretch of text from the first piece to the last. REQUIRES: they touch.
std::string_view Span(std::string_view first, std::string_view last) {
  return {first.data(), static_cast<size_t>(last.data() + last.size() - first.data())};
}

// Whether a piece goes on the word of the piece before it.
bool Joins(const std::vector<Piece>& pieces, size_t i, DelimiterBehavior behavior) {
  if (i == 0) return false;
  const bool before = pieces[i - 1].delimiter;
  const bool here = pieces[i].delimiter;
  switch (behavior) {
    case DelimiterBehavior::kRemoved:
    case DelimiterBehavior::kIsolated:
      return false;
    case DelimiterBehavior::kMergedWithPrevious:
      return here && !before;
    case DelimiterBehavior::kMergedWithNext:
      return before && !here;
    case DelimiterBehavior::kContiguous:
      return here == before;
  }
  return false;
}

}  // namespace

std::string_view NameOf(DelimiterBehavior behavior) {
  const BehaviorRow& row = kBehaviors[static_cast<size_t>(behavior)];
  ATOM_CHECK(row.behavior == behavior, "behavior {} is out of place", row.name);
  return row.name;
}

std::optional<DelimiterBehavior> FindDelimiterBehavior(std::string_view name) {
  const auto* row = std::find_if(kBehaviors.begin(), kBehaviors.end(),
                                 [&](const BehaviorRow& known) { return known.name == name; });
  if (row == kBehaviors.end()) return std::nullopt;
  return row->behavior;
}

std::string KnownDelimiterBehaviors() {
  std::string names;
  for (const BehaviorRow& row : kBehaviors) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", row.name);
  }
  return names;
}

void JoinPieces(const std::vector<Piece>& pieces, DelimiterBehavior behavior, const Word& word,
                std::vector<Word>& words) {
  for (size_t begin = 0; begin < pieces.size();) {
    size_t end = begin + 1;
    while (end < pieces.size() && Joins(pieces, end, behavior)) ++end;
    const std::string_view text = Span(pieces[begin].text, pieces[end - 1].text);
    const bool dropped = behavior == DelimiterBehavior::kRemoved && pieces[begin].delimiter;
    const bool first = word.first && text.data() == word.text.data();
    if (!text.empty() && !dropped) words.push_back({text, first});
    begin = end;
  }
}

}  // namespace atom::tokenizer
