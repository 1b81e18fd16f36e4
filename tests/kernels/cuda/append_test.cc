// The append kernel against its scalar reference: codes, scales and offsets are equal bit for bit.
#include "tests/kernels/cuda/paged_cache.h"

namespace atom::kernels::cuda {
namespace {

// Needs no GPU: every code has a place of its own, inside its page.
TEST(KvFragmentsTest, EveryCodeHasItsOwnPlace) {
  for (const KvStorage storage : {KvStorage::kInt4, KvStorage::kInt8, KvStorage::kF16}) {
    for (const int d : {64, 80, 96, 128, 256}) {
      const int bits = storage == KvStorage::kInt4 ? 4 : storage == KvStorage::kInt8 ? 8 : 16;
      std::vector<char> taken(static_cast<size_t>(ScaleOffset(storage, d)) * 8);
      for (const bool value : {false, true}) {
        for (int position = 0; position < kPagePositions; ++position) {
          for (int channel = 0; channel < d; ++channel) {
            const FragmentByte at = LocateCode(storage, d, value, position, channel);
            for (int bit = 0; bit < bits; ++bit) {
              const auto place = static_cast<size_t>(at.offset * 8 + at.shift + bit);
              ASSERT_LT(place, taken.size());
              ASSERT_FALSE(taken[place]) << quant::Name(storage) << " " << d;
              taken[place] = 1;
            }
          }
        }
      }
      EXPECT_EQ(std::ranges::count(taken, 1), std::ssize(taken)) << quant::Name(storage) << d;
    }
  }
  EXPECT_EQ(HeadPageBytes(KvStorage::kInt4, 128), 2176);
}

class AppendTest : public CudaTest, public ::testing::WithParamInterface<CacheCase> {};

/// Each position of each sequence, bit for bit.
void ExpectReference(const PagedCache& cache, const CacheCase& c) {
  for (int s = 0; s < cache.lists().sequences; ++s) {
    for (int p = 0; p < cache.lengths()[static_cast<size_t>(s)]; ++p) {
      for (int head = 0; head < c.kv_heads; ++head) {
        for (const bool value : {false, true}) {
          const QuantizedHead expected = cache.Expected(s, p, head, value);
          const QuantizedHead stored = cache.Stored(s, p, head, value);
          ASSERT_EQ(stored.scale, expected.scale) << s << " " << p << " " << head << " " << value;
          ASSERT_EQ(stored.offset, expected.offset) << s << " " << p << " " << head << " " << value;
          ASSERT_EQ(stored.codes, expected.codes) << s << " " << p << " " << head << " " << value;
          ASSERT_EQ(stored.values, expected.values) << s << " " << p << " " << head << " " << value;
          if (c.exact_window == 0) continue;
          ASSERT_EQ(cache.StoredExactly(s, p, head, value).values,
                    cache.ExpectedExactly(s, p, head, value).values)
              << s << " " << p << " " << head << " " << value;
        }
      }
      for (int head = 0; head < c.heads; ++head) {
        std::vector<float> expected = cache.ExpectedQuery(s, p, head);
        for (float& x : expected) x = RoundTo(c.type, x);
        ASSERT_EQ(cache.Query(s, p, head), expected) << s << " " << p << " " << head;
      }
    }
  }
}

TEST_P(AppendTest, WritesTheReferenceCodes) {
  PagedCache cache(GetParam(), {1, 37, 16, 50}, 7);
  const Status status = cache.Append(stream());
  ASSERT_TRUE(status.ok()) << status.error().message;
  ExpectReference(cache, GetParam());
}

/// Enough tokens for the kernel that gathers pages.
TEST_P(AppendTest, WritesWholePagesAndPartsOfThem) {
  PagedCache cache(GetParam(), {130, 1, 37, 16, 50, 64, 15}, 8);
  const Status status = cache.Append(stream());
  ASSERT_TRUE(status.ok()) << status.error().message;
  ExpectReference(cache, GetParam());
}

std::vector<CacheCase> AppendCases() {
  std::vector<CacheCase> cases;
  for (const KvStorage storage : {KvStorage::kInt4, KvStorage::kInt8, KvStorage::kF16}) {
    for (const int d : {64, 80, 96, 128, 256}) {
      CacheCase plain;
      plain.storage = storage;
      plain.head_dim = d;
      plain.type = d == 64 ? RowType::kF16 : d == 128 ? RowType::kBF16 : RowType::kF32;
      cases.push_back(plain);
      CacheCase full = plain;
      full.hadamard = full.key_mean = full.clip = true;
      full.exact_window = d == 96 || d == 256 ? 16 : 0;
      cases.push_back(full);
      if (storage == KvStorage::kF16) continue;
      full.integer_zero = true;
      cases.push_back(full);
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Cases, AppendTest, ::testing::ValuesIn(AppendCases()),
                         [](const auto& which) { return CaseName(which.param); });

}  // namespace
}  // namespace atom::kernels::cuda
