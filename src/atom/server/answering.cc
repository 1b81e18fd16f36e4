#include "atom/server/answering.h"

#include <ctime>

namespace atom::server {
namespace {

/// Bytes that are put together in less time than another thread takes to begin.
constexpr size_t kLongText = size_t{64} << 10;

}  // namespace

void Answering::Begin(ExchangeId exchange, const RequestRecord& record, AnswerPlan plan) {
  const std::string id = NewId(plan.shape.chat ? "chatcmpl-" : "cmpl-");
  ApiAnswer answer(std::move(plan.shape), *model_.tokenizer, id, std::time(nullptr));
  UnderWay& under_way =
      answers_.emplace(exchange, UnderWay{.record = record, .answer = std::move(answer)})
          .first->second;
  for (size_t i = 0; i < plan.requests.size(); ++i) {
    engine::Request& request = plan.requests[i];
    request.id = ++last_id_;
    if (Status s = engine_.Submit(std::move(request)); !s.ok()) {
      responder_.Reply(exchange, record, ErrorReply({.status = 429, .message = s.error().message}));
      Cancel(under_way);
      under_way.unheard = under_way.logged = true;  // what was taken is still followed to its end
      break;
    }
    metrics_.OnAccepted();
    under_way.ids.push_back(last_id_);
    parts_.emplace(last_id_, Part{exchange, i, RequestClock(record.arrival)});
  }
  if (under_way.ids.empty()) answers_.erase(exchange);
}

void Answering::OnOutputs(const std::vector<engine::Output>& outputs) {
  const auto now = std::chrono::steady_clock::now();
  for (const engine::Output& output : outputs) {
    const auto part = parts_.find(output.id);
    if (part == parts_.end()) continue;
    metrics_.OnOutput(output, now, part->second.clock);
    const ExchangeId exchange = part->second.exchange;
    UnderWay& under_way = answers_.at(exchange);
    const size_t index = part->second.index;
    if (output.finish.has_value()) {
      parts_.erase(part);
      std::erase(under_way.ids, output.id);
    }
    if (under_way.elsewhere) {
      under_way.later.emplace_back(index, output);
      continue;
    }
    Take(exchange, under_way, index, output);
    EndIfOver(exchange, under_way);
  }
}

void Answering::Take(ExchangeId exchange, UnderWay& under_way, size_t index,
                     const engine::Output& output) {
  ApiAnswer& answer = under_way.answer;
  if (!under_way.unheard && answer.EventBytes(index, output) > kLongText) {
    under_way.elsewhere = true;
    make_elsewhere_(exchange, [&answer, index, output] { return answer.Add(index, output); });
    return;
  }
  std::string events = answer.Add(index, output);
  if (!under_way.unheard) Send(exchange, under_way, std::move(events));
}

void Answering::EndIfOver(ExchangeId exchange, UnderWay& under_way) {
  const bool over = under_way.ids.empty() && !under_way.elsewhere && under_way.later.empty();
  if (over && Finish(exchange, under_way)) answers_.erase(exchange);
}

void Answering::Send(ExchangeId exchange, UnderWay& under_way, std::string events) {
  // An answer that fails before its first word gets an error's status: its head is not sent here.
  if (events.empty() || (!under_way.streaming && under_way.answer.error())) return;
  if (!under_way.streaming) {
    under_way.streaming = true;
    responder_.BeginStream(exchange, under_way.record, std::move(events));
  } else {
    responder_.Write(exchange, events);
  }
}

bool Answering::Finish(ExchangeId exchange, UnderWay& under_way) {
  const ApiAnswer& answer = under_way.answer;
  if (under_way.logged) return true;
  if (under_way.streaming && !under_way.unheard) {
    responder_.Write(exchange, answer.End());
    responder_.EndStream(exchange, under_way.record, answer);
    return true;
  }
  if (under_way.unheard) {
    ReplyWith(exchange, under_way, {});
  } else if (answer.error()) {
    ReplyWith(exchange, under_way, ErrorReply(*answer.error()));
  } else if (answer.BodyBytes() > kLongText) {
    make_elsewhere_(exchange, [&answer] { return answer.Body(); });
    return false;
  } else {
    ReplyWith(exchange, under_way, {.body = answer.Body()});
  }
  return true;
}

void Answering::OnMade(ExchangeId exchange, std::string text) {
  UnderWay& under_way = answers_.at(exchange);
  if (!under_way.answer.shape().stream) {
    ReplyWith(exchange, under_way, {.body = std::move(text)});
    answers_.erase(exchange);
    return;
  }
  under_way.elsewhere = false;
  if (!under_way.unheard) Send(exchange, under_way, std::move(text));
  while (!under_way.elsewhere && !under_way.later.empty()) {
    const auto [index, output] = std::move(under_way.later.front());
    under_way.later.pop_front();
    Take(exchange, under_way, index, output);
  }
  EndIfOver(exchange, under_way);
}

void Answering::ReplyWith(ExchangeId exchange, const UnderWay& under_way, HttpReply reply) {
  if (under_way.unheard) return responder_.Gone(under_way.record, &under_way.answer);
  responder_.Reply(exchange, under_way.record, std::move(reply), &under_way.answer);
}

void Answering::Cancel(UnderWay& under_way) {
  for (const engine::RequestId id : under_way.ids) engine_.Cancel(id);
}

bool Answering::OnGone(ExchangeId exchange) {
  const auto found = answers_.find(exchange);
  if (found == answers_.end()) return false;
  found->second.unheard = true;
  Cancel(found->second);
  return true;
}

void Answering::CancelAll() {
  for (auto& [exchange, under_way] : answers_) Cancel(under_way);
}

int64_t Answering::CountOf(size_t key) const {
  int64_t count = 0;
  for (const auto& [exchange, under_way] : answers_) {
    count += under_way.record.key == key ? 1 : 0;
  }
  return count;
}

}  // namespace atom::server
