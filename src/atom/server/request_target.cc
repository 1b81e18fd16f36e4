#include "atom/server/request_target.h"

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <charconv>

namespace atom::server {
namespace {

std::optional<std::string> UndoPercents(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain += text[i];
      continue;
    }
    uint8_t byte = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (error != std::errc() || digits.size() != 2 || end != digits.data() + 2) return std::nullopt;
    plain += static_cast<char>(byte);
    i += 2;
  }
  return plain;
}

}  // namespace

std::optional<RequestTarget> ParseTarget(std::string_view target) {
  RequestTarget parsed;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!boost::beast::iequals(target.substr(0, scheme.size()), scheme)) continue;
    target.remove_prefix(scheme.size());
    const size_t end = std::min(target.find_first_of("/?"), target.size());
    parsed.authority = target.substr(0, end);
    target.remove_prefix(end);
    break;
  }
  std::optional<std::string> path = UndoPercents(target.substr(0, target.find('?')));
  if (!path) return std::nullopt;
  parsed.path = path->empty() && !parsed.authority.empty() ? "/" : *std::move(path);
  return parsed;
}

}  // namespace atom::server
