// A request's body, made ready: a plan for the engine, or at once the whole reply. Pure, so that
// any thread may do it.
#pragma once

#include <string>
#include <variant>

#include "atom/server/answer_plan.h"
#include "atom/server/engine_port.h"
#include "atom/server/openai_request.h"
#include "atom/server/routes.h"
#include "atom/server/served_model.h"

namespace atom::server {

using Prepared = std::variant<AnswerPlan, HttpReply, ApiError>;

/// REQUIRES: a POST endpoint.
Prepared Prepare(Endpoint endpoint, std::string_view body, const ApiLimits& limits,
                 const ServedModel& model, const EnginePort& engine);

/// The replies to /v1/models, /v1/models/NAME and /tokenizer_info.
HttpReply ModelsReply(const ServedModel& model);
HttpReply ModelReply(std::string_view path, const ServedModel& model);
HttpReply TokenizerInfoReply(const ServedModel& model);

}  // namespace atom::server
