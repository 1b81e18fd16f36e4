#include "atom/tokenizer/pre_tokenizer.h"

#include <utility>

#include "atom/tokenizer/script_runs.h"

namespace atom::tokenizer {
namespace {

// One step on one word.
struct Cutter {
  const Word& word;
  RegexSteps& budget;
  WordList& list;

  Status operator()(SplitPattern pattern) const {
    SplitWords(pattern, word, list.words);
    return {};
  }
  Status operator()(const DelimiterCut& cut) const { return cut.Cut(word, budget, list); }
  Status operator()(const ScriptRuns&) const {
    CutAtScripts(word, list);
    return {};
  }
  Status operator()(const Metaspace& metaspace) const {
    metaspace.Cut(word, list);
    return {};
  }
  Status operator()(const ByteLevel& byte_level) const {
    byte_level.Cut(word, list);
    return {};
  }
};

}  // namespace

Status CutWords(const std::vector<PreTokenizer>& steps, std::string_view text, bool first,
                RegexSteps& budget, WordList& list) {
  list.words.clear();
  list.rewritten.clear();
  if (!text.empty()) list.words.push_back({text, first});
  std::vector<Word> coarse;
  for (const PreTokenizer& step : steps) {
    std::swap(coarse, list.words);
    list.words.clear();
    for (const Word& word : coarse) {
      const Status cut = std::visit(Cutter{word, budget, list}, step);
      if (!cut.ok()) return cut;
    }
  }
  return {};
}

}  // namespace atom::tokenizer
