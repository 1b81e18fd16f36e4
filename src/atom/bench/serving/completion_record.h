// One request of a load as its client saw it, and the reader that makes it out of the answer's
// bytes and their times. Knows the protocol's events, not the network.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "atom/bench/serving/event_stream.h"
#include "atom/bench/serving/request_lengths.h"

namespace atom::bench {

enum class RequestFailure {
  kNone,
  kConnect,     ///< nobody answered
  kStatus,      ///< an HTTP status that is no success
  kProtocol,    ///< an answer that is no stream of completions
  kStream,      ///< an error inside the stream
  kIncomplete,  ///< the connection ended before the answer did
  kAborted,     ///< by this client, when it was interrupted
};
inline constexpr std::array<std::string_view, 7> kRequestFailureNames = {
    "none", "connect", "status", "protocol", "stream", "incomplete", "aborted"};
inline std::string_view Name(RequestFailure failure) {
  return kRequestFailureNames[static_cast<size_t>(failure)];
}

/// Times are seconds since the start of the load.
struct CompletionRecord {
  RequestLengths planned = {};
  double due = 0.0;   ///< when the plan has it begin; latencies count from here
  double sent = 0.0;  ///< when it began
  double first = 0.0;
  double finished = 0.0;
  std::vector<double> gaps = {};  ///< seconds between events that carry text
  int64_t prompt_tokens = 0;      ///< as the server counts
  int64_t output_tokens = 0;
  RequestFailure failure = RequestFailure::kNone;
  std::string error = {};  ///< a sentence

  bool ok() const { return failure == RequestFailure::kNone; }
};

/// Reads the body of a streamed /v1/completions.
class CompletionReader {
 public:
  explicit CompletionReader(CompletionRecord& record) : record_(record) {}

  /// Bytes of the body that came at `now`.
  void Push(std::string_view bytes, double now);
  /// The body has ended. An answer that did not come to its [DONE] is incomplete.
  void Finish(double now);
  /// Counts only if nothing went wrong before.
  void Fail(RequestFailure failure, std::string error);

 private:
  void TakeEvent(const std::string& data, double now);

  CompletionRecord& record_;
  EventStream events_;
  int64_t texts_ = 0;  // events with text
  double last_ = 0.0;  // when the last of them came
  bool done_ = false;
};

}  // namespace atom::bench
