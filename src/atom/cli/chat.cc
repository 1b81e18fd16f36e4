// `atom chat MODEL_DIR`: a conversation on the terminal, one line a turn. Ctrl-C ends an answer, or
// the program where none is being written; an error ends a turn.
#include <CLI/CLI.hpp>
#include <csignal>
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

/// Where a signal handler leaves word: nothing but a variable of its own can hold that.
volatile std::sig_atomic_t interrupted = 0;

/// As long as it lives, the first Ctrl-C is noted; the second acts as ever.
class InterruptWatch {
 public:
  InterruptWatch() {
    interrupted = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = 1; };
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, &before_);
  }
  ~InterruptWatch() { Restore(); }
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

  bool interrupted_yet() {
    if (interrupted != 0) Restore();
    return interrupted != 0;
  }

 private:
  void Restore() { sigaction(SIGINT, &before_, nullptr); }

  struct sigaction before_ {};
};

/// For templates that tell the model the date.
std::tm LocalTime() {
  const std::time_t now = std::time(nullptr);
  std::tm local = {};
  localtime_r(&now, &local);
  return local;
}

/// One answer to the conversation, printed as it comes.
Result<std::string> Answer(engine::TextGenerator& generator, const std::vector<int32_t>& prompt,
                           engine::GenerateOptions options) {
  InterruptWatch watch;
  options.keep_going = [&watch] { return !watch.interrupted_yet(); };
  std::string answer;
  const Result<engine::Generation> generation =
      generator.Complete(prompt, options, [&answer](const std::string& piece) {
        answer += piece;
        return PrintPiece(piece);
      });
  fmt::print("\n");
  if (!generation.ok()) return generation.error();
  PrintSpeed(*generation);
  return answer;
}

/// False if a turn had an error: the conversation goes on without it.
bool Converse(const ChatFlags& flags, const LoadedModel& loaded,
              const chat::ChatTemplate& chat_template) {
  const tokenizer::Tokenizer& tokenizer = *loaded.opened.tokenizer;
  engine::TextGenerator generator(*loaded.runner, tokenizer, flags.generation.seed,
                                  loaded.speculating.options);
  bool all_well = true;
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
    const Result<std::string> answer =
        prompt.ok() ? Answer(generator, *prompt, options) : prompt.error();
    if (answer.ok()) {
      messages.push_back({"assistant", *answer});
    } else {
      messages.pop_back();
      Fail(answer.error());
      all_well = false;
    }
  }
  return all_well;
}

/// The exit status; errors have been told of.
int RunChat(const ChatFlags& flags) {
  const Result<chat::ChatTemplate> chat_template =
      flags.chat_template.empty() ? chat::ChatTemplate::Load(flags.generation.model)
                                  : chat::ChatTemplate::FromName(flags.chat_template);
  if (!chat_template.ok()) return Fail(chat_template.error());
  const Result<LoadedModel> loaded = flags.generation.Load();
  if (!loaded.ok()) return Fail(loaded.error());
  if (isatty(STDIN_FILENO) == 1) {
    fmt::print("chat template: {}; an empty line is ignored, Ctrl-D ends\n", chat_template->name());
  }
  return Converse(flags, *loaded, *chat_template) ? 0 : 1;
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
  command->callback([flags, &exit_code] { exit_code = RunChat(*flags); });
}

}  // namespace atom::cli
