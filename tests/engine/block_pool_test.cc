// No page leaks, none has two meanings: random use against a model that keeps whole texts.
#include "atom/engine/block_pool.h"

#include <array>
#include <deque>
#include <gtest/gtest.h>
#include <map>
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

TEST(BlockPool, GivesEachPageOnce) {
  BlockPool pool(5);
  std::set<int32_t> pages;
  while (const std::optional<int32_t> page = pool.Take()) {
    EXPECT_TRUE(pages.insert(*page).second);
    EXPECT_EQ(pool.used(), static_cast<int64_t>(pages.size()));
  }
  EXPECT_EQ(pages, (std::set<int32_t>{0, 1, 2, 3, 4}));
  for (const int32_t page : pages) pool.Release(page);
  EXPECT_EQ(pool.available(), 5);
}

TEST(BlockPool, CachedPagesAreFoundUntilTheyAreNeeded) {
  BlockPool pool(3);
  const int32_t a = *pool.Take();
  const int32_t b = *pool.Take();
  const Content of_a = pool.Keep(kNoContent, PageOf(1), a);
  pool.Keep(of_a, PageOf(2), b);
  pool.Release(b);
  pool.Release(a);
  EXPECT_EQ(pool.available(), 3);
  EXPECT_EQ(pool.Find(kNoContent, PageOf(1)), a);
  EXPECT_EQ(pool.available(), 2);
  EXPECT_NE(*pool.Take(), b);  // the one that was never used comes first
  EXPECT_EQ(*pool.Take(), b);  // then what is cached
  EXPECT_EQ(pool.Find(of_a, PageOf(2)), std::nullopt);
  EXPECT_EQ(pool.Take(), std::nullopt);  // a is in use
}

TEST(BlockPool, WhatIsReleasedLongestAgoGoesFirst) {
  BlockPool pool(3);
  std::vector<int32_t> pages;
  for (int32_t i = 0; i < 3; ++i) {
    pages.push_back(*pool.Take());
    pool.Keep(kNoContent, PageOf(i), pages.back());
  }
  for (const size_t i : {1, 0, 2}) pool.Release(pages[i]);
  ASSERT_EQ(pool.Find(kNoContent, PageOf(1)), pages[1]);  // used again: now the youngest
  pool.Release(pages[1]);
  for (const size_t i : {0, 2, 1}) EXPECT_EQ(*pool.Take(), pages[i]);
}

TEST(BlockPool, TheSameContentInTwoPagesIsKeptOnce) {
  BlockPool pool(2);
  const int32_t a = *pool.Take();
  const int32_t b = *pool.Take();
  const Content content = pool.Keep(kNoContent, PageOf(1), a);
  EXPECT_EQ(pool.Keep(kNoContent, PageOf(1), b), content);
  pool.Release(b);
  pool.Release(a);
  EXPECT_EQ(*pool.Take(), b);  // nobody can find it: free
}

/// A text of pages that a user holds, and what the pool should say of it.
struct User {
  std::vector<int32_t> text;   // the token of each page
  std::vector<int32_t> pages;  // some of them shared
  Content content = kNoContent;
  size_t kept = 0;
};

uint64_t WeakHash(Content parent, PageTokens tokens) {
  return (parent + static_cast<uint64_t>(tokens[0])) % 2;
}

TEST(BlockPool, RandomUseLeaksAndMixesNothing) {
  for (const PageHash hash : {&HashPage, &WeakHash}) {
    constexpr int32_t kPages = 24;
    BlockPool pool(kPages, hash);
    std::vector<std::vector<int32_t>> holds(kPages);  // the text up to the end of each page
    std::deque<User> users;
    Rng random(5);
    for (int step = 0; step < 20000; ++step) {
      const int64_t action = random.Below(8);
      if (users.empty() || action == 0) {  // a new text begins with what is known of it
        User user;
        for (int64_t i = random.Below(5); i >= 0; --i) {
          user.text.push_back(static_cast<int32_t>(random.Below(2)));
        }
        while (user.pages.size() < user.text.size()) {
          const auto page = pool.Find(user.content, PageOf(user.text[user.pages.size()]));
          if (!page) break;
          user.pages.push_back(*page);
          user.content = pool.ContentOf(*page);
          ASSERT_EQ(holds[static_cast<size_t>(*page)],
                    std::vector(user.text.begin(),
                                user.text.begin() + static_cast<int64_t>(user.pages.size())));
        }
        user.kept = user.pages.size();
        users.push_back(std::move(user));
      } else if (action < 5) {  // goes on, in a page that nobody else has
        User& user = users[static_cast<size_t>(random.Below(static_cast<int64_t>(users.size())))];
        const std::optional<int32_t> page = pool.Take();
        std::set<int32_t> in_use;
        for (const User& other : users) in_use.insert(other.pages.begin(), other.pages.end());
        ASSERT_EQ(page.has_value(), in_use.size() < kPages);
        if (!page) continue;
        ASSERT_FALSE(in_use.contains(*page));
        user.pages.push_back(*page);
        if (user.text.size() < user.pages.size()) {
          user.text.push_back(static_cast<int32_t>(random.Below(2)));
        }
        holds[static_cast<size_t>(*page)] = {
            user.text.begin(), user.text.begin() + static_cast<int64_t>(user.pages.size())};
      } else if (action < 7) {  // full pages may be found
        User& user = users[static_cast<size_t>(random.Below(static_cast<int64_t>(users.size())))];
        for (; user.kept < user.pages.size(); ++user.kept) {
          user.content =
              pool.Keep(user.content, PageOf(user.text[user.kept]), user.pages[user.kept]);
        }
      } else {
        const auto gone = users.begin() + random.Below(static_cast<int64_t>(users.size()));
        for (; !gone->pages.empty(); gone->pages.pop_back()) pool.Release(gone->pages.back());
        users.erase(gone);
      }
      std::set<int32_t> in_use;
      for (const User& user : users) in_use.insert(user.pages.begin(), user.pages.end());
      ASSERT_EQ(pool.used(), static_cast<int64_t>(in_use.size()));
    }
  }
}

}  // namespace
}  // namespace atom::engine
