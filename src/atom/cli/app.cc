#include "atom/cli/app.h"

#include <CLI/CLI.hpp>
#include <exception>
#include <fmt/core.h>
#include <new>
#include <signal.h>
#include <unistd.h>

#include "atom/cli/commands.h"
#include "atom/core/cpu_info.h"
#include "atom/core/version.h"

namespace atom::cli {
namespace {

constexpr int kWrongFlags = 2;

std::string VersionText() {
  const Result<CpuIsa> isa = ChooseCpuIsa();
  return fmt::format("atom {}\ncpu: {}, kernels: {}", Version(), CpuModelName(),
                     isa.ok() ? CpuIsaName(*isa) : isa.error().message);
}

/// An interrupted `quantize` can be resumed; nothing else leaves anything behind. `serve` drains
/// instead, once it serves. Set for SIGTERM too: as a container's first process a program ignores
/// what it has no handler for.
extern "C" void OnInterrupt(int signal_number) {
  constexpr char kMessage[] = "\natom: interrupted\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kMessage, sizeof(kMessage) - 1);
  _exit(128 + signal_number);
}

int Dispatch(int argc, char** argv) {
  CLI::App app("Atom: 4-bit quantization, evaluation and inference of language models.", "atom");
  app.require_subcommand(1);
  app.set_version_flag("--version", VersionText());
  app.set_help_all_flag("--help-all", "Help of every command");
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    return fmt::format("atom: {}\nTry 'atom --help' or 'atom COMMAND --help'.\n",
                       error.what() != nullptr ? error.what() : failed->get_name());
  });
  int exit_code = 0;
  AddQuantize(app, exit_code);
  AddEval(app, exit_code);
  AddAblate(app, exit_code);
  AddGenerate(app, exit_code);
  AddChat(app, exit_code);
  AddServe(app, exit_code);
  AddTokenize(app, exit_code);
  AddInspect(app, exit_code);
  AddBench(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kWrongFlags;
  }
  return exit_code;
}

}  // namespace

int Run(int argc, char** argv) {
  struct sigaction action {};
  action.sa_handler = OnInterrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  try {
    return Dispatch(argc, argv);
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "atom: out of memory\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "atom: {}\n", error.what());
  }
  return 1;
}

}  // namespace atom::cli
