// No page leaks, none has two meanings: random use against a model that keeps whole texts.
#include "atom/engine/page_allocator.h"

#include <array>
#include <deque>
#include <gtest/gtest.h>
#include <iterator>
#include <set>

#include "atom/core/rng.h"

namespace atom::engine {
namespace {

using Page = std::array<int32_t, 16>;

Page PageOf(int32_t token) {
  Page page;
  page.fill(token);
  return page;
}

TEST(PageAllocator, GivesEachPageOnce) {
  PageAllocator pool(5);
  std::set<int32_t> pages;
  while (const std::optional<int32_t> page = pool.Allocate()) {
    EXPECT_TRUE(pages.insert(*page).second);
    EXPECT_EQ(pool.used(), static_cast<int64_t>(pages.size()));
  }
  EXPECT_EQ(pages, (std::set<int32_t>{0, 1, 2, 3, 4}));
  for (const int32_t page : pages) pool.Release(page);
  EXPECT_EQ(pool.available(), 5);
}

TEST(PageAllocator, CachedPagesAreFoundUntilTheyAreNeeded) {
  PageAllocator pool(3);
  const int32_t a = *pool.Allocate();
  const int32_t b = *pool.Allocate();
  const PageHash of_a = pool.Cache(kNoPages, PageOf(1), a);
  pool.Cache(of_a, PageOf(2), b);
  pool.Release(b);
  pool.Release(a);
  EXPECT_EQ(pool.available(), 3);
  EXPECT_EQ(pool.Find(kNoPages, PageOf(1)), a);
  EXPECT_EQ(pool.available(), 2);
  EXPECT_NE(*pool.Allocate(), b);  // the one that was never used comes first
  EXPECT_EQ(*pool.Allocate(), b);  // then what is cached
  EXPECT_EQ(pool.Find(of_a, PageOf(2)), std::nullopt);
  EXPECT_EQ(pool.Allocate(), std::nullopt);  // a is in use
}

TEST(PageAllocator, WhatIsForgottenIsNotFoundAndStaysWithItsUsers) {
  PageAllocator pool(2);
  const int32_t page = *pool.Allocate();
  pool.Cache(kNoPages, PageOf(1), page);
  EXPECT_EQ(pool.Find(kNoPages, PageOf(1)), page);
  pool.Forget(page);
  EXPECT_EQ(pool.Find(kNoPages, PageOf(1)), std::nullopt);
  pool.Release(page);
  EXPECT_EQ(pool.used(), 1);  // the one that found it in time
  const int32_t other = *pool.Allocate();
  pool.Cache(kNoPages, PageOf(1), other);
  pool.Forget(page);  // nothing is known of it
  EXPECT_EQ(pool.Find(kNoPages, PageOf(1)), other);
}

TEST(PageAllocator, WhatIsReleasedLongestAgoGoesFirst) {
  PageAllocator pool(3);
  std::vector<int32_t> pages;
  for (int32_t i = 0; i < 3; ++i) {
    pages.push_back(*pool.Allocate());
    pool.Cache(kNoPages, PageOf(i), pages.back());
  }
  for (const size_t i : {1, 0, 2}) pool.Release(pages[i]);
  ASSERT_EQ(pool.Find(kNoPages, PageOf(1)), pages[1]);  // used again: now the youngest
  pool.Release(pages[1]);
  for (const size_t i : {0, 2, 1}) EXPECT_EQ(*pool.Allocate(), pages[i]);
}

TEST(PageAllocator, TheSameContentInTwoPagesIsKeptOnce) {
  PageAllocator pool(2);
  const int32_t a = *pool.Allocate();
  const int32_t b = *pool.Allocate();
  const PageHash hash = pool.Cache(kNoPages, PageOf(1), a);
  EXPECT_EQ(pool.Cache(kNoPages, PageOf(1), b), hash);
  pool.Release(b);
  pool.Release(a);
  EXPECT_EQ(*pool.Allocate(), b);  // nobody can find it: free
}

uint64_t WeakBucket(const PageHash& hash) { return hash.low % 2; }

/// Users of a pool that do what they like, and what each page ought to hold.
class RandomUsers {
 public:
  explicit RandomUsers(BucketFunction bucket) : pool_(kPages, bucket) {}

  void Act() {
    const int64_t action = random_.Below(8);
    if (users_.empty() || action == 0) {
      Begin();
    } else if (action < 5) {
      TakeAPage(Any());
    } else if (action < 7) {
      KeepPages(Any());
    } else {
      const auto gone = users_.begin() + random_.Below(static_cast<int64_t>(users_.size()));
      for (; !gone->pages.empty(); gone->pages.pop_back()) pool_.Release(gone->pages.back());
      users_.erase(gone);
    }
    ASSERT_EQ(pool_.used(), static_cast<int64_t>(InUse().size()));
  }

 private:
  static constexpr int32_t kPages = 24;
  using Text = std::vector<int32_t>;  // the token of each page
  struct User {
    Text text;
    std::vector<int32_t> pages;
    PageHash hash = kNoPages;
    size_t kept = 0;

    Text UpToHere() const {
      return {text.begin(), text.begin() + static_cast<int64_t>(pages.size())};
    }
  };

  User& Any() { return users_[static_cast<size_t>(random_.Below(std::ssize(users_)))]; }
  int32_t AnyToken() { return static_cast<int32_t>(random_.Below(2)); }
  std::set<int32_t> InUse() const {
    std::set<int32_t> pages;
    for (const User& user : users_) pages.insert(user.pages.begin(), user.pages.end());
    return pages;
  }

  /// A new text, with what is known of it.
  void Begin() {
    User& user = users_.emplace_back();
    for (int64_t i = random_.Below(5); i >= 0; --i) user.text.push_back(AnyToken());
    while (user.pages.size() < user.text.size()) {
      const auto page = pool_.Find(user.hash, PageOf(user.text[user.pages.size()]));
      if (!page) break;
      user.pages.push_back(*page);
      user.hash = pool_.HashOf(*page);
      ASSERT_EQ(holds_[static_cast<size_t>(*page)], user.UpToHere());
    }
    user.kept = user.pages.size();
  }
  /// A page that nobody else has.
  void TakeAPage(User& user) {
    const std::set<int32_t> in_use = InUse();
    const std::optional<int32_t> page = pool_.Allocate();
    ASSERT_EQ(page.has_value(), in_use.size() < kPages);
    if (!page) return;
    ASSERT_FALSE(in_use.contains(*page));
    user.pages.push_back(*page);
    if (user.text.size() < user.pages.size()) user.text.push_back(AnyToken());
    holds_[static_cast<size_t>(*page)] = user.UpToHere();
  }
  void KeepPages(User& user) {
    for (; user.kept < user.pages.size(); ++user.kept) {
      user.hash = pool_.Cache(user.hash, PageOf(user.text[user.kept]), user.pages[user.kept]);
    }
  }

  PageAllocator pool_;
  std::array<Text, kPages> holds_;  // the text up to the end of each page
  std::deque<User> users_;
  Rng random_{5};
};

TEST(PageAllocator, RandomUseLeaksAndMixesNothing) {
  for (const BucketFunction bucket : {&LowBits, &WeakBucket}) {
    RandomUsers users(bucket);
    for (int step = 0; step < 20000 && !testing::Test::HasFatalFailure(); ++step) users.Act();
  }
}

}  // namespace
}  // namespace atom::engine
