// From the answer's form that a request asks for to what the engine holds each token against.
#pragma once

#include <memory>
#include <vector>

#include "atom/engine/token_constraint.h"
#include "atom/server/openai_request.h"
#include "atom/server/served_model.h"

namespace atom::server {

using TokenConstraints = std::vector<std::unique_ptr<engine::TokenConstraint>>;

/// One for each of `count` answers, compiled once; nulls for text. A form that cannot be kept to is
/// refused, never ignored. `model` must outlive them.
OrApiError<TokenConstraints> MakeConstraints(const AnswerOptions& options, const ServedModel& model,
                                             int64_t count);

}  // namespace atom::server
