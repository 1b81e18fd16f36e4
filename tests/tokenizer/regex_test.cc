#include "atom/tokenizer/regex.h"

#include <chrono>
#include <dlfcn.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "atom/io/quote.h"

namespace atom::tokenizer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Regex Compile(std::string_view regex) {
  Result<Regex> compiled = Regex::Compile(regex, "t");
  EXPECT_TRUE(compiled.ok()) << compiled.error().message;
  return *std::move(compiled);
}

// "2-5": a match of those bytes.
std::vector<std::string> Find(std::string_view regex, std::string_view text) {
  std::vector<RegexMatch> matches;
  RegexSteps steps(text.size());
  const Status found = Compile(regex).FindAll(text, steps, matches);
  EXPECT_TRUE(found.ok()) << found.error().message;
  std::vector<std::string> spans;
  for (const RegexMatch& match : matches)
    spans.push_back(fmt::format("{}-{}", match.begin, match.end));
  return spans;
}

TEST(Regex, FindsMatchesFromLeftToRight) {
  EXPECT_THAT(Find("ab?", "abaxab"), ElementsAre("0-2", "2-3", "4-6"));
  EXPECT_THAT(Find("x", ""), IsEmpty());
  EXPECT_THAT(Find("", std::string_view()), IsEmpty());
}

TEST(Regex, LeavesOutTheEmptyMatchBehindAnother) {
  EXPECT_THAT(Find("a*", "aab"), ElementsAre("0-2", "3-3"));
  EXPECT_THAT(Find("", "é"), ElementsAre("0-0", "2-2"));
}

TEST(Regex, IllFormedBytesAreNoLetters) {
  EXPECT_THAT(Find("[^a]+", "a\xFF\xC3\xA9\xF0\x9F"), ElementsAre("1-6"));
  EXPECT_THAT(Find(R"(\p{L}+)", "a\xFF\xC3\xA9\xF0\x9F"), ElementsAre("0-1", "2-4"));
}

// What each would take without a limit is seconds to centuries.
TEST(Regex, HostileExpressionsEndByName) {
  // What the last class wants comes too late to be met, and is no reason to give up early.
  const std::string text = fmt::format("{}bx", std::string(20'000, 'a'));
  for (const std::string_view regex :
       {"(a+)+[^ab]", "(?:a|a)*[^ab]", "(?:a|a)*+[^ab]", "(?:a|aa)+[^ab]", "(a*)*[^ab]", "a+[^ab]",
        "a++[^ab]", "a*a*a*a*[^ab]", "(?:(?=a*+)a)*[^ab]", "a(?=.*)", "(?<=(?:a|a){60}[^ab])a",
        "(?:a|a){12}[^ab]",
        "(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)[^ab]",
        "(?:a?){800}a{800}[^ab]", "(?:(?:a{1,9}){1,99}){1,999}[^ab]", "(?i)(?:A|a)*[^ab]",
        "(?>a*)(?:a|b?)[^abx]"}) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<RegexMatch> matches;
    RegexSteps steps(text.size());
    const Status found = Compile(regex).FindAll(text, steps, matches);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    EXPECT_LT(seconds.count(), 60) << regex << ": far more than it takes under a sanitizer";
    if (found.ok()) {
      ADD_FAILURE() << regex << " took " << RegexSteps(text.size()).left - steps.left << " steps";
      continue;
    }
    EXPECT_EQ(found.error().message,
              fmt::format("t: the regular expression {} fails on a text of 20002 bytes: it takes "
                          "too many steps",
                          io::Quote(regex)));
  }
}

TEST(Regex, HostileExpressionsCompileSoon) {
  const auto start = std::chrono::steady_clock::now();
  for (const std::string_view regex :
       {"((a{1000}){1000}){1000}", "(?:(?:(?:[a-z]{50}){50}){50}){50}",
        "(((((a|b){0,100}c){0,100}d){0,100}e){0,100}f){0,100}",
        "(?i)(?:ssssssssssssssssffiffiffiffi){20}", "(?<=(?:a|b|cd){0,20})e"}) {
    static_cast<void>(Regex::Compile(regex, "t").ok());
  }
  std::string deep(5000, '(');
  EXPECT_FALSE(Regex::Compile(deep + std::string(5000, ')'), "t").ok());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_LT(seconds.count(), 30);
}

TEST(Regex, RefusesByName) {
  const auto refusal = [](std::string_view regex) {
    const auto compiled = Regex::Compile(regex, "file: Split");
    return compiled.ok() ? "" : compiled.error().message;
  };
  EXPECT_EQ(refusal("*a"),
            "file: Split: the regular expression '*a' is refused by Oniguruma: 'target of repeat "
            "operator is not specified'");
  EXPECT_THAT(refusal("a\\p{Klingon}"), HasSubstr("invalid character property name {Klingon}"));
  EXPECT_THAT(refusal("a\xFF"), HasSubstr("is not UTF-8"));
  EXPECT_THAT(refusal(std::string(20'000, 'a')),
              HasSubstr("has 20000 bytes, expected at most 16384"));
  EXPECT_THAT(refusal("[z-a]"), HasSubstr("empty range"));
}

// Its library has a regcomp() too, with another layout of what regexec() reads.
TEST(Regex, LeavesTheCLibrarysFunctionsAlone) {
  for (const char* function : {"regcomp", "regexec", "regfree", "regerror"}) {
    // The next one behind the program, which a sanitizer's own would call.
    Dl_info found = {};
    ASSERT_NE(dladdr(dlsym(RTLD_NEXT, function), &found), 0) << function;
    EXPECT_THAT(found.dli_fname, HasSubstr("/libc.so")) << function;
  }
}

}  // namespace
}  // namespace atom::tokenizer
