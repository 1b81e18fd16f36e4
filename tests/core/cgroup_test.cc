// Limits of control groups, read from trees as containers, systemd and batch systems make them.
#include "atom/core/cgroup.h"

#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>

#include "atom/core/thread_pool.h"

namespace atom {
namespace {

namespace fs = std::filesystem;

const std::string kV2Mount = "36 32 0:31 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
const std::string kV1Mounts =
    "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

class CgroupTest : public ::testing::Test {
 protected:
  CgroupTest() {
    std::string pattern = ::testing::TempDir() + "atom_cgroup_XXXXXX";
    root_ = mkdtemp(pattern.data());
  }
  ~CgroupTest() override { fs::remove_all(root_); }
  void Put(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  fs::path root_;
};

TEST_F(CgroupTest, NothingThereIsNoLimit) {
  EXPECT_EQ(CgroupCpus(root_), std::nullopt);
  EXPECT_EQ(CgroupMemory(root_), std::nullopt);
  Put("proc/self/cgroup", "0::/\nnonsense\n7\n");
  Put("proc/self/mountinfo", "nonsense - \n - a b c\n" + kV2Mount);
  EXPECT_EQ(CgroupCpus(root_), std::nullopt);
  Put("sys/fs/cgroup/cpu.max", "max 100000\n");
  Put("sys/fs/cgroup/memory.max", "max\n");
  EXPECT_EQ(CgroupCpus(root_), std::nullopt);
  EXPECT_EQ(CgroupMemory(root_), std::nullopt);
  Put("sys/fs/cgroup/cpu.max", "0 0\n");
  Put("sys/fs/cgroup/memory.max", "much\n");
  EXPECT_EQ(CgroupCpus(root_), std::nullopt);
  EXPECT_EQ(CgroupMemory(root_), std::nullopt);
}

// docker run --cpus=1 --memory=1g, with a namespace of its own: the group is the mount.
TEST_F(CgroupTest, Version2InAContainer) {
  Put("proc/self/cgroup", "0::/\n");
  Put("proc/self/mountinfo", kV2Mount);
  Put("sys/fs/cgroup/cpu.max", "100000 100000\n");
  Put("sys/fs/cgroup/memory.max", "1073741824\n");
  Put("sys/fs/cgroup/memory.current", "300000000\n");
  Put("sys/fs/cgroup/memory.stat", "anon 100000000\ninactive_file 150000000\nactive_file 9\n");
  EXPECT_EQ(CgroupCpus(root_), 1.0);
  EXPECT_EQ(CgroupMemory(root_), 1073741824 - 150000000);
}

// systemd: the unit has more than its slice.
TEST_F(CgroupTest, TheGroupsAboveCountToo) {
  Put("proc/self/cgroup", "0::/app.slice/atom.service\n");
  Put("proc/self/mountinfo", kV2Mount);
  Put("sys/fs/cgroup/app.slice/cpu.max", "150000 100000\n");
  Put("sys/fs/cgroup/app.slice/atom.service/cpu.max", "400000 100000\n");
  Put("sys/fs/cgroup/app.slice/memory.max", "2000\n");
  Put("sys/fs/cgroup/app.slice/memory.current", "1500\n");
  Put("sys/fs/cgroup/app.slice/atom.service/memory.max", "1000\n");
  Put("sys/fs/cgroup/app.slice/atom.service/memory.current", "100\n");
  EXPECT_EQ(CgroupCpus(root_), 1.5);
  EXPECT_EQ(CgroupMemory(root_), 500);
}

TEST_F(CgroupTest, Version1) {
  Put("proc/self/cgroup", "9:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n");
  Put("proc/self/mountinfo", kV1Mounts);
  Put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  Put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  Put("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "250000\n");
  Put("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
  Put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  Put("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "1073741824\n");
  Put("sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes", "73741824\n");
  Put("sys/fs/cgroup/memory/docker/abc/memory.stat", "cache 5\ntotal_inactive_file 3741824\n");
  EXPECT_EQ(CgroupCpus(root_), 2.5);
  EXPECT_EQ(CgroupMemory(root_), 1073741824 - 70000000);
}

// A container of version 1 sees its own part of the hierarchy, under the path of the host.
TEST_F(CgroupTest, Version1MountedFromItsGroupOn) {
  Put("proc/self/cgroup", "9:memory:/docker/abc\n");
  Put("proc/self/mountinfo",
      "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
  Put("sys/fs/cgroup/memory/memory.limit_in_bytes", "4000\n");
  Put("sys/fs/cgroup/memory/memory.usage_in_bytes", "5000\n");
  EXPECT_EQ(CgroupMemory(root_), 0);
}

TEST_F(CgroupTest, BothVersionsAtOnce) {
  Put("proc/self/cgroup", "4:cpu,cpuacct:/a\n0::/b\n");
  const std::string unified = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
  Put("proc/self/mountinfo", kV1Mounts + unified);
  Put("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000\n");
  Put("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  Put("sys/fs/cgroup/unified/b/memory.max", "77\n");
  EXPECT_EQ(CgroupCpus(root_), 3.0);
  EXPECT_EQ(CgroupMemory(root_), 77);
}

TEST_F(CgroupTest, ThreadsFit) {
  const int all = AllowedThreads(root_);
  EXPECT_GE(all, 1);
  Put("proc/self/cgroup", "0::/\n");
  Put("proc/self/mountinfo", kV2Mount);
  for (const auto& [limit, threads] : {std::pair{"100000 100000", 1}, std::pair{"50000 100000", 1},
                                       std::pair{"199999 100000", 1}}) {
    Put("sys/fs/cgroup/cpu.max", limit);
    EXPECT_EQ(AllowedThreads(root_), threads) << limit;
  }
  Put("sys/fs/cgroup/cpu.max", "100000000 100000");
  EXPECT_EQ(AllowedThreads(root_), all);
}

TEST(Cgroup, ThisProcessHasRoomInItsOwn) {
  const std::optional<double> cpus = CgroupCpus();
  EXPECT_GT(cpus.value_or(1.0), 0.0);
  const std::optional<int64_t> memory = CgroupMemory();
  EXPECT_GT(memory.value_or(1), 0);
  EXPECT_EQ(ThreadPool::DefaultThreads(), AllowedThreads());
}

}  // namespace
}  // namespace atom
