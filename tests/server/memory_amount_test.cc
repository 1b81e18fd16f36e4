#include "atom/server/memory_amount.h"

#include <gtest/gtest.h>

#include "atom/kernels/registry.h"

#include "tests/fake_device.h"
#include "tests/tiny_model.h"

namespace atom::server {
namespace {

constexpr int64_t kGib = int64_t{1} << 30;

TEST(MemoryAmountTest, IsASizeOrAShare) {
  const auto bytes = [](const char* text) { return ParseMemoryAmount(text).value().bytes; };
  EXPECT_EQ(bytes("24GiB"), 24 * kGib);
  EXPECT_EQ(bytes("24g"), 24 * kGib);
  EXPECT_EQ(bytes("1.5 GB"), 3 * kGib / 2);
  EXPECT_EQ(bytes("900MiB"), int64_t{900} << 20);
  EXPECT_EQ(bytes("4096"), 4096);
  EXPECT_EQ(bytes("2 TiB"), 2048 * kGib);
  EXPECT_EQ(bytes("7b"), 7);
  EXPECT_EQ(ParseMemoryAmount("0.5").value(), (MemoryAmount{.bytes = 0, .share = 0.5}));
  EXPECT_EQ(ParseMemoryAmount("1").value(), (MemoryAmount{.bytes = 0, .share = 1.0}));
  EXPECT_EQ(ParseMemoryAmount("0").value(), MemoryAmount{});
  EXPECT_EQ(ParseMemoryAmount("0GiB").value(), MemoryAmount{});
  for (const char* wrong :
       {"", "GiB", "2XB", "-1", "-0.5", "nan", "inf", "1e3", "24 GiBs", "9999999TiB", "0.1b"}) {
    const Result<MemoryAmount> amount = ParseMemoryAmount(wrong);
    ASSERT_FALSE(amount.ok()) << wrong;
    EXPECT_NE(amount.error().message.find("24GiB"), std::string::npos);
  }
}

TEST(MemoryAmountTest, AShareIsOfTheDeviceOrOfTheMachine) {
  const auto host = kernels::MakeBackend("cpu", {.threads = 1}).value();
  EXPECT_EQ(BudgetOf({.bytes = 5}, *host), 5);
  const auto budget = static_cast<double>(BudgetOf({.share = 0.5}, *host));
  EXPECT_NEAR(budget, 0.5 * static_cast<double>(AvailableMemory()), 0.2 * budget);
  tests::FakeDevice device({.free = 40 * kGib, .total = 80 * kGib, .reserve = kGib});
  EXPECT_EQ(BudgetOf({.share = 0.5}, device), 20 * kGib);
  EXPECT_EQ(BudgetOf({}, device), 36 * kGib);
  EXPECT_EQ(BudgetOf({.bytes = 5}, device), 5);
}

TEST(AvailableMemoryTest, IsThatOfTheControlGroup) {
  const tests::TemporaryFolder root;
  const auto put = [&](const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root / path).parent_path());
    tests::WriteText(root / path, text);
  };
  put("proc/meminfo", "MemTotal: 64000000 kB\nMemAvailable:   33554432 kB\n");
  EXPECT_EQ(AvailableMemory(root.path()), 32 * kGib);
  put("proc/self/cgroup", "0::/\n");
  put("proc/self/mountinfo", "36 32 0:31 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  put("sys/fs/cgroup/memory.max", "1073741824\n");
  put("sys/fs/cgroup/memory.current", "73741824\n");
  EXPECT_EQ(AvailableMemory(root.path()), 1000000000);
  put("sys/fs/cgroup/memory.max", "max\n");
  EXPECT_EQ(AvailableMemory(root.path()), 32 * kGib);
}

}  // namespace
}  // namespace atom::server
