#include "atom/io/utf8.h"

#include <algorithm>
#include <array>
#include <optional>

namespace atom::io {
namespace {

using std::string_view_literals::operator""sv;

struct Magic {
  std::string_view bytes;
  std::string_view name;
};
constexpr auto kMagics = std::to_array<Magic>({{"\x1f\x8b"sv, "compressed (gzip)"},
                                               {"\x28\xb5\x2f\xfd"sv, "compressed (zstd)"},
                                               {"\xfd\x37zXZ"sv, "compressed (xz)"},
                                               {"PK\x03\x04"sv, "a zip archive"},
                                               {"PAR1"sv, "a Parquet file"},
                                               {"%PDF-"sv, "a PDF file"}});

/// Not in a text, but for white space and escapes.
bool IsControl(char c) {
  return static_cast<unsigned char>(c) < 0x20 && (c < '\t' || c > '\r') && c != '\x1b';
}

/// By its byte-order mark, or by the bytes below a space that letters have in UTF-16 (at even or
/// odd places) and in UTF-32 (two next to each other in four).
std::optional<std::string_view> WideEncoding(std::string_view text) {
  if (text.starts_with("\xff\xfe\0\0"sv) || text.starts_with("\0\0\xfe\xff"sv)) return "UTF-32";
  if (text.starts_with("\xff\xfe"sv) || text.starts_with("\xfe\xff"sv)) return "UTF-16";
  constexpr size_t kSample = 4096;
  const std::string_view sample = text.substr(0, std::min(text.size(), kSample));
  std::array<size_t, 4> controls = {};  // by place
  for (size_t i = 0; i < sample.size(); ++i) controls[i % 4] += IsControl(sample[i]) ? 1 : 0;
  const auto many = [&](size_t place) { return 8 * controls[place] > sample.size(); };
  if ((many(0) && many(1)) || (many(2) && many(3))) return "UTF-32";
  const size_t even = controls[0] + controls[2];
  const size_t odd = controls[1] + controls[3];
  const size_t most = std::max(even, odd);
  if (4 * most > sample.size() && 16 * std::min(even, odd) < most) return "UTF-16";
  return std::nullopt;
}

}  // namespace

size_t Utf8SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90);
  const bool surrogate = lead == 0xed && byte(1) > 0x9f;
  const bool beyond = lead == 0xf4 && byte(1) > 0x8f;
  return overlong || surrogate || beyond ? 0 : length;
}

size_t FirstInvalidUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = Utf8SequenceLength(text.substr(i));
    if (length == 0) return i;
    i += length;
  }
  return std::string_view::npos;
}

Status CheckUtf8(std::string_view text, const std::string& source) {
  for (const Magic& magic : kMagics) {
    if (!text.starts_with(magic.bytes)) continue;
    return MakeError("{}: is {}, expected text in UTF-8", source, magic.name);
  }
  if (const std::optional<std::string_view> wide = WideEncoding(text)) {
    return MakeError("{}: is {}, expected UTF-8: convert it first (iconv -f {} -t UTF-8)", source,
                     *wide, *wide);
  }
  const size_t bad = FirstInvalidUtf8(text);
  if (bad == std::string_view::npos) return {};
  return MakeError(
      "{}: has the byte 0x{:02x} at offset {}, which is no UTF-8; it looks like an encoding of "
      "single bytes as Latin-1, expected UTF-8: convert it first (iconv -f LATIN1 -t UTF-8)",
      source, static_cast<unsigned char>(text[bad]), bad);
}

}  // namespace atom::io
