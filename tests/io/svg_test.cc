#include "atom/io/svg.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <regex>

namespace atom::io {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

Chart Ladder() {
  return {"Ladder",
          "perplexity",
          {"fp", "base", "gptq"},
          {{"wiki", {50.0, 5000.0, 55.5}}, {"books", {20.0, 400.0, 21.0}}},
          ChartStyle::kBars,
          true};
}

size_t Count(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

// The tops of the bars (which are drawn with a fill and without rounded corners), in order.
std::vector<double> BarTops(const std::string& svg) {
  std::vector<double> tops;
  const std::regex bar("<rect x=\"[0-9.]+\" y=\"([0-9.]+)\" width=\"[0-9.]+\" height=\"[0-9.]+\"");
  for (std::sregex_iterator it(svg.begin(), svg.end(), bar), end; it != end; ++it) {
    if (it->str().find("rx=") == std::string::npos && (*it)[1] != "48") {
      tops.push_back(std::stod((*it)[1]));
    }
  }
  return tops;
}

TEST(SvgTest, HoldsEveryLabelAndValue) {
  const std::string svg = RenderSvg(Ladder());
  EXPECT_THAT(svg, AllOf(StartsWith("<svg "), EndsWith("</svg>\n")));
  for (const char* text : {">Ladder<", ">perplexity (log scale)<", ">fp<", ">base<", ">gptq<",
                           ">wiki<", ">books<", ">50.00<", ">5000<", ">55.50<", ">400.0<"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
}

TEST(SvgTest, LogScale) {
  Chart chart = Ladder();
  chart.series = {{"s", {10.0, 100.0, 1000.0}}};
  const std::vector<double> tops = BarTops(RenderSvg(chart));
  ASSERT_EQ(tops.size(), 3u);
  EXPECT_NEAR(tops[0] - tops[1], tops[1] - tops[2], 0.11);
  EXPECT_GT(tops[0] - tops[1], 50);
}

TEST(SvgTest, LinearScaleStartsAtZero) {
  Chart chart = Ladder();
  chart.log_y = false;
  chart.series = {{"s", {10.0, 20.0, 0.0}}};
  const std::string svg = RenderSvg(chart);
  const std::vector<double> tops = BarTops(svg);
  ASSERT_EQ(tops.size(), 3u);
  EXPECT_NEAR(tops[2] - tops[0], tops[0] - tops[1], 0.11);
  EXPECT_THAT(svg, Not(HasSubstr("log scale")));
}

TEST(SvgTest, NegativeBarsHangFromZero) {
  Chart chart = Ladder();
  chart.log_y = false;
  chart.series = {{"s", {10.0, -10.0, 5.0}}};
  const std::string svg = RenderSvg(chart);
  const std::vector<double> tops = BarTops(svg);
  ASSERT_EQ(tops.size(), 3u);
  EXPECT_LT(tops[0], tops[2]);
  EXPECT_NEAR(tops[1] - tops[2], tops[2] - tops[0],
              0.11);  // zero lies as far below 5 as 5 below 10
  EXPECT_THAT(svg, AllOf(HasSubstr(">-10.00<"), HasSubstr(">-10<")));
}

TEST(SvgTest, StandardErrorsAreWhiskers) {
  Chart chart = Ladder();
  chart.log_y = false;
  chart.series = {{"s", {10.0, 20.0, 30.0}, {1.0, NAN, 2.0}}};
  EXPECT_EQ(Count(RenderSvg(chart), "class=\"whisker\""), 2u);
  chart.style = ChartStyle::kLines;
  EXPECT_EQ(Count(RenderSvg(chart), "class=\"whisker\""), 2u);
}

TEST(SvgTest, ManyCategoriesHaveSomeLabelsAndNoFigures) {
  Chart chart = Ladder();
  chart.style = ChartStyle::kLines;
  chart.log_y = false;
  chart.categories.clear();
  chart.series = {{"s", {}}};
  for (int i = 0; i < 100; ++i) {
    chart.categories.push_back(std::to_string(1000 + i));
    chart.series[0].values.push_back(7.77);
  }
  const std::string svg = RenderSvg(chart);
  EXPECT_THAT(svg, AllOf(HasSubstr(">1000<"), Not(HasSubstr(">1001<")), Not(HasSubstr("7.770"))));
  EXPECT_EQ(Count(svg, "<circle"), 100u);
}

TEST(SvgTest, EveryBarHasItsLabelSlantedWhereTheyAreMany) {
  Chart chart = Ladder();
  EXPECT_THAT(RenderSvg(chart), Not(HasSubstr("rotate(-35")));
  chart.categories.clear();
  chart.series = {{"s", {}}};
  for (int i = 0; i < 20; ++i) {
    chart.categories.push_back("row-scales-" + std::to_string(i));
    chart.series[0].values.push_back(2.0);
  }
  const std::string svg = RenderSvg(chart);
  EXPECT_EQ(Count(svg, ">row-scales-"), 20u);
  EXPECT_EQ(Count(svg, "rotate(-35"), 20u);
}

TEST(SvgTest, MissingInfiniteAndZero) {
  Chart chart = Ladder();
  chart.series = {{"s", {NAN, INFINITY, 0.0}}};
  const std::string svg = RenderSvg(chart);
  EXPECT_EQ(BarTops(svg).size(), 1u);
  EXPECT_THAT(svg, AllOf(HasSubstr(">inf<"), Not(HasSubstr("nan"))));
}

TEST(SvgTest, LinesLiftThePenOverHoles) {
  Chart chart = Ladder();
  chart.style = ChartStyle::kLines;
  chart.categories = {"a", "b", "c", "d"};
  chart.series = {{"s", {1.0, 2.0, NAN, 4.0}}};
  const std::string svg = RenderSvg(chart);
  EXPECT_EQ(Count(svg, "<circle"), 3u);
  const std::smatch path = [&] {
    std::smatch match;
    std::regex_search(svg, match, std::regex("<path d=\"([^\"]*)\""));
    return match;
  }();
  ASSERT_FALSE(path.empty());
  EXPECT_EQ(Count(path[1], "M"), 2u);
  EXPECT_EQ(Count(path[1], "L"), 1u);
}

TEST(SvgTest, EscapesAndSurvivesNothing) {
  Chart chart = Ladder();
  chart.title = "a<b & \"c\">\n";
  EXPECT_THAT(RenderSvg(chart), HasSubstr("a&lt;b &amp; \"c\"&gt; "));
  EXPECT_THAT(RenderSvg(Chart{}), EndsWith("</svg>\n"));
}

TEST(SvgDeathTest, SeriesOfTheWrongLength) {
  Chart chart = Ladder();
  chart.series[1].values.pop_back();
  EXPECT_DEATH((void)RenderSvg(chart), "series books: 2 values, 3 categories");
  chart.series[1].values.push_back(-1.0);
  EXPECT_DEATH((void)RenderSvg(chart), "series books holds -1");
  chart.series[1].errors = {1.0};
  EXPECT_DEATH((void)RenderSvg(chart), "series books: 3 values, 1 errors");
}

TEST(SvgTest, PanelsStandBelowEachOther) {
  Chart second = Ladder();
  second.title = "Second";
  const std::vector<Chart> panels = {Ladder(), second};
  const std::string svg = RenderSvg(std::span<const Chart>(panels));
  EXPECT_THAT(svg, AllOf(StartsWith("<svg "), EndsWith("</svg>\n"),
                         HasSubstr("<title>Ladder; Second</title>"),
                         HasSubstr("viewBox=\"0 0 960 1080\"")));
  EXPECT_EQ(Count(svg, "<svg "), 1u);
  EXPECT_EQ(Count(svg, "<g transform="), 2u);
  EXPECT_THAT(svg, HasSubstr("translate(0 540)"));
  // Each panel is what it is alone, so the bars come twice.
  std::vector<double> tops = BarTops(RenderSvg(Ladder()));
  const std::vector<double> once = tops;
  tops.insert(tops.end(), once.begin(), once.end());
  EXPECT_EQ(BarTops(svg), tops);
}

}  // namespace
}  // namespace atom::io
