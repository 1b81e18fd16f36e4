// One rendering: what it has made, what it may still spend, and the first thing that went wrong.
// As with a stream, after a failure everything does nothing and gives undefined or false; who loops
// asks Step each time round, so that a failure ends every loop.
//
// Promises: memory is asked for before it is taken; steps bound the time, whatever the template.
#pragma once

#include <cstdint>
#include <fmt/format.h>
#include <string_view>
#include <utility>

#include "atom/chat/jinja/value.h"
#include "atom/core/result.h"

namespace atom::chat::jinja {

/// What one rendering may cost. A conversation of a thousand turns takes about 100,000 steps.
struct Limits {
  int64_t steps = 10'000'000;  ///< expressions, statements, and 64 bytes of a text looked at
  int64_t output_bytes = int64_t{16} << 20;
  int64_t memory_bytes = int64_t{256} << 20;  ///< all values made, those no longer used too
  int depth = 400;  ///< of statements, expressions and calls within each other, and of nested data
};

class RenderState {
 public:
  explicit RenderState(const Limits& limits)
      : limits_(limits), steps_left_(limits.steps), bytes_left_(limits.memory_bytes) {}
  RenderState(const RenderState&) = delete;
  RenderState& operator=(const RenderState&) = delete;

  bool ok() const { return status_.ok(); }
  const Status& status() const { return status_; }
  const Limits& limits() const { return limits_; }
  /// The line of the source that errors name.
  void set_line(int line) { line_ = line; }

  template <class... Args>
  Undefined Fail(fmt::format_string<Args...> format, Args&&... args) {
    if (ok()) FailWith(fmt::format(format, std::forward<Args>(args)...));
    return {};
  }

  bool Step(int64_t steps = 1);
  /// Steps for looking at `bytes` of a text.
  bool Scan(size_t bytes) { return Step(1 + static_cast<int64_t>(bytes / 64)); }
  bool Reserve(size_t bytes);
  /// For `count` times `bytes`, which may overflow.
  bool ReserveTimes(size_t count, size_t bytes);

  bool Append(MarkedText& to, const MarkedText& from, size_t pos = 0,
              size_t count = std::string_view::npos);
  bool Append(MarkedText& to, std::string_view bytes, Origin origin = Origin::kTemplate);
  bool Push(List& list, const Value& value);
  bool Push(Dict& dict, const Value& key, const Value& value);

  /// Takes over a text whose bytes were reserved.
  const MarkedText* NewText(MarkedText text);
  const MarkedText* NewText(std::string_view bytes);
  const MarkedText* NewPiece(const MarkedText& of, size_t pos, size_t count);
  List* NewList(ListKind kind = ListKind::kList);
  Dict* NewDict();
  Loop* NewLoop(const Loop& loop);

  /// One level deeper as long as it lives.
  class Nest {
   public:
    explicit Nest(RenderState& run) : run_(run) { run_.Deepen(); }
    ~Nest() { --run_.depth_; }
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;

   private:
    RenderState& run_;
  };

 private:
  void FailWith(std::string message);
  void Deepen();

  const Limits limits_;
  int64_t steps_left_;
  int64_t bytes_left_;
  int depth_ = 0;
  int line_ = 0;
  Status status_;
  Heap heap_;
};

}  // namespace atom::chat::jinja
