// A chart as SVG text: labelled categories from left to right, one or more series, a linear or
// logarithmic y axis, a legend and the values in figures where there is room for them. Draws the
// ladder of `atom ablate` and the page of `atom eval --compare`; needs no library to make and
// nothing but a browser to look at.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace atom::io {

struct ChartSeries {
  std::string name;
  /// One value a category. NaN is missing and leaves a hole, as does a value <= 0 on a logarithmic
  /// axis; +infinity is drawn at the upper end and marked.
  std::vector<double> values;
  /// Standard errors, drawn as whiskers of one up and down; empty, or one value a category, NaN
  /// where there is none.
  std::vector<double> errors = {};
};

enum class ChartStyle {
  kBars,   ///< groups of bars, from zero or, on a logarithmic axis, from its lower end
  kLines,  ///< marks joined by lines
};

struct Chart {
  std::string title;
  std::string y_label;
  std::vector<std::string> categories;
  std::vector<ChartSeries> series;
  ChartStyle style = ChartStyle::kBars;
  bool log_y = false;
};

/// A complete SVG document of 960 × 540 units, valid XML if the texts are valid UTF-8. Values on a
/// logarithmic axis must not be negative, and each series must have one value a category (checked).
std::string RenderSvg(const Chart& chart);
/// The same of several charts, one below the other.
std::string RenderSvg(std::span<const Chart> panels);

}  // namespace atom::io
