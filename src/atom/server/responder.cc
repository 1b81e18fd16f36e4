#include "atom/server/responder.h"

#include <fmt/format.h>

namespace atom::server {

void Responder::AddHeaders(const RequestRecord& record, HttpReply& reply) const {
  reply.headers.emplace_back("x-request-id", record.id);
  reply.headers.emplace_back("X-Content-Type-Options", "nosniff");
  if (cors_.empty()) return;
  reply.headers.emplace_back("Access-Control-Allow-Origin", cors_);
  reply.headers.emplace_back("Access-Control-Expose-Headers", "x-request-id");
  reply.headers.emplace_back("Vary", "Origin");
}

void Responder::Log(const RequestRecord& record, std::string_view ended,
                    const ApiAnswer* answer) const {
  if (log_) LogRequest(record, ended, answer);
}

HttpReply Responder::Finished(const RequestRecord& record, HttpReply reply,
                              const ApiAnswer* answer) {
  AddHeaders(record, reply);
  if (reply.status >= 400) metrics_.OnRefused(reply.status);
  // Who looks at metrics and health does so all the time.
  const bool looked = reply.status < 400 && record.endpoint.starts_with("GET");
  if (!looked) Log(record, std::to_string(reply.status), answer);
  return reply;
}

void Responder::Reply(ExchangeId exchange, const RequestRecord& record, HttpReply reply,
                      const ApiAnswer* answer) {
  server_->Reply(exchange, Finished(record, std::move(reply), answer));
}

void Responder::BeginStream(ExchangeId exchange, const RequestRecord& record, std::string first) {
  HttpReply reply = {.content_type = "text/event-stream; charset=utf-8", .body = std::move(first)};
  reply.headers.emplace_back("Cache-Control", "no-cache");
  AddHeaders(record, reply);
  server_->BeginStream(exchange, reply);
}

void Responder::EndStream(ExchangeId exchange, const RequestRecord& record,
                          const ApiAnswer& answer) {
  server_->EndStream(exchange);
  Log(record, "200", &answer);
}

void Responder::Gone(const RequestRecord& record, const ApiAnswer* answer) {
  Log(record, "gone", answer);
}

}  // namespace atom::server
