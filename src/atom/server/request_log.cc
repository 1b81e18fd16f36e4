#include "atom/server/request_log.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <ctime>
#include <fmt/format.h>
#include <random>

namespace atom::server {

std::string NewId(std::string_view prefix) {
  std::random_device random;
  return fmt::format("{}{:08x}{:08x}{:08x}", prefix, random(), random(), random());
}

std::string RequestIdFor(const HttpHead& head) {
  constexpr size_t kLongest = 128;
  const std::string& id = head.request_id;
  const bool plain = std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == ':';
  });
  return !id.empty() && id.size() <= kLongest && plain ? id : NewId("req-");
}

void LogRequest(const RequestRecord& record, std::string_view ended, const ApiAnswer* answer) {
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc{};
  gmtime_r(&now, &utc);
  char time[32];
  std::strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%SZ", &utc);
  std::string line = fmt::format("{} {} {} {}", time, record.id, record.endpoint, ended);
  if (answer != nullptr) {
    const ApiAnswer::Counts counts = answer->counts();
    line += fmt::format(" {} prompt={} cached={} output={}", answer->FinishNames(), counts.prompt,
                        counts.cached, counts.output);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - record.arrival;
  line += fmt::format(" seconds={:.3f}", took.count());
  if (record.key.has_value()) line += fmt::format(" key={}", *record.key);
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace atom::server
