#include "atom/bench/serving/completion_record.h"

#include <nlohmann/json.hpp>

#include "atom/io/json.h"
#include "atom/io/quote.h"

namespace atom::bench {
namespace {

constexpr std::string_view kSource = "an event";

/// "message" of {"error": {"message": …}}.
std::string ErrorOf(const io::Json& error) {
  if (error.is_string()) return error.get<std::string>();
  if (error.is_object()) {
    const Result<std::string> message = io::RequireString(error, "message", "error");
    if (message.ok()) return *message;
  }
  return io::DumpJson(error, -1);
}

/// 0 for a number that cannot be one of tokens.
int64_t CountOf(const io::Json& usage, std::string_view key) {
  constexpr int64_t kMost = int64_t{1} << 30;
  const Result<int64_t> count = io::RequireInt(usage, key, "usage");
  return count.ok() && *count >= 0 && *count <= kMost ? *count : 0;
}

bool HasText(const io::Json& choice) {
  if (!choice.is_object()) return false;
  const Result<std::string> text = io::RequireString(choice, "text", "choice");
  return text.ok() && !text->empty();
}

}  // namespace

void CompletionReader::Push(std::string_view bytes, double now) {
  for (const std::string& data : events_.Push(bytes)) TakeEvent(data, now);
}

void CompletionReader::TakeEvent(const std::string& data, double now) {
  if (data == "[DONE]") {
    done_ = true;
    return;
  }
  const Result<io::Json> json = io::ParseJson(data, std::string(kSource));
  if (!json.ok()) return Fail(RequestFailure::kProtocol, json.error().message);
  if (!json->is_object()) {
    return Fail(RequestFailure::kProtocol,
                "an event: expected an object, found " + io::Quote(data));
  }
  if (json->contains("error")) {
    return Fail(RequestFailure::kStream,
                "the server says " + io::Quote(ErrorOf(json->at("error")), 300));
  }
  const Result<const io::Json*> usage = io::OptionalObject(*json, "usage", std::string(kSource));
  if (usage.ok() && *usage != nullptr) {
    record_.prompt_tokens = CountOf(**usage, "prompt_tokens");
    record_.output_tokens = CountOf(**usage, "completion_tokens");
  }
  const Result<const io::Json*> choices = io::RequireArray(*json, "choices", std::string(kSource));
  if (!choices.ok()) return Fail(RequestFailure::kProtocol, choices.error().message);
  if ((*choices)->empty() || !HasText((*choices)->front())) return;
  if (texts_ == 0) {
    record_.first = now;
  } else {
    record_.gaps.push_back(now - last_);
  }
  last_ = now;
  ++texts_;
}

void CompletionReader::Finish(double now) {
  record_.finished = now;
  if (!done_) {
    Fail(RequestFailure::kIncomplete, "the answer ended before its [DONE]");
  } else if (texts_ == 0) {
    record_.first = now;  // tokens of which nothing can be shown
  }
  if (record_.output_tokens == 0) record_.output_tokens = texts_;  // a server without usage
}

void CompletionReader::Fail(RequestFailure failure, std::string error) {
  if (!record_.ok()) return;
  record_.failure = failure;
  record_.error = std::move(error);
}

}  // namespace atom::bench
