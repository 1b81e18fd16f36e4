// From a parsed request to what the engine is asked for: prompts as tokens, lengths held against
// the context, one engine request for each answer. Runs beside the engine's thread; every limit is
// checked before a prompt is copied for its answers.
#pragma once

#include <string>
#include <vector>

#include "atom/engine/request.h"
#include "atom/server/openai_request.h"
#include "atom/server/served_model.h"

namespace atom::server {

/// How the answer is to be written; what answer.h needs to know.
struct AnswerShape {
  bool chat = false;
  std::string model = {};
  int64_t prompts = 1;
  int64_t n = 1;        ///< answers shown of each prompt
  int64_t best_of = 1;  ///< answers made for each prompt
  bool stream = false;
  bool include_usage = false;
  int32_t logprobs = -1;
  bool skip_special_tokens = true;
  std::vector<std::string> echo = {};  ///< the text of each prompt, if it is to be shown
};

struct AnswerPlan {
  AnswerShape shape;
  std::vector<engine::Request> requests;  ///< [prompts][best_of], without ids
};

OrApiError<AnswerPlan> PlanCompletion(const CompletionRequest& request, const ApiLimits& limits,
                                      const ServedModel& model);
OrApiError<AnswerPlan> PlanChat(const ChatRequest& request, const ApiLimits& limits,
                                const ServedModel& model);

/// The seed of one of the answers to a request with this seed: the first has the seed itself, and
/// no two requests share the others, as they would if the answers were simply counted.
uint64_t SeedOf(uint64_t seed, int64_t choice);

/// Refuses a name that is not the model's; an empty one is.
std::optional<ApiError> CheckModel(const std::string& name, const ServedModel& model);

/// A prompt's text as tokens. Who writes the whole prompt may write special tokens; a bos that it
/// begins with is not given a second time.
OrApiError<std::vector<int32_t>> EncodePrompt(const std::string& text, bool add_special_tokens,
                                              const ServedModel& model);

/// The conversation as tokens. Special tokens are the template's alone.
OrApiError<std::vector<int32_t>> RenderChat(const Conversation& conversation,
                                            const ServedModel& model);

}  // namespace atom::server
