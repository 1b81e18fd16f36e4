#include "atom/bench/serving/request_trace.h"

#include <array>
#include <charconv>
#include <chrono>
#include <optional>

#include "atom/io/json.h"
#include "atom/io/quote.h"

namespace atom::bench {
namespace {

constexpr std::string_view kHeader = "TIMESTAMP,ContextTokens,GeneratedTokens";
constexpr std::string_view kTimeForm = "0000-00-00 00:00:00";
constexpr int64_t kMaxBytes = int64_t{1} << 30;
constexpr int64_t kMaxTokens = int64_t{1} << 24;

template <class T>
std::optional<T> ParseNumber(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Seconds since 1970 of "2023-11-16 18:15:46.6805900"; the fraction may be absent.
std::optional<double> ParseTime(std::string_view text) {
  const std::string_view form = text.substr(0, kTimeForm.size());
  if (form.size() != kTimeForm.size()) return std::nullopt;
  for (size_t i = 0; i < form.size(); ++i) {
    const bool digit = form[i] >= '0' && form[i] <= '9';
    if (kTimeForm[i] == '0' ? !digit : form[i] != kTimeForm[i]) return std::nullopt;
  }
  const auto part = [&](size_t at, size_t size) {
    return *ParseNumber<int>(form.substr(at, size));
  };
  const std::chrono::year_month_day date{std::chrono::year(part(0, 4)),
                                         std::chrono::month(static_cast<unsigned>(part(5, 2))),
                                         std::chrono::day(static_cast<unsigned>(part(8, 2)))};
  const int hour = part(11, 2);
  const int minute = part(14, 2);
  const int second = part(17, 2);
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  double fraction = 0.0;
  if (const std::string_view rest = text.substr(kTimeForm.size()); !rest.empty()) {
    if (rest.size() < 2 || rest.front() != '.' || rest.size() > 10) return std::nullopt;
    double place = 0.1;
    for (const char c : rest.substr(1)) {
      if (c < '0' || c > '9') return std::nullopt;
      fraction += place * (c - '0');
      place /= 10;
    }
  }
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return static_cast<double>(days) * 86400.0 + hour * 3600 + minute * 60 + second + fraction;
}

std::optional<int64_t> ParseTokens(std::string_view text) {
  const std::optional<int64_t> tokens = ParseNumber<int64_t>(text);
  return tokens && *tokens >= 1 && *tokens <= kMaxTokens ? tokens : std::nullopt;
}

std::optional<TraceRow> ParseRow(std::string_view line) {
  const size_t first = line.find(',');
  if (first == std::string_view::npos) return std::nullopt;
  const size_t second = line.find(',', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const std::optional<double> time = ParseTime(line.substr(0, first));
  const std::optional<int64_t> prompt = ParseTokens(line.substr(first + 1, second - first - 1));
  const std::optional<int64_t> output = ParseTokens(line.substr(second + 1));
  if (!time || !prompt || !output) return std::nullopt;
  return TraceRow{.seconds = *time, .lengths = {.prompt = *prompt, .output = *output}};
}

std::string_view NextLine(std::string_view& text) {
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

Result<std::vector<TraceRow>> ParseTrace(std::string_view text, const std::string& source) {
  const std::string_view header = NextLine(text);
  if (header != kHeader) {
    return MakeError("{}: expected the columns {}, found {}", source, kHeader, io::Quote(header));
  }
  std::vector<TraceRow> rows;
  double start = 0.0;
  for (int64_t number = 2; !text.empty(); ++number) {
    const std::string_view line = NextLine(text);
    if (line.empty() && text.empty()) break;
    std::optional<TraceRow> row = ParseRow(line);
    if (!row) {
      return MakeError(
          "{}, line {}: expected a time such as 2023-11-16 18:15:46.68 and two numbers from 1 to "
          "{}, found {}",
          source, number, kMaxTokens, io::Quote(line));
    }
    if (rows.empty()) start = row->seconds;
    row->seconds -= start;
    if (!rows.empty() && row->seconds < rows.back().seconds) {
      return MakeError("{}, line {}: expected no time before that of the line above, found {}",
                       source, number, io::Quote(line));
    }
    rows.push_back(*row);
  }
  if (rows.empty()) return MakeError("{}: expected at least one row, found none", source);
  return rows;
}

Result<std::vector<TraceRow>> ReadTrace(const std::filesystem::path& path) {
  const Result<std::string> text = io::ReadFile(path, kMaxBytes);
  if (!text.ok()) return text.error();
  return ParseTrace(*text, path.string());
}

}  // namespace atom::bench
