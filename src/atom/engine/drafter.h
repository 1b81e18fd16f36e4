// Who guesses how a text goes on: the seam between an engine that speculates (speculation.h) and
// where its drafts come from. A guess may be anything; it changes how long an answer takes, and
// never a token of it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "atom/engine/request.h"

namespace atom::engine {

/// Guesses of one class are about as good; how good is found out class by class.
inline constexpr int kDraftClasses = 4;

/// A sequence that a draft is wanted of, and the draft.
struct DraftQuestion {
  RequestId id = 0;
  std::span<const int32_t> tokens;        ///< prompt and answer so far, ids
  int64_t most = 0;                       ///< tokens of the draft
  std::vector<int32_t>* draft = nullptr;  ///< the answer; is empty before
  int draft_class = 0;                    ///< part of the answer
};

class Drafter {
 public:
  virtual ~Drafter() = default;
  /// Of a sequence, tokens only grow from one question to the next.
  virtual void Draft(std::span<DraftQuestion> questions) = 0;
  /// Nothing more is asked about it.
  virtual void End(RequestId id) = 0;
};

}  // namespace atom::engine
