#include "atom/pipeline/hidden_store.h"

#include <gtest/gtest.h>
#include <limits>
#include <vector>

#include "tests/tiny_model.h"

namespace atom::pipeline {
namespace {

TEST(HiddenStore, KeepsHalvesInMemoryAndSpilledAlike) {
  const tests::TemporaryFolder folder;
  for (const int64_t limit : {int64_t{1} << 20, int64_t{0}}) {
    Result<HiddenStore> store = HiddenStore::Create(3, 5, 7, limit, folder.path());
    ASSERT_TRUE(store.ok()) << store.error().message;
    EXPECT_EQ(store->spilled(), limit == 0);
    Rng random(3);
    std::vector<std::vector<float>> samples(3, std::vector<float>(35));
    for (int64_t i = 0; i < 3; ++i) {
      for (float& value : samples[static_cast<size_t>(i)]) {
        value = static_cast<float>(random.Normal());
      }
      store->Write(i, samples[static_cast<size_t>(i)]);
    }
    for (int64_t i = 0; i < 3; ++i) {
      std::vector<float> read(35);
      store->Read(i, read);
      for (size_t j = 0; j < read.size(); ++j) {
        EXPECT_EQ(read[j], ToFloat(ToHalf(samples[static_cast<size_t>(i)][j])));
      }
    }
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << "the spill file is not unlinked";
}

TEST(HiddenStore, ClampsWhatHalvesCannotHold) {
  const tests::TemporaryFolder folder;
  Result<HiddenStore> store = HiddenStore::Create(1, 1, 2, 1 << 20, folder.path());
  ASSERT_TRUE(store.ok());
  store->Write(0, std::vector<float>{1e9f, -1e9f});
  std::vector<float> read(2);
  store->Read(0, read);
  EXPECT_EQ(read, (std::vector<float>{kHalfMax, -kHalfMax}));
}

TEST(HiddenStore, SaysWhereItCannotSpill) {
  const Result<HiddenStore> store = HiddenStore::Create(1, 1, 2, 0, "/nonexistent/folder");
  ASSERT_FALSE(store.ok());
  EXPECT_NE(store.error().message.find("/nonexistent/folder"), std::string::npos);
}

}  // namespace
}  // namespace atom::pipeline
