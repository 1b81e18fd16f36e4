#include "atom/bench/tokenizer_bench.h"

#include <ctime>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <utility>

#include "atom/bench/kernels/timing.h"
#include "atom/core/check.h"

namespace atom::bench {
namespace {

double ThreadSeconds() {
  timespec now{};
  ATOM_CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0, "no clock of threads");
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double Megabytes(int64_t bytes, const std::vector<double>& seconds) {
  return static_cast<double>(bytes) / Median(seconds) / 1e6;
}

}  // namespace

double TokenizerRow::EncodeMegabytes() const { return Megabytes(bytes, encode_seconds); }
double TokenizerRow::DecodeMegabytes() const { return Megabytes(bytes, decode_seconds); }

Result<TokenizerRow> MeasureTokenizer(const std::string& name,
                                      const tokenizer::Tokenizer& tokenizer, std::string_view text,
                                      int repeats) {
  TokenizerRow row{.name = name,
                   .kind = std::string(tokenizer.kind()),
                   .bytes = std::ssize(text),
                   .tokens = 0,
                   .encode_seconds = {},
                   .decode_seconds = {}};
  for (int i = -1; i < repeats; ++i) {  // the first one fills the caches
    const double start = ThreadSeconds();
    const Result<std::vector<int32_t>> ids =
        tokenizer.Encode(text, {.add_bos = false, .parse_special = true});
    const double encoded = ThreadSeconds();
    if (!ids.ok()) return ids.error();
    const std::string decoded = tokenizer.Decode(*ids);
    const double end = ThreadSeconds();
    row.tokens = std::ssize(*ids);
    if (i < 0) continue;
    row.encode_seconds.push_back(encoded - start);
    row.decode_seconds.push_back(end - encoded);
  }
  return row;
}

std::string TokenizerTableHeader() {
  return "| tokenizer | kind | tokens | bytes a token | encoded, MB/s | decoded, MB/s |\n"
         "| --- | --- | ---: | ---: | ---: | ---: |";
}

std::string TableLine(const TokenizerRow& row) {
  return fmt::format("| {} | {} | {} | {:.2f} | {:.1f} | {:.0f} |", row.name, row.kind, row.tokens,
                     static_cast<double>(row.bytes) / static_cast<double>(row.tokens),
                     row.EncodeMegabytes(), row.DecodeMegabytes());
}

nlohmann::json ToJson(const TokenizerRow& row) {
  return {{"tokenizer", row.name},
          {"kind", row.kind},
          {"bytes", row.bytes},
          {"tokens", row.tokens},
          {"encode_seconds", row.encode_seconds},
          {"decode_seconds", row.decode_seconds}};
}

}  // namespace atom::bench
