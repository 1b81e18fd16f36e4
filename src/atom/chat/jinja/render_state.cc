#include "atom/chat/jinja/render_state.h"

namespace atom::chat::jinja {

void RenderState::FailWith(std::string message) {
  status_ = MakeError("line {}: {}", line_, message);
}

void RenderState::Deepen() {
  if (++depth_ > limits_.depth) {
    Fail("more than {} levels of expressions, calls or data within each other", limits_.depth);
  }
}

bool RenderState::Step(int64_t steps) {
  if (ok() && steps > steps_left_) Fail("the template takes more than {} steps", limits_.steps);
  steps_left_ -= ok() ? steps : 0;
  return ok();
}

bool RenderState::Reserve(size_t bytes) { return ReserveTimes(1, bytes); }

bool RenderState::ReserveTimes(size_t count, size_t bytes) {
  const auto left = static_cast<uint64_t>(bytes_left_);
  if (ok() && bytes > 0 && count > left / bytes) {
    Fail("the template makes more than {} bytes of values", limits_.memory_bytes);
  }
  bytes_left_ -= ok() ? static_cast<int64_t>(count * bytes) : 0;
  return ok();
}

bool RenderState::Append(MarkedText& to, const MarkedText& from, size_t pos, size_t count) {
  if (!Reserve(from.CostOf(count))) return false;
  to.Append(from, pos, count);
  return true;
}

bool RenderState::Append(MarkedText& to, std::string_view bytes, Origin origin) {
  if (!Reserve(bytes.size())) return false;
  to.Append(bytes, origin);
  return true;
}

bool RenderState::Push(List& list, const Value& value) {
  if (!Step() || !Reserve(sizeof(Value))) return false;
  list.items.push_back(value);
  return true;
}

bool RenderState::Push(Dict& dict, const Value& key, const Value& value) {
  if (!Step() || !Reserve(2 * sizeof(Value))) return false;
  dict.entries.emplace_back(key, value);
  return true;
}

const MarkedText* RenderState::NewText(MarkedText text) {
  Reserve(sizeof(MarkedText));
  return &heap_.texts.emplace_back(std::move(text));
}

const MarkedText* RenderState::NewText(std::string_view bytes) {
  MarkedText text;
  Append(text, bytes);
  return NewText(std::move(text));
}

const MarkedText* RenderState::NewPiece(const MarkedText& of, size_t pos, size_t count) {
  MarkedText text;
  Append(text, of, pos, count);
  return NewText(std::move(text));
}

List* RenderState::NewList(ListKind kind) {
  Reserve(sizeof(List));
  List* list = &heap_.lists.emplace_back();
  list->kind = kind;
  return list;
}

Dict* RenderState::NewDict() {
  Reserve(sizeof(Dict));
  return &heap_.dicts.emplace_back();
}

Loop* RenderState::NewLoop(const Loop& loop) {
  Reserve(sizeof(Loop));
  return &heap_.loops.emplace_back(loop);
}

}  // namespace atom::chat::jinja
