// The OpenAI API on top of an HTTP server and an engine: routes, keys, admission, answers, metrics,
// the log. Three kinds of threads meet here:
//
//   io thread    connections; admits requests; writes answers; owns all that is not said otherwise
//   preparing    parse, tokenize, compile schemas (one request each, a fixed number of threads);
//                puts long bodies and events of answers together
//   dispatcher   waits for the engine's outputs and posts them to the io thread
//
// Promises: every limit is checked before the engine is asked; every request that the engine
// accepted is counted and logged once, with the way it ended; a client that is gone costs nothing
// after the step under way.
#pragma once

#include <memory>
#include <string>

#include "atom/core/result.h"
#include "atom/server/api_keys.h"
#include "atom/server/engine_port.h"
#include "atom/server/http_server.h"
#include "atom/server/openai_request.h"
#include "atom/server/served_model.h"

namespace atom::server {

struct ServiceOptions {
  ListenAddress address;
  HttpLimits http;
  ApiLimits requests;
  ApiKeys keys;                         ///< none: everybody may ask
  std::string cors = {};                ///< the origin whose pages may ask; empty: none but our own
  std::vector<std::string> hosts = {};  ///< names of this server besides localhost
  int64_t requests_per_key = 0;         ///< HTTP requests at once; 0: no limit
  int64_t max_preparing = 256;          ///< bodies being parsed or waiting for it
  Milliseconds request_time{0};         ///< of an engine request, from its arrival; 0: no limit
  Milliseconds queue_time{0};           ///< likewise until it begins to be computed
  Milliseconds drain_time{30'000};      ///< for what runs to end, once Drain was called
  Milliseconds stuck_after{60'000};     ///< a step that takes longer is a failure
  bool log = true;                      ///< a line on stderr for each request
};

class Service {
 public:
  /// Listening already. `engine` and what `model` points to must outlive this.
  static Result<std::unique_ptr<Service>> Start(EnginePort& engine, const ServedModel& model,
                                                ServiceOptions options);
  ~Service();

  int port() const;
  /// Serves until it was drained; SIGTERM and SIGINT drain, a second one ends the process, if
  /// `handle_signals`. An exception of a handler ends it and comes out here.
  void Run(bool handle_signals);
  /// From any thread: refuses what comes from now on, lets what runs end, then Run returns.
  void Drain();

 private:
  class State;
  explicit Service(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace atom::server
