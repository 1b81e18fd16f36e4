// Drafts from what a sequence says again: the tokens behind the longest place, in prompt and
// answer, that its end repeats. No model; a look-up costs well under a microsecond.
#pragma once

#include <unordered_map>

#include "atom/engine/drafter.h"
#include "atom/engine/ngram_index.h"

namespace atom::engine {

class NgramDrafter final : public Drafter {
 public:
  void Draft(std::span<DraftQuestion> questions) override;
  void End(RequestId id) override { indices_.erase(id); }

 private:
  std::unordered_map<RequestId, NgramIndex> indices_;
};

}  // namespace atom::engine
