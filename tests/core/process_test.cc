#include "atom/core/process.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <vector>

namespace atom {
namespace {

int64_t PageFaults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

/// Page faults of a matrix of 64 MiB.
int64_t FaultsOfAMatrix() {
  const int64_t before = PageFaults();
  std::vector<float> matrix(size_t{16} << 20, 1.0f);
  EXPECT_EQ(matrix.back(), 1.0f);
  return PageFaults() - before;
}

TEST(ProcessTest, PeakMemoryGrowsWithWhatIsUsed) {
  const int64_t before = PeakMemoryBytes();
  EXPECT_GT(before, 0);
  const std::vector<float> matrix(size_t{64} << 20, 1.0f);
  EXPECT_GE(PeakMemoryBytes(), before);
  EXPECT_GE(PeakMemoryBytes(), int64_t{256} << 20);
}

/// Sanitizers have allocators of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kGlibcAllocates = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kGlibcAllocates = false;
#else
constexpr bool kGlibcAllocates = true;
#endif
#else
constexpr bool kGlibcAllocates = true;
#endif

TEST(ProcessTest, MemoryThatWasFreedIsNotMappedAnew) {
  if (!kGlibcAllocates) GTEST_SKIP() << "a sanitizer allocates";
  KeepFreedMemory();
  (void)FaultsOfAMatrix();
  EXPECT_LT(FaultsOfAMatrix(), 1000);  // of 16,384 pages
}

}  // namespace
}  // namespace atom
