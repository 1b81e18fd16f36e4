// BPE over characters in which a space is written "▁", as Llama 1, 2 and Mistral have it. A
// tokenizer.json says so in two ways, a normalizer (Prepend, Replace) or a pre-tokenizer
// (Metaspace); both end here.
//
// Promises: at the start of a text the ▁ is added also before a text that begins with a space, as
// SentencePiece does. (Hugging Face's Metaspace leaves it out there: the one space is lost on
// decoding, and ids differ from those of the tokenizer.model that the file was converted from.)
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "atom/tokenizer/bpe_model.h"
#include "atom/tokenizer/run_encoder.h"

namespace atom::tokenizer {

/// U+2581, the space of these vocabularies.
inline constexpr std::string_view kMetaspace = "\xE2\x96\x81";

/// `text` with a ▁ for every space.
std::string ReplaceSpaces(std::string_view text);
/// `text` with a space for every ▁.
std::string RestoreSpaces(std::string_view text);

/// What a normalizer does to every run of a text, the empty one excepted.
struct SpaceNormalizer {
  bool prepend = false;  ///< a ▁ before it
  bool replace = false;  ///< ▁ for its spaces

  bool active() const { return prepend || replace; }
  std::string Apply(std::string_view run) const;
};

enum class MetaspacePrefix {
  kNever,
  kFirst,   ///< before the run that starts the text
  kAlways,  ///< before every run that does not begin with a space
};

struct MetaspaceRules {
  bool replace_spaces = true;
  MetaspacePrefix prefix = MetaspacePrefix::kNever;
  bool split = false;  ///< every ▁ starts a word of its own; else the run is one word
};

class MetaspaceEncoder final : public RunEncoder {
 public:
  MetaspaceEncoder(MetaspaceRules rules, BpeModel model)
      : rules_(rules), model_(std::move(model)) {}

  Status Encode(std::string_view run, bool at_start, RegexSteps& steps,
                std::vector<int32_t>& ids) const override;

 private:
  bool AddsPrefix(std::string_view run, bool at_start) const;

  MetaspaceRules rules_;
  BpeModel model_;
};

}  // namespace atom::tokenizer
