#include <algorithm>
#include <cstring>
#include <gmock/gmock.h>

#include "atom/kernels/cuda/device/check.h"
#include "atom/kernels/cuda/device/nvml.h"
#include "atom/kernels/cuda/device/staging.h"

#include "tests/kernels/cuda/cuda_test.h"

namespace atom::kernels::cuda {
namespace {

using ::testing::HasSubstr;

// These need no GPU.
TEST(CudaCheckTest, SaysWhatWasTriedAndWhatToDo) {
  EXPECT_TRUE(Check(cudaSuccess, "do nothing").ok());
  const Error lost = CudaError(cudaErrorIllegalAddress, "run a step");
  EXPECT_THAT(lost.message, HasSubstr("could not run a step"));
  EXPECT_THAT(lost.message, HasSubstr("lost to this process"));
  EXPECT_TRUE(IsFatal(cudaErrorIllegalAddress));
  EXPECT_FALSE(IsFatal(cudaErrorMemoryAllocation));
  EXPECT_THAT(CudaError(cudaErrorInvalidValue, "x").message, HasSubstr("cudaErrorInvalidValue"));
}

TEST(CudaCheckTest, NoSuchDeviceIsASentence) {
  const Result<DeviceProperties> opened = OpenDevice(1000);
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, ::testing::AnyOf(HasSubstr("GPU 1000"), HasSubstr("GPUs")));
}

using DeviceTest = CudaTest;

TEST_F(DeviceTest, HasPropertiesAndAClock) {
  EXPECT_GE(device().compute_capability, 80);
  EXPECT_GT(device().multiprocessors, 0);
  EXPECT_GT(device().l2_bytes, 1 << 20);
  const Result<Nvml> nvml = Nvml::Open(device().pci_bus_id);
  if (!nvml.ok()) GTEST_SKIP() << nvml.error().message;
  EXPECT_GT(nvml->Read().sm_clock_mhz, 0);
}

TEST_F(DeviceTest, ArenaHandsOutAlignedNamedParts) {
  Result<DeviceArena> arena = DeviceArena::Create(4096);
  ASSERT_TRUE(arena.ok()) << arena.error().message;
  Result<std::byte*> weights = arena->Take("weights", 100);
  Result<float*> pages = arena->Take<float>("pages", 64);
  ASSERT_TRUE(weights.ok() && pages.ok());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(*pages) % kDeviceAlignment, 0u);
  EXPECT_EQ(arena->parts()[1].offset, 256);
  const Result<std::byte*> more = arena->Take("step", 4096);
  ASSERT_FALSE(more.ok());
  EXPECT_THAT(more.error().message, HasSubstr("step needs 4096"));
  arena->ReleaseTo(1);
  EXPECT_EQ(arena->used(), 100);
}

TEST_F(DeviceTest, TooLargeAnArenaSaysWhatIsFree) {
  const Result<DeviceArena> arena = DeviceArena::Create(int64_t{1} << 46);
  ASSERT_FALSE(arena.ok());
  EXPECT_THAT(arena.error().message, HasSubstr("MiB are free"));
  // and the next call is not blamed for it
  EXPECT_TRUE(CheckLaunch("nothing").ok());
}

TEST_F(DeviceTest, LargeCopiesAreStagedBothWays) {
  Result<Stream> own = Stream::Create();
  ASSERT_TRUE(own.ok()) << own.error().message;
  const StagedStream staged(std::move(own).value());
  // Below what is staged; one half; whole halves; a rest. The second copy meets halves in use.
  for (const int64_t bytes :
       {int64_t{1000}, int64_t{5} << 20, int64_t{32} << 20, (int64_t{50} << 20) + 12345}) {
    std::vector<std::byte> first(static_cast<size_t>(bytes)), second(first), found(first);
    for (size_t i = 0; i < first.size(); ++i) {
      first[i] = static_cast<std::byte>(i * 2654435761u >> 13);
      second[i] = static_cast<std::byte>(i * 40503u >> 7);
    }
    DeviceArray<std::byte> a(first.size()), b(first.size());
    std::vector<std::byte> from = first;
    ASSERT_TRUE(staged.ToDevice(a.data(), from.data(), bytes).ok());
    from = second;  // may change after the return
    ASSERT_TRUE(staged.ToDevice(b.data(), from.data(), bytes).ok());
    ASSERT_TRUE(staged.ToHost(found.data(), a.data(), bytes).ok());
    EXPECT_TRUE(found == first) << bytes;
    ASSERT_TRUE(staged.ToHost(found.data(), b.data(), bytes).ok());
    EXPECT_TRUE(found == second) << bytes;
  }
}

TEST_F(DeviceTest, CopiesThroughPinnedMemoryAndEvents) {
  Result<PinnedMemory> host = PinnedMemory::Create(1 << 20);
  ASSERT_TRUE(host.ok()) << host.error().message;
  DeviceArray<std::byte> array(1 << 20);
  std::ranges::fill(host->bytes(), std::byte{0x5A});
  Result<Event> before = Event::Create(), after = Event::Create();
  ASSERT_TRUE(before.ok() && after.ok());
  ASSERT_TRUE(before->Record(stream()).ok());
  ASSERT_TRUE(CopyToDevice(array.data(), host->bytes().data(), 1 << 20, stream()).ok());
  ASSERT_TRUE(after->Record(stream()).ok());
  ASSERT_TRUE(after->Synchronize().ok());
  EXPECT_GT(after->MicrosecondsSince(*before).value(), 0);
  EXPECT_EQ(array.Download(), std::vector<std::byte>(1 << 20, std::byte{0x5A}));
}

}  // namespace
}  // namespace atom::kernels::cuda
