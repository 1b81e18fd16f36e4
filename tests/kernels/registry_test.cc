#include "atom/kernels/registry.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device_under_test.h"

namespace atom::kernels {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Registry, TheFirstNameIsTheDefault) {
  EXPECT_THAT(BackendNames(), ElementsAre("cpu", "reference", "cuda"));
}

TEST(Registry, MakesWhatItNames) {
  for (const std::string_view name : {"cpu", "reference"}) {
    const auto made = MakeBackend(name, BackendOptions{3});
    ASSERT_TRUE(made.ok()) << made.error().message;
    EXPECT_EQ(made.value()->name(), name);
    EXPECT_THAT(made.value()->Description(), HasSubstr("3 threads"));
  }
}

class InstructionSetTest : public testing::TestWithParam<CpuIsa> {};

TEST_P(InstructionSetTest, IsTestedWhereTheProcessorHasIt) {
  const std::string name(CpuIsaName(GetParam()));
  if (!Supports(GetParam())) {
    GTEST_SKIP() << "this processor has no " << name << ": its kernels are not tested here";
  }
  EXPECT_THAT(BackendsUnderTest(), testing::Contains(testing::Field(&BackendCase::isa, name)));
}

INSTANTIATE_TEST_SUITE_P(All, InstructionSetTest, testing::ValuesIn(AllCpuIsas()),
                         [](const auto& named) {
                           return CaseName({"cpu", std::string(CpuIsaName(named.param))});
                         });

TEST(Registry, AnUnknownNameListsTheKnownOnes) {
  const auto made = MakeBackend("tpu", {});
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().message, "backend tpu: unknown; known are cpu, reference, cuda");
}

TEST(Registry, CudaSaysThatItIsAbsent) {
  const auto made = MakeBackend("cuda", {});
  if (made.ok()) GTEST_SKIP() << "this program was built with CUDA";
  EXPECT_THAT(made.error().message, HasSubstr("cuda"));
}

TEST(Registry, NegativeThreadsAreAnError) {
  const auto made = MakeBackend("reference", BackendOptions{-2});
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message, HasSubstr("-2"));
}

TEST(Registry, TheInstructionSetCanBePinned) {
  for (const BackendCase& which : BackendsUnderTest()) {
    if (which.isa.empty()) continue;
    const auto made = MakeBackendCase(which, 1);
    ASSERT_TRUE(made.ok());
    EXPECT_THAT(made.value()->Description(), HasSubstr(which.isa));
  }
  EXPECT_FALSE(MakeBackendCase({"cpu", "sse9"}, 1).ok());
}

class MemoryTest : public testing::TestWithParam<BackendCase> {};

TEST_P(MemoryTest, IsZeroedAndKeepsWhatIsUploaded) {
  Device device(GetParam());
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{63}, size_t{4096}, size_t{100001}}) {
    DeviceBuffer buffer = device->Allocate(bytes);
    EXPECT_EQ(buffer.bytes(), bytes);
    EXPECT_EQ(device.Get<uint8_t>(buffer), std::vector<uint8_t>(bytes, 0));
    std::vector<uint8_t> values(bytes);
    for (size_t i = 0; i < bytes; ++i) values[i] = static_cast<uint8_t>(i * 37);
    device->Upload(std::as_bytes(std::span(values)), buffer.data());
    EXPECT_EQ(device.Get<uint8_t>(buffer), values);
  }
}

TEST_P(MemoryTest, ABufferCanMove) {
  Device device(GetParam());
  DeviceBuffer a = device.Put(std::vector<int32_t>{1, 2, 3});
  DeviceBuffer b = std::move(a);
  EXPECT_EQ(a.data(), nullptr);  // NOLINT: moved-from is empty
  a = device.Put(std::vector<int32_t>{4});
  std::swap(a, b);
  EXPECT_EQ(device.Get<int32_t>(a), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(device.Get<int32_t>(b), (std::vector<int32_t>{4}));
}

INSTANTIATE_TEST_SUITE_P(Backends, MemoryTest, testing::ValuesIn(BackendsUnderTest()),
                         BackendCaseName);

}  // namespace
}  // namespace atom::kernels
