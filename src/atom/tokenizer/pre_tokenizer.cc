#include "atom/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "atom/core/check.h"
#include "atom/io/quote.h"
#include "atom/tokenizer/punctuation.h"
#include "atom/tokenizer/unicode.h"

namespace atom::tokenizer {
namespace {

using io::Json;
using CharacterKind = PreTokenizer::CharacterKind;

// ---- where delimiters are

bool IsOfKind(const Utf8Char& character, CharacterKind kind) {
  if (character.status != Utf8Status::kValid) return false;
  switch (kind) {
    case CharacterKind::kNumber:
      return ClassOf(character.code) == CharClass::kNumber;
    case CharacterKind::kPunctuation:
      return IsPunctuation(character.code);
    case CharacterKind::kSpace:
      return IsSpace(character.code);
  }
  return false;
}

void FindCharacters(std::string_view text, CharacterKind kind, std::vector<RegexMatch>& matches) {
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char character = NextChar(text, pos);
    if (IsOfKind(character, kind)) matches.push_back({pos, pos + character.length});
    pos += character.length;
  }
}

enum class WordPart { kSpace, kWord, kSymbol };

WordPart PartOf(const Utf8Char& character) {
  if (character.status != Utf8Status::kValid) return WordPart::kSymbol;
  if (IsSpace(character.code)) return WordPart::kSpace;
  return IsWordChar(character.code) ? WordPart::kWord : WordPart::kSymbol;
}

// \w+|[^\w\s]+
void FindWordRuns(std::string_view text, std::vector<RegexMatch>& matches) {
  WordPart last = WordPart::kSpace;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char character = NextChar(text, pos);
    const WordPart part = PartOf(character);
    if (part != WordPart::kSpace && part != last) matches.push_back({pos, pos});
    pos += character.length;
    if (part != WordPart::kSpace) matches.back().end = pos;
    last = part;
  }
}

// Matches and what lies between them; of nothing, one piece that is no match.
std::vector<Piece> PiecesOf(std::string_view text, const std::vector<RegexMatch>& matches,
                            bool invert) {
  std::vector<Piece> pieces;
  pieces.reserve(2 * matches.size() + 1);
  size_t pos = 0;
  for (const RegexMatch& match : matches) {
    if (match.begin > pos) pieces.push_back({text.substr(pos, match.begin - pos), invert});
    pieces.push_back({text.substr(match.begin, match.end - match.begin), !invert});
    pos = match.end;
  }
  if (pos < text.size()) pieces.push_back({text.substr(pos), invert});
  return pieces;
}

// ---- readers, one per type

Result<DelimiterBehavior> ParseBehavior(const Json& step, std::optional<DelimiterBehavior> absent,
                                        const std::string& source) {
  const Result<std::optional<std::string>> name = io::OptionalString(step, "behavior", source);
  if (!name.ok()) return name.error();
  const auto behavior = name->has_value() ? FindDelimiterBehavior(**name) : absent;
  if (behavior) return *behavior;
  return MakeError("{}: field 'behavior' is {}, expected one of {}", source,
                   name->has_value() ? io::Quote(**name) : "missing", KnownDelimiterBehaviors());
}

Result<PreTokenizer> ParseSplit(const Json& step, const std::string& source) {
  Result<TextPattern> pattern = TextPattern::Parse(step, source);
  if (!pattern.ok()) return pattern.error();
  const Result<DelimiterBehavior> behavior = ParseBehavior(step, std::nullopt, source);
  if (!behavior.ok()) return behavior.error();
  const Result<std::optional<bool>> invert = io::OptionalBool(step, "invert", source);
  if (!invert.ok()) return invert.error();
  return PreTokenizer(*std::move(pattern), *behavior, invert->value_or(false));
}

Result<PreTokenizer> ParsePunctuation(const Json& step, const std::string& source) {
  const auto behavior = ParseBehavior(step, DelimiterBehavior::kIsolated, source);
  if (!behavior.ok()) return behavior.error();
  return PreTokenizer(CharacterKind::kPunctuation, *behavior);
}

Result<PreTokenizer> ParseDigits(const Json& step, const std::string& source) {
  const Result<std::optional<bool>> single = io::OptionalBool(step, "individual_digits", source);
  if (!single.ok()) return single.error();
  return PreTokenizer(CharacterKind::kNumber, single->value_or(false)
                                                  ? DelimiterBehavior::kIsolated
                                                  : DelimiterBehavior::kContiguous);
}

Result<PreTokenizer> ParseWhitespace(const Json&, const std::string&) {
  return PreTokenizer(PreTokenizer::WordRuns{}, DelimiterBehavior::kRemoved, /*invert=*/true);
}

Result<PreTokenizer> ParseWhitespaceSplit(const Json&, const std::string&) {
  return PreTokenizer(CharacterKind::kSpace, DelimiterBehavior::kRemoved);
}

Result<PreTokenizer> ParseCharDelimiter(const Json& step, const std::string& source) {
  const Result<std::string> character = io::RequireString(step, "delimiter", source);
  if (!character.ok()) return character.error();
  if (character->empty() || NextChar(*character, 0).length != character->size()) {
    return MakeError("{}: field 'delimiter' is {}, expected one character", source,
                     io::Quote(*character));
  }
  return PreTokenizer(TextPattern(*character), DelimiterBehavior::kRemoved);
}

struct Row {
  std::string_view type;
  Result<PreTokenizer> (*parse)(const Json& step, const std::string& source);
};
constexpr std::array<Row, 6> kRows = {{
    {"Split", ParseSplit},
    {"Punctuation", ParsePunctuation},
    {"Digits", ParseDigits},
    {"Whitespace", ParseWhitespace},
    {"WhitespaceSplit", ParseWhitespaceSplit},
    {"CharDelimiterSplit", ParseCharDelimiter},
}};

const Row* FindRow(std::string_view type) {
  const auto* row = std::find_if(kRows.begin(), kRows.end(),
                                 [&](const Row& known) { return known.type == type; });
  return row == kRows.end() ? nullptr : row;
}

}  // namespace

Status PreTokenizer::Cut(std::string_view text, RegexSteps& steps,
                         std::vector<std::string_view>& words) const {
  std::vector<RegexMatch> matches;
  if (const auto* pattern = std::get_if<TextPattern>(&delimiter_)) {
    const Status found = pattern->FindAll(text, steps, matches);
    if (!found.ok()) return found;
  } else if (const auto* kind = std::get_if<CharacterKind>(&delimiter_)) {
    FindCharacters(text, *kind, matches);
  } else {
    FindWordRuns(text, matches);
  }
  JoinPieces(PiecesOf(text, matches, invert_), behavior_, words);
  return {};
}

bool IsPreTokenizer(std::string_view type) { return FindRow(type) != nullptr; }

Result<PreTokenizer> ParsePreTokenizer(const Json& step, std::string_view type,
                                       const std::string& source) {
  const Row* row = FindRow(type);
  ATOM_CHECK(row != nullptr, "pre-tokenizer {}", type);
  return row->parse(step, source);
}

Result<std::vector<std::string_view>> CutWords(const std::vector<PreTokenizer>& steps,
                                               std::string_view text) {
  RegexSteps budget(text.size());
  std::vector<std::string_view> words;
  if (!text.empty()) words.push_back(text);
  for (const PreTokenizer& step : steps) {
    std::vector<std::string_view> finer;
    for (const std::string_view word : words) {
      const Status cut = step.Cut(word, budget, finer);
      if (!cut.ok()) return cut.error();
    }
    words = std::move(finer);
  }
  return words;
}

}  // namespace atom::tokenizer
