// Any bytes as the streamed answer to a load: one record, the same in whatever pieces they come,
// and a sentence where something is wrong.
#include <cstdint>

#include "atom/bench/serving/completion_record.h"

#include "error_sentence.h"

namespace {

using atom::bench::CompletionRecord;

CompletionRecord Read(std::string_view body, size_t piece) {
  CompletionRecord record;
  atom::bench::CompletionReader reader(record);
  for (size_t at = 0; at < body.size(); at += piece) reader.Push(body.substr(at, piece), 1.0);
  reader.Finish(2.0);
  return record;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const CompletionRecord whole = Read(body, body.size() + 1);
  const CompletionRecord pieces = Read(body, 3);
  if (!whole.ok()) atom::fuzz::CheckSentence({whole.error});
  ATOM_CHECK(whole.failure == pieces.failure && whole.error == pieces.error, "{}, in pieces {}",
             whole.error, pieces.error);
  ATOM_CHECK(whole.prompt_tokens >= 0 && whole.output_tokens >= 0, "{} {}", whole.prompt_tokens,
             whole.output_tokens);
  ATOM_CHECK(whole.output_tokens == pieces.output_tokens && whole.gaps.size() == pieces.gaps.size(),
             "{} tokens, in pieces {}", whole.output_tokens, pieces.output_tokens);
  return 0;
}
