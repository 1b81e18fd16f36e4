#include "atom/core/progress.h"

#include <algorithm>
#include <cstdio>
#include <fmt/core.h>
#include <unistd.h>

namespace atom {
namespace {

constexpr int kBarWidth = 24;
constexpr auto kRedraw = std::chrono::milliseconds(100);

}  // namespace

Progress::Progress(std::string label, int64_t total)
    : label_(std::move(label)),
      total_(std::max<int64_t>(total, 1)),
      visible_(isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      drawn_(start_ - kRedraw) {}

Progress::~Progress() {
  if (visible_) std::fputs("\r\x1b[K", stderr);
}

void Progress::Update(int64_t done, const std::string& detail) {
  done_ = done;
  if (!visible_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - drawn_ < kRedraw && done < total_) return;
  drawn_ = now;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  fmt::print(stderr, "\r{}\x1b[K", Line(label_, done, total_, elapsed, detail));
  std::fflush(stderr);
}

std::string Progress::Line(const std::string& label, int64_t done, int64_t total,
                           double elapsed_seconds, const std::string& detail) {
  const double fraction =
      std::clamp(static_cast<double>(done) / static_cast<double>(total), 0., 1.);
  const int filled = static_cast<int>(fraction * kBarWidth);
  std::string bar(static_cast<size_t>(filled), '#');
  bar.resize(kBarWidth, '-');
  std::string eta;
  if (done > 0 && done < total) {
    const auto left = static_cast<int64_t>(elapsed_seconds * (1.0 - fraction) / fraction + 0.5);
    eta = fmt::format("  {}:{:02} left", left / 60, left % 60);
  }
  return fmt::format("{}  [{}] {:3.0f} %{}{}{}", label, bar, 100.0 * fraction, eta,
                     detail.empty() ? "" : "  ", detail);
}

}  // namespace atom
