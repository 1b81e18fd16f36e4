#include "atom/cli/memory_flag.h"

#include <CLI/CLI.hpp>

#include "atom/server/memory_amount.h"

namespace atom::cli {

void MemoryFlag::AddTo(CLI::App& command) {
  command
      .add_option(
          "--memory", text_,
          "For weights, scratch and KV in all, as 24GiB; or a share of what is free, of the "
          "GPU with --backend cuda, else of the machine")
      ->check([](const std::string& text) -> std::string {
        const Result<server::MemoryAmount> amount = server::ParseMemoryAmount(text);
        return amount.ok() ? "" : amount.error().message;
      })
      ->capture_default_str();
}

Result<int64_t> MemoryFlag::Bytes(const kernels::Backend& backend) const {
  const Result<server::MemoryAmount> amount = server::ParseMemoryAmount(text_);
  if (!amount.ok()) return MakeError("--memory: {}", amount.error().message);
  return server::BudgetOf(*amount, backend);
}

}  // namespace atom::cli
