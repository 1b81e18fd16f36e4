// Without a GPU all of cuda_engine_tests is skipped, with a sentence.
#include <gtest/gtest.h>

#include "atom/kernels/registry.h"

namespace atom::engine {
namespace {

class GpuEnvironment : public testing::Environment {
 public:
  void SetUp() override {
    const auto made = kernels::MakeBackend("cuda", {});
    if (!made.ok()) GTEST_SKIP() << made.error().message;
  }
};

const testing::Environment* const kEnvironment =
    testing::AddGlobalTestEnvironment(new GpuEnvironment);  // gtest deletes it

}  // namespace
}  // namespace atom::engine
