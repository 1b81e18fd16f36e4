#include "atom/tokenizer/metaspace.h"

#include <algorithm>

namespace atom::tokenizer {
namespace {

std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to) {
  std::string replaced;
  replaced.reserve(text.size() + text.size() / 2);
  for (size_t pos = 0; pos <= text.size();) {
    const size_t found = std::min(text.find(from, pos), text.size());
    replaced.append(text.substr(pos, found - pos));
    if (found == text.size()) break;
    replaced.append(to);
    pos = found + from.size();
  }
  return replaced;
}

}  // namespace

std::string ReplaceSpaces(std::string_view text) { return ReplaceAll(text, " ", kMetaspace); }
std::string RestoreSpaces(std::string_view text) { return ReplaceAll(text, kMetaspace, " "); }

std::string SpaceNormalizer::Apply(std::string_view run) const {
  std::string text = replace ? ReplaceSpaces(run) : std::string(run);
  if (prepend && !text.empty()) text.insert(0, kMetaspace);
  return text;
}

bool MetaspaceEncoder::AddsPrefix(std::string_view run, bool at_start) const {
  switch (rules_.prefix) {
    case MetaspacePrefix::kNever:
      return false;
    case MetaspacePrefix::kFirst:
      return at_start;
    case MetaspacePrefix::kAlways:
      return at_start || !run.starts_with(kMetaspace);
  }
  return false;
}

Status MetaspaceEncoder::Encode(std::string_view run, bool at_start, RegexSteps& /*steps*/,
                                std::vector<int32_t>& ids) const {
  if (run.empty()) return {};
  std::string text = rules_.replace_spaces ? ReplaceSpaces(run) : std::string(run);
  if (AddsPrefix(text, at_start)) text.insert(0, kMetaspace);

  BpeScratch scratch;
  const std::string_view view = text;
  for (size_t begin = 0; begin < view.size();) {
    const size_t end =
        rules_.split ? std::min(view.find(kMetaspace, begin + 1), view.size()) : view.size();
    model_.EncodeWord(view.substr(begin, end - begin), scratch, ids);
    begin = end;
  }
  return {};
}

}  // namespace atom::tokenizer
