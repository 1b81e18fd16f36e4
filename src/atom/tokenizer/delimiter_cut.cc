#include "atom/tokenizer/delimiter_cut.h"

#include <string>
#include <vector>

#include "atom/tokenizer/punctuation.h"
#include "atom/tokenizer/unicode.h"

namespace atom::tokenizer {
namespace {

using CharacterKind = DelimiterCut::CharacterKind;

bool IsOfKind(const Utf8Char& character, CharacterKind kind) {
  if (character.status != Utf8Status::kValid) return false;
  switch (kind) {
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

}  // namespace

Status DelimiterCut::Cut(const Word& word, RegexSteps& steps, WordList& list) const {
  std::vector<RegexMatch> matches;
  if (const auto* pattern = std::get_if<TextPattern>(&delimiter_)) {
    const Status found = pattern->FindAll(word.text, steps, matches);
    if (!found.ok()) return found;
  } else if (const auto* kind = std::get_if<CharacterKind>(&delimiter_)) {
    FindCharacters(word.text, *kind, matches);
  } else {
    FindWordRuns(word.text, matches);
  }
  JoinPieces(PiecesOf(word.text, matches, invert_), behavior_, word, list.words);
  return {};
}

}  // namespace atom::tokenizer
