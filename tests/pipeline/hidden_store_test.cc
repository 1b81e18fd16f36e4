#include "atom/pipeline/hidden_store.h"

#include <cmath>
#include <gtest/gtest.h>
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

// A first token's residual stream is a thousand times the others' in published models.
TEST(HiddenStore, ScalesRowsThatHalvesCannotHold) {
  const tests::TemporaryFolder folder;
  Result<HiddenStore> store = HiddenStore::Create(2, 3, 2, 1 << 20, folder.path());
  ASSERT_TRUE(store.ok());
  const float third = 1.0f / 3.0f;
  for (const float large : {65505.0f, 65536.0f, 1e6f * third, 2.9e9f, 3.4e38f}) {
    const std::vector<float> values = {large, -large * third, third, kHalfMax, -large, 0.0f};
    store->Write(1, values);
    std::vector<float> read(6);
    store->Read(1, read);
    for (const size_t i : {0, 1, 4}) {
      EXPECT_NEAR(read[i] / values[i], 1.0, 0x1p-11) << "as exact as a half: " << values[i];
    }
    EXPECT_EQ(read[2], ToFloat(ToHalf(third))) << "neighbours are kept as before";
    EXPECT_EQ(read[3], kHalfMax);
    store->Write(1, std::vector<float>(6, third));  // nothing is left of the exponents
    store->Read(1, read);
    EXPECT_EQ(read, std::vector<float>(6, ToFloat(ToHalf(third))));
  }
}

TEST(HiddenStore, KeepsWhatIsNoNumber) {
  const tests::TemporaryFolder folder;
  Result<HiddenStore> store = HiddenStore::Create(1, 1, 3, 1 << 20, folder.path());
  ASSERT_TRUE(store.ok());
  store->Write(0, std::vector<float>{INFINITY, NAN, 2.0f});
  std::vector<float> read(3);
  store->Read(0, read);
  EXPECT_EQ(read[0], INFINITY);
  EXPECT_TRUE(std::isnan(read[1]));
  EXPECT_EQ(read[2], 2.0f);
}

TEST(HiddenStore, SaysWhereItCannotSpill) {
  const Result<HiddenStore> store = HiddenStore::Create(1, 1, 2, 0, "/nonexistent/folder");
  ASSERT_FALSE(store.ok());
  EXPECT_NE(store.error().message.find("/nonexistent/folder"), std::string::npos);
}

}  // namespace
}  // namespace atom::pipeline
