#include "atom/io/gguf/gguf_stacks.h"

#include <fmt/core.h>

namespace atom::io {
namespace {

constexpr std::string_view kStack = "_exps.weight";
/// More than any model has: a damaged file is not taken apart into billions.
constexpr int64_t kMostExperts = 4096;

}  // namespace

std::vector<GgufTensor> SplitStack(const GgufTensor& tensor) {
  std::string_view module = tensor.name;
  if (!module.ends_with(kStack) || tensor.shape.size() != 3) return {};
  const int64_t experts = tensor.shape[0];
  if (experts > kMostExperts) return {};
  module.remove_suffix(kStack.size());
  const size_t bytes = tensor.data.size() / static_cast<size_t>(experts);  // whole rows of blocks
  std::vector<GgufTensor> matrices;
  for (int64_t e = 0; e < experts; ++e) {
    matrices.push_back({.name = fmt::format("{}.{}.weight", module, e),
                        .type = tensor.type,
                        .shape = {tensor.shape[1], tensor.shape[2]},
                        .data = tensor.data.subspan(static_cast<size_t>(e) * bytes, bytes)});
  }
  return matrices;
}

}  // namespace atom::io
