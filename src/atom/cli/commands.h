// What each sub-command adds to the command line. `exit_code` is set when its callback ran.
#pragma once

#include <CLI/App.hpp>

namespace atom::cli {

void AddQuantize(CLI::App& app, int& exit_code);
void AddEval(CLI::App& app, int& exit_code);
void AddAblate(CLI::App& app, int& exit_code);
void AddGenerate(CLI::App& app, int& exit_code);
void AddChat(CLI::App& app, int& exit_code);
void AddServe(CLI::App& app, int& exit_code);
void AddTokenize(CLI::App& app, int& exit_code);
void AddInspect(CLI::App& app, int& exit_code);
void AddBench(CLI::App& app, int& exit_code);

}  // namespace atom::cli
