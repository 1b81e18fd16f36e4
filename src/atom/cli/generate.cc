// `atom generate MODEL_DIR --prompt TEXT`: text from a prompt, streamed.
#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <iostream>
#include <iterator>
#include <memory>

#include "atom/cli/commands.h"
#include "atom/cli/generation_flags.h"

namespace atom::cli {
namespace {

struct GenerateFlags {
  std::string prompt;
  bool special = false;
  bool echo = false;
  GenerationFlags generation;
};

Status RunGenerate(const GenerateFlags& flags) {
  std::string prompt = flags.prompt;
  if (prompt == "-") prompt.assign(std::istreambuf_iterator<char>(std::cin), {});
  Result<LoadedModel> loaded = flags.generation.Load();
  if (!loaded.ok()) return loaded.error();
  const tokenizer::Tokenizer& tokenizer = *loaded->opened.tokenizer;
  const Result<std::vector<int32_t>> tokens =
      tokenizer.Encode(prompt, {.add_bos = true, .parse_special = flags.special});
  if (!tokens.ok()) return tokens.error();
  engine::TextGenerator generator(*loaded->runner, tokenizer, flags.generation.seed,
                                  loaded->speculating.options);
  if (flags.echo) std::fwrite(prompt.data(), 1, prompt.size(), stdout);
  const Result<engine::Generation> generation =
      generator.Complete(*tokens, flags.generation.options, PrintPiece);
  if (!generation.ok()) return generation.error();
  fmt::print("\n");
  PrintSpeed(*generation);
  return {};
}

}  // namespace

void AddGenerate(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<GenerateFlags>();
  CLI::App* command = app.add_subcommand("generate", "Text from a prompt, streamed");
  command->add_option("model", flags->generation.model, "Model directory or GGUF file")->required();
  command->add_option("-p,--prompt", flags->prompt, "The prompt; - reads it from stdin")
      ->required();
  command->add_flag("--special", flags->special,
                    "Special tokens spelled in the prompt are special, not text");
  command->add_flag("--echo", flags->echo, "Print the prompt first");
  flags->generation.AddTo(*command);
  command->callback([flags, &exit_code] {
    const Status status = RunGenerate(*flags);
    if (!status.ok()) exit_code = Fail(status.error());
  });
}

}  // namespace atom::cli
