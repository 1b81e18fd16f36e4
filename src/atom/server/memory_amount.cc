#include "atom/server/memory_amount.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <fstream>
#include <string>

#include "atom/core/cgroup.h"

namespace atom::server {
namespace {

constexpr std::string_view kPrefixes = "kmgt";
constexpr double kMostBytes = 0x1p50;

/// What a unit multiplies by; 0 for what is none.
double FactorOf(std::string_view unit) {
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  std::string lower(unit);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (lower.empty() || lower == "b") return 1.0;
  const size_t prefix = kPrefixes.find(lower.front());
  if (prefix == std::string_view::npos) return 0.0;
  const std::string_view rest = std::string_view(lower).substr(1);
  if (!rest.empty() && rest != "b" && rest != "i" && rest != "ib") return 0.0;
  return std::pow(1024.0, static_cast<double>(prefix + 1));
}

}  // namespace

Result<MemoryAmount> ParseMemoryAmount(std::string_view text) {
  double number = 0.0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  const double factor = FactorOf({rest, static_cast<size_t>(end - rest)});
  const bool known = error == std::errc() && factor > 0.0 && number >= 0.0;
  if (known && number == 0.0) return MemoryAmount{};
  if (known && rest == end && number <= 1.0) return MemoryAmount{.share = number};
  const double bytes = number * factor;
  if (!known || bytes < 1.0 || bytes > kMostBytes) {
    return MakeError("expected a size such as 24GiB, or a share such as 0.9, found '{}'", text);
  }
  return MemoryAmount{.bytes = static_cast<int64_t>(bytes)};
}

int64_t AvailableMemory(const std::filesystem::path& root) {
  // "MemAvailable:   22012345 kB"
  int64_t available = 0;
  std::ifstream file(root / "proc/meminfo");
  for (std::string word; file >> word;) {
    int64_t kib = 0;
    if (word != "MemAvailable:" || !(file >> kib)) continue;
    available = kib * 1024;
    break;
  }
  return std::min(available, CgroupMemory(root).value_or(available));
}

int64_t BudgetOf(const MemoryAmount& amount, const kernels::Backend& backend) {
  if (amount.bytes > 0) return amount.bytes;
  const std::optional<kernels::DeviceRoom> room = backend.Room();
  const int64_t free = room ? room->free : AvailableMemory();
  return static_cast<int64_t>(amount.share * static_cast<double>(free));
}

}  // namespace atom::server
