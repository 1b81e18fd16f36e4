#include "atom/server/neutral_fields.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <span>

namespace atom::server {
namespace {

/// Labels for a provider's bookkeeping, hints to its caches and about an answer's style; none
/// changes an answer here. None calls tools either, side by side or not.
constexpr auto kIgnored = std::to_array<std::string_view>(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
     "prompt_cache_retention", "request_id", "cache_salt", "cache_prompt", "prediction",
     "include_reasoning", "spaces_between_special_tokens", "parallel_tool_calls"});
constexpr auto kIgnoredOfMessage = std::to_array<std::string_view>(
    {"name", "refusal", "annotations", "id", "status", "metadata", "cache_control"});

struct NeutralField {
  std::string_view name;
  std::string_view values;  ///< a JSON array of those that change nothing
};

constexpr auto kNeutral = std::to_array<NeutralField>({{"use_beam_search", "[false]"},
                                                       {"length_penalty", "[1]"},
                                                       {"early_stopping", "[false]"},
                                                       {"num_beams", "[1]"},
                                                       {"diversity_penalty", "[0]"},
                                                       {"repeat_penalty", "[1]"},
                                                       {"dynatemp_range", "[0]"},
                                                       {"top_n_sigma", "[0, -1]"},
                                                       {"n_probs", "[0]"},
                                                       {"grammar", "[\"\"]"},
                                                       {"structured_outputs", "[{}]"},
                                                       {"extra_body", "[{}]"},
                                                       {"typical_p", "[1]"},
                                                       {"tfs_z", "[1]"},
                                                       {"top_a", "[0]"},
                                                       {"mirostat", "[0]"},
                                                       {"xtc_probability", "[0]"},
                                                       {"dry_multiplier", "[0]"},
                                                       {"no_repeat_ngram_size", "[0]"},
                                                       {"bad_words", "[[]]"},
                                                       {"logits_processors", "[[]]"},
                                                       {"stop_regex", "[[]]"},
                                                       {"detokenize", "[true]"},
                                                       {"return_token_ids", "[false]"},
                                                       {"return_tokens_as_token_ids", "[false]"},
                                                       {"allowed_token_ids", "[[]]"},
                                                       {"vllm_xargs", "[{}]"},
                                                       {"kv_transfer_params", "[{}]"}});
constexpr auto kNeutralOfCompletion =
    std::to_array<NeutralField>({{"top_logprobs", "[0]"}, {"suffix", "[\"\"]"}});
constexpr auto kNeutralOfChat =
    std::to_array<NeutralField>({{"modalities", "[[\"text\"]]"},
                                 {"suffix", "[\"\"]"},
                                 {"verbosity", "[\"low\", \"medium\", \"high\"]"},
                                 {"echo", "[false]"},
                                 {"best_of", "[1]"},
                                 {"add_special_tokens", "[false]"},
                                 {"documents", "[[]]"},
                                 {"mm_processor_kwargs", "[{}]"}});
constexpr auto kNeutralOfMessage =
    std::to_array<NeutralField>({{"type", "[\"message\"]"},
                                 {"tool_calls", "[[]]"},
                                 {"images", "[[]]"},
                                 {"thinking_blocks", "[[]]"},
                                 {"reasoning_details", "[[]]"},
                                 {"audio", "[{}]"},
                                 {"citations", "[[]]"},
                                 {"prefix", "[false]"},
                                 {"provider_specific_fields", "[{}]"}});

void Ignore(RequestFields& fields, std::span<const std::string_view> names) {
  for (const std::string_view name : names) fields.Ignore(name);
}

void ReadNeutral(RequestFields& fields, std::span<const NeutralField> table) {
  for (const auto& [name, values] : table) {
    const io::Json* found = fields.Find(name);
    if (found == nullptr) continue;
    const io::Json neutral = io::Json::parse(values);
    if (std::ranges::find(neutral, *found) != neutral.end()) continue;
    std::string expected;
    for (const io::Json& value : neutral) {
      expected += (expected.empty() ? "" : " or ") + io::DumpJson(value, -1);
    }
    fields.RefuseValue(name, expected + " (nothing else is supported)", *found);
  }
}

}  // namespace

void ReadNeutralFields(RequestFields& fields) {
  Ignore(fields, kIgnored);
  ReadNeutral(fields, kNeutral);
}

void ReadNeutralCompletionFields(RequestFields& fields) {
  ReadNeutral(fields, kNeutralOfCompletion);
}

void ReadNeutralChatFields(RequestFields& fields) { ReadNeutral(fields, kNeutralOfChat); }

void ReadNeutralMessageFields(RequestFields& fields) {
  Ignore(fields, kIgnoredOfMessage);
  ReadNeutral(fields, kNeutralOfMessage);
}

}  // namespace atom::server
