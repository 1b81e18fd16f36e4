#include "atom/tokenizer/byte_level.h"

namespace atom::tokenizer {

Status ByteLevelEncoder::Encode(std::string_view run, bool /*at_start*/, RegexSteps& /*steps*/,
                                std::vector<int32_t>& ids) const {
  std::vector<std::string_view> words = {run};
  for (const SplitPattern pattern : patterns_) {
    std::vector<std::string_view> finer;
    for (const std::string_view word : words) SplitWords(pattern, word, finer);
    words = std::move(finer);
  }
  BpeScratch scratch;
  for (const std::string_view word : words) {
    if (!word.empty()) model_.EncodeWord(word, scratch, ids);
  }
  return {};
}

}  // namespace atom::tokenizer
