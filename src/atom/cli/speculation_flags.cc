#include "atom/cli/speculation_flags.h"

#include <CLI/CLI.hpp>

#include "atom/engine/ngram_drafter.h"

namespace atom::cli {

void SpeculationFlags::AddTo(CLI::App& command) {
  command
      .add_option("--speculate", drafts,
                  "Guess how an answer goes on, several tokens a step: ngram takes what prompt and "
                  "answer have said before; no answer changes")
      ->check(CLI::IsMember({"off", "ngram"}))
      ->capture_default_str();
  command.add_option("--speculate-tokens", options.tokens, "Most tokens that are guessed at once")
      ->check(CLI::Range(int64_t{1}, engine::kMostDraftTokens))
      ->capture_default_str();
}

// A device has its next step enqueued before a guess could be made: there waiting costs, and steps
// with guesses run outside the graphs of decode steps.
Result<Speculating> SpeculationFlags::Make(const std::string& backend) const {
  if (drafts != "off" && backend == "cuda") {
    return MakeError("--speculate {}: with --backend cuda speculation is off, expected cpu",
                     drafts);
  }
  Speculating speculating{.drafter = nullptr, .options = options};
  if (drafts == "ngram") speculating.drafter = std::make_unique<engine::NgramDrafter>();
  speculating.options.drafter = speculating.drafter.get();
  return speculating;
}

}  // namespace atom::cli
