#include "atom/tokenizer/regex.h"

#include <array>
#include <cstdlib>
#include <oniguruma.h>
#include <utility>

#include "atom/io/quote.h"
#include "atom/tokenizer/oniguruma.h"
#include "atom/tokenizer/regex_meter.h"
#include "atom/tokenizer/unicode.h"

namespace atom::tokenizer {
namespace {

// Entries of about 50 bytes; a greedy scan takes one for each character.
constexpr unsigned kMaxStackEntries = 1u << 22;
// Oniguruma's own counts are not needed beside the steps.
constexpr unsigned long kNoLimit = ~0ul;
constexpr int kStepsUsedUp = -1000;  // none of Oniguruma's codes
// Characters of 1, 2 and 3 bytes that are neither letter, number nor space.
constexpr std::array<std::string_view, 3> kInPlaceOfIllFormed = {"\x1A", "\xC2\x80",
                                                                 "\xEF\xBF\xBD"};

const OnigUChar* Bytes(std::string_view text) {
  return reinterpret_cast<const OnigUChar*>(text.data());
}

struct Meter {
  uint64_t left;
  uint64_t step_cost;
  ptrdiff_t last;  // byte of the text at which the search was at the last mark
};

// At every mark: what a step costs, and one for each byte that was gone since the last one.
int CountSteps(OnigCalloutArgs* args, void* user_data) {
  Meter& meter = *static_cast<Meter*>(user_data);
  const ptrdiff_t current =
      onig_get_current_by_callout_args(args) - onig_get_string_by_callout_args(args);
  const uint64_t steps = meter.step_cost + static_cast<uint64_t>(std::abs(current - meter.last));
  meter.last = current;
  if (steps > meter.left) return kStepsUsedUp;
  meter.left -= steps;
  return ONIG_CALLOUT_SUCCESS;
}

struct FreeParam {
  void operator()(OnigMatchParam* param) const { onig_free_match_param(param); }
};
struct FreeRegion {
  void operator()(OnigRegion* region) const { onig_region_free(region, 1); }
};

std::string DescribeOnigError(int code, OnigErrorInfo* info) {
  std::array<OnigUChar, ONIG_MAX_ERROR_MESSAGE_LEN> buffer;
  const int length = onig_error_code_to_str(buffer.data(), code, info);
  return std::string(reinterpret_cast<const char*>(buffer.data()), static_cast<size_t>(length));
}

// As long as `text`: positions stay.
std::string ReplaceIllFormed(std::string_view text) {
  std::string valid(text);
  for (size_t pos = FindInvalid(text, 0); pos < text.size(); pos = FindInvalid(text, pos)) {
    const size_t length = NextChar(text, pos).length;
    valid.replace(pos, length, kInPlaceOfIllFormed[length - 1]);
    pos += length;
  }
  return valid;
}

}  // namespace

struct Regex::Compiled {
  ~Compiled() {
    if (regex != nullptr) onig_free(regex);
  }
  OnigRegex regex = nullptr;
  uint64_t step_cost = 1;
  std::string source;
  std::string quoted;  // the expression as it was given
};

Regex::Regex(std::unique_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Result<Regex> Regex::Compile(std::string_view regex, const std::string& source) {
  InitializeOniguruma();
  if (FindInvalid(regex, 0) != regex.size()) {
    return MakeError("{}: the regular expression {} is not UTF-8", source, io::Quote(regex));
  }
  const Result<MeteredRegex> metered = AddMeter(regex, source);
  if (!metered.ok()) return metered.error();
  const std::string& marked = metered->regex;
  auto compiled = std::make_unique<Compiled>();
  compiled->step_cost = static_cast<uint64_t>(metered->step_cost);
  compiled->source = source;
  compiled->quoted = io::Quote(regex);
  OnigErrorInfo info{};
  const int code = onig_new(&compiled->regex, Bytes(marked), Bytes(marked) + marked.size(),
                            ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, ONIG_SYNTAX_ONIGURUMA, &info);
  if (code == ONIG_NORMAL) return Regex(std::move(compiled));
  compiled->regex = nullptr;
  return MakeError("{}: the regular expression {} is refused by Oniguruma: {}", source,
                   io::Quote(regex), io::Quote(DescribeOnigError(code, &info)));
}

Status Regex::FindAll(std::string_view text, RegexSteps& steps,
                      std::vector<RegexMatch>& matches) const {
  if (text.empty()) return {};
  std::string valid;
  if (FindInvalid(text, 0) != text.size()) text = valid = ReplaceIllFormed(text);
  const OnigUChar* const begin = Bytes(text);
  const OnigUChar* const end = begin + text.size();
  Meter meter{steps.left, compiled_->step_cost, 0};
  const std::unique_ptr<OnigMatchParam, FreeParam> param(onig_new_match_param());
  onig_set_progress_callout_of_match_param(param.get(), CountSteps);
  onig_set_callout_user_data_of_match_param(param.get(), &meter);
  onig_set_match_stack_limit_size_of_match_param(param.get(), kMaxStackEntries);
  onig_set_retry_limit_in_match_of_match_param(param.get(), kNoLimit);
  const std::unique_ptr<OnigRegion, FreeRegion> region(onig_region_new());

  bool matched = false;  // and where `pos` is
  for (size_t pos = 0; pos <= text.size();) {
    const int found = onig_search_with_param(compiled_->regex, begin, end, begin + pos, end,
                                             region.get(), ONIG_OPTION_NONE, param.get());
    if (found == ONIG_MISMATCH) break;
    if (found < 0) {
      steps.left = meter.left;
      return MakeError(
          "{}: the regular expression {} fails on a text of {} bytes: {}", compiled_->source,
          compiled_->quoted, text.size(),
          found == kStepsUsedUp ? "it takes too many steps" : DescribeOnigError(found, nullptr));
    }
    const RegexMatch match{static_cast<size_t>(region->beg[0]),
                           static_cast<size_t>(region->end[0])};
    if (match.begin == match.end && matched && match.end == pos) {
      pos += pos < text.size() ? NextChar(text, pos).length : 1;
      matched = false;
      continue;
    }
    matches.push_back(match);
    pos = match.end;
    matched = true;
  }
  steps.left = meter.left;
  return {};
}

}  // namespace atom::tokenizer
