#include "atom/io/svg.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/core.h>
#include <string_view>

#include "atom/core/check.h"

namespace atom::io {
namespace {

// The page and the plot inside it, in SVG units; y grows downwards.
constexpr double kWidth = 960;
constexpr double kHeight = 540;
constexpr double kLeft = 80;
constexpr double kRight = 930;
constexpr double kTop = 84;
constexpr double kBottom = 470;
constexpr double kLabelHeight = 13;  // of a value in figures
// Figures are small, with a white rim that keeps them readable on top of a line.
constexpr std::string_view kFigureStyle =
    " font-size=\"11\" stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\"";
// Okabe and Ito's colours: told apart by colour-blind readers too.
constexpr std::array<std::string_view, 6> kColours = {"#0072b2", "#e69f00", "#009e73",
                                                      "#cc79a7", "#56b4e9", "#d55e00"};

std::string_view Colour(size_t series) { return kColours[series % kColours.size()]; }

std::string Escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else if (c == '&') {
      escaped += "&amp;";
    } else if (static_cast<unsigned char>(c) < 0x20) {  // most are no XML characters
      escaped += ' ';
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string Text(double x, double y, std::string_view anchor, std::string_view text,
                 std::string_view attributes = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y,
                     anchor, attributes, Escape(text));
}

// Four significant digits; large ones short: "48.40", "1234", "1.2e+05".
std::string Figures(double value) {
  if (std::isinf(value)) return "inf";
  if (value < 0) return fmt::format("-{}", Figures(-value));
  if (value >= 1e5) return fmt::format("{:.1e}", value);
  if (value >= 1000) return fmt::format("{:.0f}", value);
  return fmt::format("{:.{}f}", value, value >= 100 ? 1 : value >= 10 ? 2 : 3);
}

class Axis {
 public:
  Axis(const Chart& chart) : log_(chart.log_y) {
    std::vector<double> shown;
    const auto show = [&](double value) {
      if (std::isfinite(value) && (value > 0 || !log_)) shown.push_back(value);
    };
    for (const ChartSeries& series : chart.series) {
      for (size_t i = 0; i < series.values.size(); ++i) {
        show(series.values[i]);
        if (i < series.errors.size()) show(series.values[i] + series.errors[i]);
        if (i < series.errors.size()) show(series.values[i] - series.errors[i]);
      }
    }
    if (shown.empty()) shown = {1};
    const auto [least, most] = std::minmax_element(shown.begin(), shown.end());
    log_ ? ChooseLogTicks(*least, *most) : ChooseLinearTicks(*least, *most);
  }

  bool Shows(double value) const { return !std::isnan(value) && (value > 0 || !log_); }
  double Y(double value) const {
    if (std::isinf(value)) return kTop;
    const double low = Scaled(ticks_.front());
    return kBottom - (Scaled(value) - low) / (Scaled(ticks_.back()) - low) * (kBottom - kTop);
  }
  /// Where bars begin.
  double Foot() const { return log_ ? kBottom : Y(0.0); }
  const std::vector<double>& ticks() const { return ticks_; }

 private:
  double Scaled(double value) const { return log_ ? std::log10(value) : value; }

  // Zero is among them.
  void ChooseLinearTicks(double least, double most) {
    const double below = std::max(-least, 0.0);
    most = std::max(most, 0.0);
    // Five steps, room for the figures.
    const double rough = std::max(most + below, 1e-300) * 1.05 / 5;
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    double step = 10 * power;
    for (const double factor : {5.0, 2.0, 1.0}) {
      if (factor * power >= rough) step = factor * power;
    }
    const int first = -static_cast<int>(std::ceil(below * 1.02 / step));
    for (int i = first; i <= first + 1 || ticks_.back() < most * 1.02; ++i) {
      ticks_.push_back(i * step);
    }
  }

  // 1, 2 and 5 of each decade, or the decades alone if there are many.
  void ChooseLogTicks(double least, double most) {
    const bool many = most / least > 1e4;
    const double low = least * 0.93;
    const double high = most * 1.07;
    for (double power = std::pow(10.0, std::floor(std::log10(low)));; power *= 10) {
      for (const double factor : {1.0, 2.0, 5.0}) {
        if (many && factor != 1.0) continue;
        if (factor * power <= low) ticks_.clear();  // only the last one below stays
        ticks_.push_back(factor * power);
        if (factor * power >= high) return;
      }
    }
  }

  bool log_;
  std::vector<double> ticks_;  // ascending; the first and the last are the ends of the axis
};

double BandWidth(const Chart& chart) {
  return (kRight - kLeft) / static_cast<double>(std::max<size_t>(chart.categories.size(), 1));
}
double BandCentre(const Chart& chart, size_t category) {
  return kLeft + BandWidth(chart) * (static_cast<double>(category) + 0.5);
}

// Lines of so many categories have no room for figures.
bool Crowded(const Chart& chart) { return BandWidth(chart) < 34; }

// Every so many categories have room for their label.
size_t LabelStride(const Chart& chart) {
  size_t longest = 0;
  for (const std::string& label : chart.categories) longest = std::max(longest, label.size());
  const double width = 7.2 * static_cast<double>(longest) + 8;
  return static_cast<size_t>(std::max(1.0, std::ceil(width / BandWidth(chart))));
}

std::string Whiskers(const ChartSeries& series, size_t category, double x, const Axis& axis) {
  if (category >= series.errors.size()) return "";
  const double value = series.values[category];
  const double error = series.errors[category];
  if (!std::isfinite(error) || !axis.Shows(value - error) || !axis.Shows(value)) return "";
  const double high = axis.Y(value + error);
  const double low = axis.Y(value - error);
  return fmt::format(
      "<path d=\"M{0:.1f} {2:.1f}H{1:.1f}M{0:.1f} {3:.1f}H{1:.1f}M{4:.1f} {2:.1f}V{3:.1f}\" "
      "class=\"whisker\" fill=\"none\" stroke=\"#222222\"/>\n",
      x - 4, x + 4, high, low, x);
}

// Every bar has its label, slanted where they would touch; of lines, some have.
std::string CategoryLabels(const Chart& chart) {
  const size_t stride = LabelStride(chart);
  const bool slanted = stride > 1 && chart.style == ChartStyle::kBars;
  std::string svg;
  for (size_t i = 0; i < chart.categories.size(); i += slanted ? 1 : stride) {
    const double x = BandCentre(chart, i);
    svg += slanted
               ? Text(x + 4, kBottom + 14, "end", chart.categories[i],
                      fmt::format(" transform=\"rotate(-35 {:.1f} {:.1f})\"", x + 4, kBottom + 14))
               : Text(x, kBottom + 20, "middle", chart.categories[i]);
  }
  return svg;
}

std::string Frame(const Chart& chart, const Axis& axis) {
  std::string svg = Text(kLeft, 32, "start", chart.title, " font-size=\"18\" font-weight=\"bold\"");
  const double foot = chart.log_y ? axis.ticks().front() : 0.0;
  for (const double tick : axis.ticks()) {
    svg += fmt::format("<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n",
                       kLeft, kRight, axis.Y(tick), axis.Y(tick),
                       tick == foot ? "#444444" : "#dddddd");
    svg += Text(kLeft - 8, axis.Y(tick) + 4, "end", fmt::format("{:g}", tick));
  }
  svg += CategoryLabels(chart);
  const double middle = (kTop + kBottom) / 2;
  svg += Text(22, middle, "middle", chart.y_label + (chart.log_y ? " (log scale)" : ""),
              fmt::format(" transform=\"rotate(-90 22 {:.1f})\"", middle));
  return svg;
}

std::string Legend(const Chart& chart) {
  std::string svg;
  double x = kLeft;
  for (size_t s = 0; s < chart.series.size(); ++s) {
    svg += fmt::format(
        "<rect x=\"{:.1f}\" y=\"48\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{}\"/>\n", x,
        Colour(s));
    svg += Text(x + 18, 58, "start", chart.series[s].name);
    x += 42 + 7.2 * static_cast<double>(chart.series[s].name.size());
  }
  return svg;
}

std::string Bars(const Chart& chart, const Axis& axis) {
  std::string svg;
  const double bar = BandWidth(chart) * 0.8 / static_cast<double>(chart.series.size());
  const bool upright = bar >= 34;  // the figures fit beside each other
  for (size_t s = 0; s < chart.series.size(); ++s) {
    for (size_t i = 0; i < chart.categories.size(); ++i) {
      const double value = chart.series[s].values[i];
      if (!axis.Shows(value)) continue;
      const double x = BandCentre(chart, i) - BandWidth(chart) * 0.4 + bar * static_cast<double>(s);
      const double foot = axis.Foot();
      svg += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>\n",
          x + bar * 0.04, std::min(axis.Y(value), foot), bar * 0.92, std::abs(foot - axis.Y(value)),
          Colour(s));
      const double middle = x + bar / 2;
      svg += Whiskers(chart.series[s], i, middle, axis);
      const double error = i < chart.series[s].errors.size() ? chart.series[s].errors[i] : 0.0;
      const double y = std::min(axis.Y(value + (std::isfinite(error) ? error : 0.0)), foot);
      const std::string turned = fmt::format("{} transform=\"rotate(-90 {:.1f} {:.1f})\"",
                                             kFigureStyle, middle + 4, y - 4);
      svg += upright ? Text(middle, y - 4, "middle", Figures(value), kFigureStyle)
                     : Text(middle + 4, y - 4, "start", Figures(value), turned);
    }
  }
  return svg;
}

std::string Lines(const Chart& chart, const Axis& axis) {
  std::string svg;
  for (size_t s = 0; s < chart.series.size(); ++s) {
    std::string path;
    bool drawing = false;  // a missing value lifts the pen
    for (size_t i = 0; i < chart.categories.size(); ++i) {
      const double value = chart.series[s].values[i];
      if (axis.Shows(value)) {
        path += fmt::format("{}{:.1f} {:.1f} ", drawing ? 'L' : 'M', BandCentre(chart, i),
                            axis.Y(value));
        svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\"/>\n",
                           BandCentre(chart, i), axis.Y(value), Crowded(chart) ? 2 : 4, Colour(s));
        svg += Whiskers(chart.series[s], i, BandCentre(chart, i), axis);
      }
      drawing = axis.Shows(value);
    }
    svg += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n", path,
                       Colour(s));
  }
  return svg;
}

// The figures beside the marks of kLines, pushed apart where the marks are close.
std::string LineFigures(const Chart& chart, const Axis& axis) {
  if (Crowded(chart)) return "";
  struct Label {
    double y;
    size_t series;
  };
  std::string svg;
  for (size_t i = 0; i < chart.categories.size(); ++i) {
    std::vector<Label> labels;
    for (size_t s = 0; s < chart.series.size(); ++s) {
      const double value = chart.series[s].values[i];
      if (axis.Shows(value)) labels.push_back({axis.Y(value) - 8, s});
    }
    std::sort(labels.begin(), labels.end(),
              [](const Label& a, const Label& b) { return a.y > b.y; });
    double ceiling = kBottom;
    for (const Label& label : labels) {  // from the lowest upwards
      const double y = std::min(label.y, ceiling);
      ceiling = y - kLabelHeight;
      svg += Text(BandCentre(chart, i) + 7, y, "start",
                  Figures(chart.series[label.series].values[i]), kFigureStyle);
    }
  }
  return svg;
}

void CheckSeries(const Chart& chart) {
  for (const ChartSeries& series : chart.series) {
    ATOM_CHECK(series.values.size() == chart.categories.size(),
               "series {}: {} values, {} categories", series.name, series.values.size(),
               chart.categories.size());
    ATOM_CHECK(series.errors.empty() || series.errors.size() == series.values.size(),
               "series {}: {} values, {} errors", series.name, series.values.size(),
               series.errors.size());
    for (const double value : series.values) {
      ATOM_CHECK(!chart.log_y || !(value < 0), "series {} holds {}", series.name, value);
    }
  }
}

std::string Body(const Chart& chart) {
  CheckSeries(chart);
  const Axis axis(chart);
  std::string svg = Frame(chart, axis) + Legend(chart);
  if (chart.style == ChartStyle::kBars && !chart.series.empty()) svg += Bars(chart, axis);
  if (chart.style == ChartStyle::kLines) svg += Lines(chart, axis) + LineFigures(chart, axis);
  return svg;
}

/// Around the bodies of charts that are `height` units high in all.
std::string Document(std::string_view title, double height, std::string_view bodies) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
      "height=\"{1}\" role=\"img\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" "
      "font-size=\"12\" fill=\"#222222\">\n<title>{2}</title>\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n{3}</svg>\n",
      kWidth, height, Escape(title), bodies);
}

}  // namespace

std::string RenderSvg(const Chart& chart) { return Document(chart.title, kHeight, Body(chart)); }

std::string RenderSvg(std::span<const Chart> panels) {
  std::string bodies;
  std::string title;
  double top = 0.0;
  for (const Chart& panel : panels) {
    bodies += fmt::format("<g transform=\"translate(0 {})\">\n{}</g>\n", top, Body(panel));
    title += (title.empty() ? "" : "; ") + panel.title;
    top += kHeight;
  }
  return Document(title, top, bodies);
}

}  // namespace atom::io
