#include "atom/tokenizer/word_encoder.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace atom::tokenizer {
namespace {

constexpr size_t kMaxSlots = size_t{1} << 15;  // 1 MiB: most words of a text are among few
constexpr size_t kMaxSeenBytes = 64;           // longer words rarely come again

// Where in the ids of a run the words are that came before: a word that comes again is copied.
class SeenWords {
 public:
  explicit SeenWords(size_t run_bytes)
      : slots_(std::bit_ceil(std::clamp(run_bytes / 16, size_t{1}, kMaxSlots))) {}

  // Appends the ids of `word` if it is there.
  bool Append(std::string_view word, std::vector<int32_t>& ids) {
    current_ = &slots_[std::hash<std::string_view>{}(word) & (slots_.size() - 1)];
    if (current_->word != word) return false;
    const size_t size = ids.size();
    ids.resize(size + current_->count);
    std::copy_n(ids.begin() + static_cast<ptrdiff_t>(current_->begin), current_->count,
                ids.begin() + static_cast<ptrdiff_t>(size));
    return true;
  }

  // The word that was asked for last has its ids from `begin` to the end.
  void Remember(std::string_view word, size_t begin, const std::vector<int32_t>& ids) {
    *current_ = {word, begin, ids.size() - begin};
  }

 private:
  struct Slot {
    std::string_view word;
    size_t begin;
    size_t count;
  };
  std::vector<Slot> slots_;
  Slot* current_ = nullptr;
};

Status EncodeWord(const WordEncoder::Model& model, std::string_view word, BpeScratch& scratch,
                  std::vector<int32_t>& ids) {
  if (const auto* unigram = std::get_if<UnigramModel>(&model))
    return unigram->EncodeWord(word, ids);
  std::get<BpeModel>(model).EncodeWord(word, scratch, ids);
  return {};
}

}  // namespace

Status WordEncoder::Encode(std::string_view run, bool at_start, RegexSteps& steps,
                           std::vector<int32_t>& ids) const {
  WordList list;
  const Status cut = CutWords(pre_tokenizers_, run, at_start, steps, list);
  if (!cut.ok()) return cut;
  BpeScratch scratch;
  SeenWords seen(run.size());
  for (const Word& word : list.words) {
    const bool short_enough = word.text.size() <= kMaxSeenBytes;
    if (short_enough && seen.Append(word.text, ids)) continue;
    const size_t begin = ids.size();
    const Status encoded = EncodeWord(model_, word.text, scratch, ids);
    if (!encoded.ok()) return encoded;
    if (short_enough) seen.Remember(word.text, begin, ids);
  }
  return {};
}

}  // namespace atom::tokenizer
