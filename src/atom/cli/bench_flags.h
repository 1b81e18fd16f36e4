// What the sub-commands of `atom bench` share: flags, and how rows become a table and JSON.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fmt/core.h>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "atom/bench/kernels/bench_context.h"
#include "atom/cli/session.h"

namespace atom::cli {

struct BenchFlags {
  BackendFlags backend;
  std::string json;
  bool quick = false;

  void AddTo(CLI::App& command) {
    backend.AddTo(command);
    command.add_option("--json", json, "Write the rows here; - for stdout");
    command.add_flag("--quick", quick, "Short and inexact, to see that everything runs");
  }
  Result<std::unique_ptr<bench::BenchContext>> MakeContext() const {
    const bench::Effort effort = quick ? bench::QuickEffort() : bench::Effort{};
    return bench::BenchContext::Make(backend.backend, backend.threads, effort);
  }
};

/// Prints the table as it grows and writes the rows at the end: an interrupted run leaves no file.
template <class Row>
Status RunBench(const BenchFlags& flags, const std::string& table_header,
                const std::function<Status(bench::BenchContext&,
                                           const std::function<void(const Row&)>&)>& run) {
  const Result<std::unique_ptr<bench::BenchContext>> made = flags.MakeContext();
  if (!made.ok()) return made.error();
  bench::BenchContext& context = **made;
  const bool table = flags.json != "-";
  nlohmann::json rows = nlohmann::json::array();
  const Status status = run(context, [&](const Row& row) {
    if (rows.empty()) {  // now all flags are known to be good
      const std::string header = context.Header();
      if (table) fmt::print("{}\n{}\n", header, table_header);
    }
    rows.push_back(ToJson(row, context));
    if (!table) return;
    fmt::print("{}\n", TableLine(row));
    std::fflush(stdout);
  });
  if (!status.ok()) return status;
  return WriteJson(flags.json, context.Report(std::move(rows)));
}

template <class Flags>
CLI::App* AddBenchCommand(CLI::App& parent, const char* name, const char* text,
                          const std::shared_ptr<Flags>& flags, int& exit_code,
                          const std::function<Status(Flags&)>& run) {
  CLI::App* command = parent.add_subcommand(name, text);
  flags->AddTo(*command);
  command->callback([flags, run, &exit_code] {
    const Status status = run(*flags);
    if (!status.ok()) exit_code = Fail(status.error());
  });
  return command;
}

/// A comma-separated list.
template <class T>
CLI::Option* AddList(CLI::App& command, const char* name, T& values, const char* text) {
  return command.add_option(name, values, text)->delimiter(',')->capture_default_str();
}

void AddBenchRows(CLI::App& parent, int& exit_code);
void AddBenchServe(CLI::App& parent, int& exit_code);
void AddBenchServingRecipes(CLI::App& parent, int& exit_code);
void AddBenchServingTrace(CLI::App& parent, int& exit_code);
void AddBenchTokenizer(CLI::App& parent, int& exit_code);

}  // namespace atom::cli
