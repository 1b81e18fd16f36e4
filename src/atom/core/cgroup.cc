#include "atom/core/cgroup.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <sched.h>
#include <sstream>
#include <string>
#include <vector>

namespace atom {
namespace {

namespace fs = std::filesystem;

struct Hierarchy {
  bool version_2 = false;
  fs::path mount;  ///< where it is found, below `root`
  fs::path group;  ///< of this process, relative to that
};

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

bool Has(const std::vector<std::string>& parts, const std::string& part) {
  return std::find(parts.begin(), parts.end(), part) != parts.end();
}

/// The path of this process's group in the hierarchy of a controller of version 1, or of version 2:
/// a line "4:cpu,cpuacct:/path" or "0::/path".
std::optional<std::string> GroupOf(const fs::path& root, const std::string& controller) {
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    const bool wanted = controller.empty() ? names.empty() : Has(Split(names, ','), controller);
    if (wanted) return line.substr(second + 1);
  }
  return std::nullopt;
}

/// `group` seen from a mount that shows the part of the hierarchy below `shown`. In a container the
/// two may have nothing in common: then the mount itself is the group.
fs::path Relative(const std::string& group, const std::string& shown) {
  const fs::path relative = fs::path(group).lexically_relative(shown);
  const bool inside = !relative.empty() && *relative.begin() != "..";
  return inside ? relative : fs::path(".");
}

/// "36 32 0:31 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw": root and mount point, then, behind
/// the dash, the type and the options, which of version 1 name the controllers.
std::optional<Hierarchy> Find(const fs::path& root, const std::string& controller) {
  const std::optional<std::string> group = GroupOf(root, controller);
  if (!group) return std::nullopt;
  std::ifstream file(root / "proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const std::vector<std::string> mount = Split(line.substr(0, dash), ' ');
    const std::vector<std::string> kind = Split(line.substr(dash + 3), ' ');
    constexpr size_t kShown = 3, kPoint = 4, kType = 0, kOptions = 2;
    if (mount.size() <= kPoint || kind.size() <= kOptions) continue;
    const bool wanted =
        controller.empty() ? kind[kType] == "cgroup2"
                           : kind[kType] == "cgroup" && Has(Split(kind[kOptions], ','), controller);
    if (!wanted) continue;
    return Hierarchy{.version_2 = controller.empty(),
                     .mount = root / fs::path(mount[kPoint]).relative_path(),
                     .group = Relative(*group, mount[kShown])};
  }
  return std::nullopt;
}

/// The first number of a file; nullopt for "max", "-1" and what is not there.
std::optional<int64_t> ReadNumber(const fs::path& path) {
  std::ifstream file(path);
  int64_t number = 0;
  if (file >> number && number >= 0) return number;
  return std::nullopt;
}

/// "inactive_file 123": a line of memory.stat.
int64_t ReadField(const fs::path& path, const std::string& name) {
  std::ifstream file(path);
  int64_t value = 0;
  for (std::string word; file >> word >> value;) {
    if (word == name) return value;
  }
  return 0;
}

std::optional<double> CpusOf(const fs::path& group, bool version_2) {
  std::optional<int64_t> quota;
  std::optional<int64_t> period;
  if (version_2) {
    std::ifstream file(group / "cpu.max");  // "200000 100000" or "max 100000"
    int64_t numbers[2] = {0, 0};
    if (file >> numbers[0] >> numbers[1]) {
      quota = numbers[0];
      period = numbers[1];
    }
  } else {
    quota = ReadNumber(group / "cpu.cfs_quota_us");
    period = ReadNumber(group / "cpu.cfs_period_us");
  }
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

std::optional<int64_t> MemoryOf(const fs::path& group, bool version_2) {
  const auto limit = ReadNumber(group / (version_2 ? "memory.max" : "memory.limit_in_bytes"));
  constexpr int64_t kNoLimit = int64_t{1} << 60;  // version 1 spells it as a huge number
  if (!limit || *limit >= kNoLimit) return std::nullopt;
  const auto used = ReadNumber(group / (version_2 ? "memory.current" : "memory.usage_in_bytes"));
  const int64_t inactive =
      ReadField(group / "memory.stat", version_2 ? "inactive_file" : "total_inactive_file");
  return std::max<int64_t>(0, *limit - std::max<int64_t>(0, used.value_or(0) - inactive));
}

/// The least of a group and those above it, of both versions.
template <class T>
std::optional<T> Least(const fs::path& root, const std::string& controller,
                       const std::function<std::optional<T>(const fs::path&, bool)>& limit_of) {
  std::optional<T> least;
  for (const std::string& name : {std::string(), controller}) {
    const std::optional<Hierarchy> found = Find(root, name);
    if (!found) continue;
    fs::path group = found->mount;
    const auto look = [&] {
      const std::optional<T> limit = limit_of(group, found->version_2);
      if (limit) least = std::min(least.value_or(*limit), *limit);
    };
    look();
    for (const fs::path& part : found->group) {
      group /= part;
      look();
    }
  }
  return least;
}

}  // namespace

std::optional<double> CgroupCpus(const fs::path& root) {
  return Least<double>(root, "cpu", CpusOf);
}

int AllowedThreads(const fs::path& root) {
  cpu_set_t set;
  CPU_ZERO(&set);
  int threads = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
  if (const std::optional<double> cpus = CgroupCpus(root)) {
    threads = static_cast<int>(std::min<double>(threads, *cpus));
  }
  return std::max(1, threads);
}

std::optional<int64_t> CgroupMemory(const fs::path& root) {
  return Least<int64_t>(root, "memory", MemoryOf);
}

}  // namespace atom
