// What a template must not do, and what is said about it. What it writes: jinja_golden_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "atom/chat/jinja/template.h"

namespace atom::chat::jinja {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Lt;
using testing::SizeIs;
using testing::StartsWith;

// The text, or the error.
std::string Rendered(std::string_view source, const RenderOptions& options = {},
                     const Data::Dict& context = {}) {
  const Result<Template> made = Template::Compile(source, "t");
  if (!made.ok()) return made.error().message;
  const Result<MarkedText> text = made->Render(context, options);
  return text.ok() ? text->bytes() : text.error().message;
}

std::string Repeated(std::string_view piece, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += piece;
  return text;
}

TEST(JinjaTemplate, LimitsItsTime) {
  const std::string steps = "t: line 1: the template takes more than 100000 steps";
  RenderOptions options;
  options.limits.steps = 100'000;
  EXPECT_EQ(Rendered("{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(9) %}"
                     "{% endfor %}{% endfor %}{% endfor %}",
                     options),
            steps);
  // Searching a long text, comparing it, splitting it: every 64 bytes of it are a step.
  const std::string setup = "{% set a = 'a' * 50000 %}{% for i in range(9999) %}";
  for (const char* work :
       {"{% if 'b' in a %}{% endif %}", "{% set x = a|length %}", "{% set x = a[5] %}",
        "{% set x = a.find('b') %}", "{% set x = a < a[1:] %}", "{% set x = a.strip('b') %}"}) {
    const std::string found = Rendered(setup + work + "{% endfor %}", options);
    EXPECT_TRUE(found == steps || found.find("bytes of values") != found.npos) << work << found;
  }
  EXPECT_EQ(
      Rendered("{% for i in range(999) %}{% set x = i in range(99999) %}{% endfor %}", options),
      steps);
}

TEST(JinjaTemplate, AsksBeforeItTakesMemory) {
  const std::string memory = "the template makes more than 268435456 bytes of values";
  EXPECT_THAT(Rendered("{{ ('x' * 1000000) * 1000000 }}"), EndsWith(memory));
  EXPECT_THAT(Rendered("{{ 'x' * 10**10 }}"), HasSubstr("takes more than"));
  EXPECT_THAT(Rendered("{{ 'x' * 9223372036854775807 }}"), HasSubstr("takes more than"));
  EXPECT_THAT(Rendered("{{ ([1] * 100000) * 100000 }}"), HasSubstr("more than"));
  EXPECT_THAT(Rendered("{{ range(10**12) }}"),
              EndsWith("range has 1000000000000 items, expected at most 100000"));
  EXPECT_THAT(Rendered("{{ range(-9223372036854775807, 9223372036854775807) }}"),
              HasSubstr("expected at most 100000"));
  EXPECT_THAT(Rendered("{% set ns = namespace(s='x') %}{% for i in range(99) %}"
                       "{% set ns.s = ns.s + ns.s %}{% endfor %}"),
              EndsWith(memory));
  EXPECT_THAT(Rendered("{% set ns = namespace(s=[1]) %}{% for i in range(99) %}"
                       "{% set ns.s = ns.s + ns.s %}{% endfor %}"),
              HasSubstr("more than"));
  EXPECT_THAT(Rendered("{{ 'x'|indent(10**12) }}"), EndsWith(memory));
  EXPECT_THAT(Rendered("{{ [[1]]|tojson(indent=10**12) }}"), EndsWith(memory));
  EXPECT_THAT(Rendered("{{ ('x' * 10000).replace('', 'y' * 100000) }}"), EndsWith(memory));
  EXPECT_THAT(Rendered("{{ ('x' * 10000)|join('y' * 100000) }}"), EndsWith(memory));
}

TEST(JinjaTemplate, LimitsItsOutput) {
  EXPECT_THAT(Rendered("{% set x = 'x' * 1000000 %}{% for i in range(99) %}{{ x }}{% endfor %}"),
              EndsWith("the template writes more than 16777216 bytes"));
  RenderOptions options;
  options.limits.output_bytes = 3;
  EXPECT_EQ(Rendered("ab{{ 'c' }}", options), "abc");
  EXPECT_THAT(Rendered("ab{{ 'cd' }}", options), HasSubstr("writes more than 3 bytes"));
}

TEST(JinjaTemplate, LimitsItsDepth) {
  EXPECT_THAT(Rendered("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
              EndsWith("more than 400 levels of expressions, calls or data within each other"));
  EXPECT_THAT(Rendered("{% set ns = namespace(x=[]) %}{% for i in range(999) %}"
                       "{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}"),
              HasSubstr("more than 400 levels"));
  EXPECT_THAT(Rendered("{% set ns = namespace(x=[], y=[]) %}{% for i in range(999) %}"
                       "{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor %}"
                       "{{ ns.x == ns.y }}"),
              HasSubstr("more than 400 levels"));
  for (const auto& [open, close] :
       std::initializer_list<std::pair<const char*, const char*>>{{"(", ")"},
                                                                  {"[", "]"},
                                                                  {"-", ""},
                                                                  {"not ", ""},
                                                                  {"{1:", "}"},
                                                                  {"1 if ", ""},
                                                                  {"a[", "]"},
                                                                  {"f(", ")"},
                                                                  {"1 + ", ""},
                                                                  {"1 ~ ", ""},
                                                                  {"1 and ", ""}}) {
    EXPECT_THAT(Rendered("{{ " + Repeated(open, 100'000) + "1" + Repeated(close, 100'000) + " }}"),
                HasSubstr("more than 200"))
        << open;
  }
  EXPECT_THAT(Rendered("{{ a" + Repeated("|trim", 100'000) + " }}"), HasSubstr("more than 200"));
  EXPECT_THAT(Rendered("{{ a" + Repeated(".b", 100'000) + " }}"), HasSubstr("more than 200"));
  EXPECT_THAT(Rendered(Repeated("{% if a %}", 50'000)), HasSubstr("more than 200"));
  EXPECT_THAT(Rendered(std::string((1 << 20) + 1, 'x')), HasSubstr("expected at most 1048576"));
}

TEST(JinjaTemplate, ReachesNothingButData) {
  EXPECT_EQ(Rendered("{{ ''.__class__ }}{{ [].__len__ }}{{ range.__globals__ }}"), "");
  EXPECT_EQ(Rendered("{{ ''.__class__.__mro__ }}"), "t: line 1: '__class__' is undefined");
  EXPECT_EQ(Rendered("\n{{ ''.__class__() }}"), "t: line 2: a string has no method '__class__'");
  EXPECT_EQ(Rendered("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns.x.x == ns }}"), "True");
  EXPECT_THAT(Rendered("{% set l = [] %}{{ l.append(1) }}"),
              EndsWith("'append' would change a list, which is not allowed"));
  EXPECT_THAT(Rendered("{{ {}.update({}) }}"), HasSubstr("would change a dictionary"));
}

TEST(JinjaTemplate, RefusesByNameBeforeItRuns) {
  const auto refusal = [](std::string_view source) {
    const Result<Template> made = Template::Compile(source, "t");
    return made.ok() ? std::string("compiled") : made.error().message;
  };
  EXPECT_EQ(refusal("{% frob 'x' %}"), "t: line 1: the tag 'frob' is not supported here");
  EXPECT_EQ(refusal("{% filter upper %}x"),
            "t: line 1: expected 'endfilter', found the end of the template");
  EXPECT_EQ(refusal("{% if x %}"), "t: line 1: expected 'endif', found the end of the template");
  EXPECT_EQ(refusal("{{ x"), "t: line 1: '{{' is not closed");
  EXPECT_EQ(refusal("{{ 017 }}"), "t: line 1: the number '017' begins with 0");
  for (const char* number : {"0x", "0b12", "0o8", "0xg", "1__0", "1_", "12abc"}) {
    EXPECT_THAT(refusal(std::string("{{ ") + number + " }}"), EndsWith("runs into a name"))
        << number;
  }
  for (const char* index : {"1,", "1:2,", ":,", ",1"}) {
    EXPECT_THAT(refusal(std::string("{{ x[") + index + "] }}"), HasSubstr("expected")) << index;
  }
}

// What is missing here is an error, with its line, where a branch leads to it, and else nothing.
TEST(JinjaTemplate, WhatIsNotSupportedFailsWhereItIsReached) {
  struct Missing {
    std::string source;
    std::string sentence;
  };
  for (const Missing& missing : std::vector<Missing>{
           {"{% include 'x' %}", "the tag 'include' is not supported"},
           {"{% filter upper %}a{% if b %}c{% endif %}{% endfilter %}",
            "the tag 'filter' is not supported"},
           {"{% call(x) f() %}a{% endcall %}", "the tag 'call' is not supported"},
           {"{% with a = 1, b = [2] %}{{ a }}{% endwith %}", "the tag 'with' is not supported"},
           {"{% block x %}a{% endblock x %}", "the tag 'block' is not supported"},
           {"{{ 1|frob(2)|trim }}", "the filter 'frob' is not supported"},
           {"{{ [1]|groupby('x') }}", "the filter 'groupby' is not supported"},
           {"{{ 1 is frob }}", "the test 'frob' is not supported"},
           {"{{ frob(1) }}", "'frob' is undefined, expected a function"},
           {"{{ '%s'.format(1) }}", "the method 'format' is not supported"},
           {"{{ 'a'.zfill(3) }}", "the method 'zfill' is not supported"},
           {"{% for i in [1] recursive %}{{ loop(i) }}{% endfor %}",
            "a recursive loop is not supported"},
           {"{% set x | upper %}a{% endset %}", "set with a filter is not supported"},
           {"{% for i in [1] %}{% macro f() %}{% endmacro %}{% endfor %}",
            "a macro inside a loop or a macro is not supported"},
           {"{{ ('a'|safe) + '<' }}",
            "safe and escape are supported as the last filter of '{{ }}' only"},
           {"{{ 9223372036854775808 }}",
            "the number '9223372036854775808' is not one that int64 holds"},
           {"{{ 0xFFFFFFFFFFFFFFFF }}",
            "the number '0xFFFFFFFFFFFFFFFF' is not one that int64 holds"},
           {"{{ [1][1:2, 3] }}", "a slice beside another index is not supported"},
           {"{{ range(*[1]) }}", "arguments with '*' are not supported"},
           {"{{ range(1, **{}) }}", "arguments with '*' are not supported"}}) {
    EXPECT_EQ(Rendered("\n" + missing.source), "t: line 2: " + missing.sentence);
    EXPECT_EQ(Rendered("{% if false %}" + missing.source + "{% endif %}x"), "x") << missing.source;
  }
}

TEST(JinjaTemplate, IntegersDoNotWrap) {
  for (const char* sum :
       {"9223372036854775807 + 1", "-9223372036854775807 - 2", "2 ** 63", "4000000000 * 4000000000",
        "(-9223372036854775807 - 1) // -1", "-(-9223372036854775807 - 1)"}) {
    const std::string found = Rendered(std::string("{{ (") + sum + ")|abs }}");
    EXPECT_THAT(found, HasSubstr(" is ")) << sum << " " << found;
  }
  EXPECT_EQ(Rendered("{{ (-9223372036854775807 - 1) % -1 }}"), "0");
  EXPECT_THAT(Rendered("{{ 1 / 0 }}"), EndsWith("a division by zero"));
}

TEST(JinjaTemplate, ToldWhenItRefuses) {
  EXPECT_EQ(Rendered("a\n{{ raise_exception('no\nway') }}"),
            "t: line 2: the template refuses: 'no\\x0away'");
}

// Names come out of strings, too, and those hold any bytes.
TEST(JinjaTemplate, NamesInErrorsAreSpelled) {
  const std::string is_undefined = R"(t: line 1: 'a\x0a\xff' is undefined)";
  EXPECT_EQ(Rendered("{{ {}['a\n\xff'].b }}"), is_undefined);
  EXPECT_EQ(Rendered("{{ {}['a\n\xff']() }}"), is_undefined + ", expected a function");
  EXPECT_EQ(Rendered("{{ [{}]|map(attribute='a\n\xff.b')|list }}"), is_undefined);
  EXPECT_THAT(Rendered("{{ " + std::string(2000, 'a') + ".b }}"), SizeIs(Lt(200)));
}

TEST(JinjaTemplate, TellsTheTimeItIsGiven) {
  EXPECT_EQ(Rendered("{{ strftime_now is defined }}"), "False");
  EXPECT_THAT(Rendered("{{ strftime_now('%d') }}"), HasSubstr("is undefined"));
  RenderOptions options;
  options.now = std::tm{};
  options.now->tm_mday = 3;
  options.now->tm_year = 126;
  EXPECT_EQ(Rendered("{{ strftime_now('%d %b %Y %%') }}", options), "03 Jan 2026 %");
  EXPECT_THAT(Rendered("{{ strftime_now('%10000d') }}", options), HasSubstr("'%1'"));
  EXPECT_THAT(Rendered("{{ strftime_now('%') }}", options), HasSubstr("'%' is not supported"));
}

}  // namespace
}  // namespace atom::chat::jinja
