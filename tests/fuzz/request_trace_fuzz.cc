// Any bytes as a recorded load: refused with a sentence, or rows in the order of time.
#include <cmath>
#include <cstdint>

#include "atom/bench/serving/request_trace.h"

#include "error_sentence.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto rows = atom::bench::ParseTrace(text, "input");
  if (!rows.ok()) {
    atom::fuzz::CheckSentence(rows.error());
    return 0;
  }
  ATOM_CHECK(!rows->empty() && rows->front().seconds == 0.0, "{} rows", rows->size());
  double before = 0.0;
  for (const atom::bench::TraceRow& row : *rows) {
    ATOM_CHECK(std::isfinite(row.seconds) && row.seconds >= before, "{} s", row.seconds);
    ATOM_CHECK(row.lengths.prompt >= 1 && row.lengths.output >= 1, "{} {}", row.lengths.prompt,
               row.lengths.output);
    before = row.seconds;
  }
  return 0;
}
