// The last station of every answer: adds the headers that all have, counts errors, writes the log
// line. Each request that was read passes here once with its end.
#pragma once

#include <string>

#include "atom/server/http_server.h"
#include "atom/server/metrics.h"
#include "atom/server/request_log.h"

namespace atom::server {

class Responder {
 public:
  /// `cors` is the origin whose pages may ask, or empty.
  Responder(Metrics& metrics, std::string cors, bool log)
      : metrics_(metrics), cors_(std::move(cors)), log_(log) {}
  /// REQUIRES: before the first request.
  void set_server(HttpServer& server) { server_ = &server; }

  /// The whole reply to a request, which ends with it.
  void Reply(ExchangeId exchange, const RequestRecord& record, HttpReply reply,
             const ApiAnswer* answer = nullptr);
  /// As it would be sent, counted and logged.
  HttpReply Finished(const RequestRecord& record, HttpReply reply,
                     const ApiAnswer* answer = nullptr);

  void BeginStream(ExchangeId exchange, const RequestRecord& record, std::string first);
  void Write(ExchangeId exchange, std::string_view bytes) { server_->Write(exchange, bytes); }
  void EndStream(ExchangeId exchange, const RequestRecord& record, const ApiAnswer& answer);
  /// The client is gone: nothing to send.
  void Gone(const RequestRecord& record, const ApiAnswer* answer);

 private:
  void AddHeaders(const RequestRecord& record, HttpReply& reply) const;
  void Log(const RequestRecord& record, std::string_view ended, const ApiAnswer* answer) const;

  HttpServer* server_ = nullptr;
  Metrics& metrics_;
  const std::string cors_;
  const bool log_;
};

}  // namespace atom::server
