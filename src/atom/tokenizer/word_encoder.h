// The encoder of a tokenizer.json, vocab.json or list of ranks: a run is cut into words by the
// pre-tokenizer's steps, and the model encodes each.
#pragma once

#include <utility>
#include <variant>
#include <vector>

#include "atom/tokenizer/bpe_model.h"
#include "atom/tokenizer/pre_tokenizer.h"
#include "atom/tokenizer/run_encoder.h"
#include "atom/tokenizer/unigram_model.h"

namespace atom::tokenizer {

class WordEncoder final : public RunEncoder {
 public:
  using Model = std::variant<BpeModel, UnigramModel>;

  WordEncoder(std::vector<PreTokenizer> pre_tokenizers, Model model)
      : pre_tokenizers_(std::move(pre_tokenizers)), model_(std::move(model)) {}

  Status Encode(std::string_view run, bool at_start, RegexSteps& steps,
                std::vector<int32_t>& ids) const override;

 private:
  std::vector<PreTokenizer> pre_tokenizers_;
  Model model_;
};

}  // namespace atom::tokenizer
