#include "atom/server/api_keys.h"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "atom/io/json.h"

namespace atom::server {
namespace {

constexpr int64_t kMostFileBytes = int64_t{1} << 20;

}  // namespace

Result<ApiKeys> ApiKeys::Load(const std::filesystem::path& path) {
  const Result<std::string> text = io::ReadFile(path, kMostFileBytes);
  if (!text.ok()) return text.error();
  ApiKeys keys;
  std::istringstream lines(*text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back())) != 0) {
      line.pop_back();
    }
    if (line.empty() || line.front() == '#') continue;
    if (Status s = keys.Add(line); !s.ok()) {
      return MakeError("{}:{}: {}", path.string(), number, s.error().message);
    }
  }
  if (keys.empty()) return MakeError("{}: has no key, expected one a line", path.string());
  return keys;
}

Status ApiKeys::Add(std::string_view key) {
  const bool printable =
      std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (key.empty() || key.size() > kLongest || !printable) {
    return MakeError("expected a key of 1 to {} printable characters without spaces", kLongest);
  }
  keys_.push_back(Pad(key));
  return {};
}

ApiKeys::Padded ApiKeys::Pad(std::string_view key) {
  Padded padded;
  padded.fill(-1);
  std::transform(key.begin(), key.end(), padded.begin(),
                 [](char c) { return static_cast<unsigned char>(c); });
  return padded;
}

std::optional<size_t> ApiKeys::Find(std::string_view authorization) const {
  constexpr std::string_view kScheme = "Bearer ";
  const bool bearer = std::ranges::equal(  // a scheme is the same in any case
      authorization.substr(0, kScheme.size()), kScheme,
      [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
  if (!bearer) return std::nullopt;
  authorization.remove_prefix(kScheme.size());
  if (authorization.size() > kLongest) return std::nullopt;
  const Padded brought = Pad(authorization);
  std::optional<size_t> found;
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (SameThroughout(keys_[i], brought)) found = i;
  }
  return found;
}

}  // namespace atom::server
