// `atom chat MODEL_DIR`: a conversation on the terminal, one line a turn.
#include <CLI/CLI.hpp>
#include <ctime>
#include <fmt/core.h>
#include <iostream>
#include <memory>
#include <unistd.h>

#include "atom/chat/chat_template.h"
#include "atom/cli/commands.h"
#include "atom/cli/generation_flags.h"

namespace atom::cli {
namespace {

struct ChatFlags {
  std::string system;
  std::string chat_template;
  GenerationFlags generation;
};

/// One line from stdin; a prompt is shown to a person, not to a pipe.
bool ReadTurn(std::string& line) {
  if (isatty(STDIN_FILENO) == 1) {
    fmt::print("> ");
    std::fflush(stdout);
  }
  return static_cast<bool>(std::getline(std::cin, line));
}

/// For templates that tell the model the date.
std::tm LocalTime() {
  const std::time_t now = std::time(nullptr);
  std::tm local = {};
  localtime_r(&now, &local);
  return local;
}

Status Converse(const ChatFlags& flags, const LoadedModel& loaded,
                const chat::ChatTemplate& chat_template) {
  const tokenizer::Tokenizer& tokenizer = *loaded.opened.tokenizer;
  engine::TextGenerator generator(*loaded.runner, tokenizer, flags.generation.seed);
  engine::GenerateOptions options = flags.generation.options;
  options.stop.token_ids = chat_template.StopIds(tokenizer);
  std::vector<chat::ChatMessage> messages;
  if (!flags.system.empty()) messages.push_back({"system", flags.system});
  std::string line;
  while (ReadTurn(line)) {
    if (line.empty()) continue;
    messages.push_back({"user", line});
    const Result<std::vector<int32_t>> prompt =
        chat_template.Render(tokenizer, messages, {.now = LocalTime()});
    if (!prompt.ok()) return prompt.error();
    std::string answer;
    const Result<engine::Generation> generation =
        generator.Complete(*prompt, options, [&answer](const std::string& piece) {
          answer += piece;
          return PrintPiece(piece);
        });
    if (!generation.ok()) return generation.error();
    fmt::print("\n");
    PrintSpeed(*generation);
    messages.push_back({"assistant", answer});
  }
  return {};
}

Status RunChat(const ChatFlags& flags) {
  const Result<chat::ChatTemplate> chat_template =
      flags.chat_template.empty() ? chat::ChatTemplate::Load(flags.generation.model)
                                  : chat::ChatTemplate::FromName(flags.chat_template);
  if (!chat_template.ok()) return chat_template.error();
  const Result<LoadedModel> loaded = flags.generation.Load();
  if (!loaded.ok()) return loaded.error();
  if (isatty(STDIN_FILENO) == 1) {
    fmt::print("chat template: {}; an empty line is ignored, Ctrl-D ends\n", chat_template->name());
  }
  return Converse(flags, *loaded, *chat_template);
}

}  // namespace

void AddChat(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<ChatFlags>();
  CLI::App* command = app.add_subcommand("chat", "A conversation on the terminal");
  command->add_option("model", flags->generation.model, "Model directory or GGUF file")->required();
  command->add_option("--system", flags->system, "A system message to begin with");
  command->add_option("--template", flags->chat_template,
                      "Chat template instead of the model's: " + chat::ChatTemplate::KnownNames());
  flags->generation.AddTo(*command);
  command->callback([flags, &exit_code] {
    const Status status = RunChat(*flags);
    if (!status.ok()) exit_code = Fail(status.error());
  });
}

}  // namespace atom::cli
