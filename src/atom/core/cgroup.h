// The limits of the control groups that this process is in: what a container, a systemd unit or a
// batch system allows, where the machine itself has more. Versions 1 and 2, and both at once.
//
//   /proc/self/cgroup      which group of each hierarchy          "0::/app.slice/atom.service"
//   /proc/self/mountinfo   where the hierarchies are mounted, and which part of them
//   version 2   cpu.max "200000 100000" · memory.max, memory.current, memory.stat inactive_file
//   version 1   cpu.cfs_quota_us, cpu.cfs_period_us · memory.limit_in_bytes, memory.usage_in_bytes,
//               memory.stat total_inactive_file
//
// Every group above counts, too: the least is what there is. What cannot be read is no limit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace atom {

/// Processors' worth of time, as 1.5; nullopt: no limit. `root` stands for "/".
std::optional<double> CgroupCpus(const std::filesystem::path& root = "/");

/// Threads worth starting: the processors of this process's affinity mask, no more than its groups
/// give time for (rounded down: what is over would only be throttled), at least 1.
int AllowedThreads(const std::filesystem::path& root = "/");

/// Bytes that may still be taken, at least 0; nullopt: no limit. What the kernel keeps of files and
/// would drop first (inactive) counts as free.
std::optional<int64_t> CgroupMemory(const std::filesystem::path& root = "/");

}  // namespace atom
