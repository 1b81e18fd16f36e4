#include "atom/grammar/json_schema/string_formats.h"

#include <algorithm>
#include <array>

namespace atom::grammar {
namespace {

struct Format {
  std::string_view name;
  std::string_view pattern;
};

// RFC 3339, 4122 and 5321, and of a name RFC 1123: labels of at most 63 letters, digits and
// hyphens.
constexpr auto kFormats = std::to_array<Format>({
    {"date-time",
     "^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|"
     "02-(0[1-9]|1[0-9]|2[0-8]))T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?"
     "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"},
    {"date",
     "^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|"
     "02-(0[1-9]|1[0-9]|2[0-8]))$"},
    {"time",
     "^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?"
     "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"},
    {"duration",
     "^P([0-9]{1,9}W|[0-9]{1,9}D|([0-9]{1,9}Y([0-9]{1,9}M([0-9]{1,9}D)?)?|"
     "[0-9]{1,9}M([0-9]{1,9}D)?|[0-9]{1,9}D)?T([0-9]{1,9}H([0-9]{1,9}M([0-9]{1,9}S)?)?|"
     "[0-9]{1,9}M([0-9]{1,9}S)?|[0-9]{1,9}S)|[0-9]{1,9}Y([0-9]{1,9}M([0-9]{1,9}D)?)?|"
     "[0-9]{1,9}M([0-9]{1,9}D)?)$"},
    {"email",
     "^[A-Za-z0-9_+-]{1,20}(\\.[A-Za-z0-9_+-]{1,20}){0,2}@"
     "([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\\.){1,3}[A-Za-z]{2,63}$"},
    {"hostname",
     "^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
     "(\\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?){0,2}$"},
    {"ipv4",
     "^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}"
     "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])$"},
    {"ipv6", "^([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}$"},
    {"uuid", "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"},
});

}  // namespace

std::optional<std::string_view> FindFormat(std::string_view name) {
  const auto* const found = std::find_if(kFormats.begin(), kFormats.end(),
                                         [&](const Format& format) { return format.name == name; });
  if (found == kFormats.end()) return std::nullopt;
  return found->pattern;
}

}  // namespace atom::grammar
