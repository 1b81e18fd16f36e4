#include "atom/bench/serving/service_url.h"

#include <charconv>
#include <fmt/core.h>

#include "atom/io/quote.h"

namespace atom::bench {

std::string ServiceUrl::HostHeader() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  return fmt::format("{}:{}", is_v6 ? "[" + host + "]" : host, port);
}

Result<ServiceUrl> ParseServiceUrl(std::string_view text) {
  const Error error =
      MakeError("--url: expected a URL such as http://127.0.0.1:8080, found {}", io::Quote(text));
  constexpr std::string_view kScheme = "http://";
  if (!text.starts_with(kScheme)) return error;
  std::string_view rest = text.substr(kScheme.size());
  ServiceUrl url;
  if (const size_t slash = rest.find('/'); slash != std::string_view::npos) {
    url.path = rest.substr(slash);
    while (url.path.ends_with('/')) url.path.pop_back();
    rest = rest.substr(0, slash);
  }
  const size_t bracket = rest.starts_with('[') ? rest.find(']') : std::string_view::npos;
  if (rest.starts_with('[') && bracket == std::string_view::npos) return error;
  const size_t colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon != std::string_view::npos) {
    const std::string_view port = rest.substr(colon + 1);
    const auto [end, code] = std::from_chars(port.data(), port.data() + port.size(), url.port);
    const bool whole = code == std::errc() && end == port.data() + port.size();
    if (!whole || url.port < 1 || url.port > 65535) return error;
    rest = rest.substr(0, colon);
  }
  if (bracket != std::string_view::npos) {
    if (bracket + 1 != rest.size()) return error;
    rest = rest.substr(1, bracket - 1);
  }
  for (const char c : rest) {
    if (c <= ' ' || c == '@') return error;
  }
  if (rest.empty()) return error;
  url.host = rest;
  return url;
}

}  // namespace atom::bench
