// The answers under way: hands a plan to the engine, gives each of its outputs to the answer it
// belongs to, and sends what that writes. All on the io thread.
//
// Promises: a plan is accepted whole or not at all; what was accepted is followed to its end and
// counted once, also when its client is gone. What is long is put together elsewhere; meanwhile the
// outputs for that answer wait, and those for the others do not.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "atom/server/api_answer.h"
#include "atom/server/engine_port.h"
#include "atom/server/metrics.h"
#include "atom/server/responder.h"
#include "atom/server/served_model.h"

namespace atom::server {

class Answering {
 public:
  /// Calls `make` in another thread and then, on the io thread, OnMade.
  using MakeElsewhere = std::function<void(ExchangeId exchange, std::function<std::string()> make)>;

  Answering(EnginePort& engine, const ServedModel& model, Metrics& metrics, Responder& responder,
            MakeElsewhere make_elsewhere)
      : engine_(engine),
        model_(model),
        metrics_(metrics),
        responder_(responder),
        make_elsewhere_(std::move(make_elsewhere)) {}

  void Begin(ExchangeId exchange, const RequestRecord& record, AnswerPlan plan);
  void OnOutputs(const std::vector<engine::Output>& outputs);
  void OnMade(ExchangeId exchange, std::string text);
  /// Nobody takes the answer any more; false if there is none under way.
  bool OnGone(ExchangeId exchange);
  void CancelAll();
  size_t under_way() const { return answers_.size(); }
  /// HTTP requests under way that brought this key.
  int64_t CountOf(size_t key) const;

 private:
  struct UnderWay {
    RequestRecord record;
    ApiAnswer answer;
    std::vector<engine::RequestId> ids = {};
    bool elsewhere = false;  // another thread has the answer, and `later` waits
    std::deque<std::pair<size_t, engine::Output>> later = {};
    bool streaming = false;  // its head was sent
    bool unheard = false;    // its client is gone, or was told that there is no room for all of it
    bool logged = false;
  };
  struct Part {  // one engine request
    ExchangeId exchange;
    size_t index;
    RequestClock clock;
  };

  void Cancel(UnderWay& under_way);
  /// Writes an output, or has it written elsewhere.
  void Take(ExchangeId exchange, UnderWay& under_way, size_t index, const engine::Output& output);
  void EndIfOver(ExchangeId exchange, UnderWay& under_way);
  void Send(ExchangeId exchange, UnderWay& under_way, std::string events);
  /// False if the answer is not over yet: its body is being made.
  bool Finish(ExchangeId exchange, UnderWay& under_way);
  void ReplyWith(ExchangeId exchange, const UnderWay& under_way, HttpReply reply);

  EnginePort& engine_;
  const ServedModel& model_;
  Metrics& metrics_;
  Responder& responder_;
  const MakeElsewhere make_elsewhere_;
  engine::RequestId last_id_ = 0;
  std::map<ExchangeId, UnderWay> answers_;
  std::unordered_map<engine::RequestId, Part> parts_;
};

}  // namespace atom::server
