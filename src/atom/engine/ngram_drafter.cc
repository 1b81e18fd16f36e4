#include "atom/engine/ngram_drafter.h"

namespace atom::engine {
namespace {

/// What many tokens lead to is more certain.
int ClassOf(int64_t match) { return match < 4 ? 0 : match < 6 ? 1 : match < 10 ? 2 : 3; }

}  // namespace

void NgramDrafter::Draft(std::span<DraftQuestion> questions) {
  for (DraftQuestion& question : questions) {
    const std::optional<NgramIndex::Match> match = indices_[question.id].Find(question.tokens);
    if (!match) continue;
    question.draft_class = ClassOf(match->length);
    AppendContinuation(question.tokens, match->next, question.most, *question.draft);
  }
}

}  // namespace atom::engine
