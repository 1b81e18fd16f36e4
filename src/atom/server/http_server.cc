#include "atom/server/http_server.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <unordered_map>

#include "atom/io/quote.h"
#include "atom/server/http_connection.h"

namespace atom::server {

namespace asio = boost::asio;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;

namespace {

/// When the process has no descriptors left and no client is without a request.
constexpr Milliseconds kAcceptPause{100};

Status OpenAcceptor(const ListenAddress& listen, tcp::acceptor& acceptor) {
  ErrorCode error;
  const asio::ip::address address = asio::ip::make_address(listen.host, error);
  if (error) {
    return MakeError("--host: expected a numeric address such as 127.0.0.1 or ::, found {}",
                     io::Quote(listen.host));
  }
  const tcp::endpoint endpoint(address, static_cast<uint16_t>(listen.port));
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return MakeError("cannot listen on {} port {}: {}", listen.host, listen.port, error.message());
  }
  return {};
}

}  // namespace

class HttpServer::Listener : public ConnectionOwner {
 public:
  Listener(asio::io_context& io, const HttpLimits& limits, HttpHandler& handler)
      : limits_(limits),
        handler_(handler),
        acceptor_(io),
        pause_(io),
        bodies_(std::max(limits.all_body_bytes, limits.body_bytes)) {}

  Status Open(const ListenAddress& address) {
    if (Status s = OpenAcceptor(address, acceptor_); !s.ok()) return s;
    Accept();
    return {};
  }

  int port() const {
    ErrorCode ignored;
    return acceptor_.local_endpoint(ignored).port();
  }
  int64_t connections() const { return static_cast<int64_t>(connections_.size()); }
  int64_t unfinished() const {
    int64_t count = 0;
    for (const auto& [id, client] : connections_) count += client.connection->unfinished() ? 1 : 0;
    return count;
  }
  HttpConnection* Find(ExchangeId exchange) {
    const auto found = exchanges_.find(exchange);
    return found == exchanges_.end() ? nullptr : found->second;
  }

  HttpHandler& handler() override { return handler_; }
  const HttpLimits& limits() const override { return limits_; }
  bool MakeRoom(HttpConnection& connection, int64_t bytes, BodyRoom& room) override {
    const bool begins = room.bytes() == 0;
    while (!bodies_.Enlarge(room, bytes)) {
      if (arriving_.empty()) return false;
      HttpConnection* const oldest = arriving_.begin()->second;
      if (oldest == &connection) return false;
      arriving_.erase(arriving_.begin());
      oldest->GiveUpBody();
    }
    if (begins) {
      uint64_t& arrives = connections_.at(connection.id()).arrives;
      arrives = ++last_arrival_;
      arriving_.emplace(arrives, &connection);
    }
    return true;
  }
  ExchangeId Begin(HttpConnection& connection) override {
    const Client& client = connections_.at(connection.id());
    waiting_.erase(client.waits);
    arriving_.erase(client.arrives);
    exchanges_[++last_exchange_] = &connection;
    return last_exchange_;
  }
  void End(ExchangeId exchange) override { exchanges_.erase(exchange); }
  void MayClose(HttpConnection& connection) override {
    uint64_t& waits = connections_.at(connection.id()).waits;
    waiting_.erase(waits);
    waits = ++last_wait_;
    waiting_.emplace(waits, &connection);
  }
  void Remove(HttpConnection& connection) override {
    const auto found = connections_.find(connection.id());
    waiting_.erase(found->second.waits);
    arriving_.erase(found->second.arrives);
    connections_.erase(found);
  }

 private:
  void Accept() {
    acceptor_.async_accept([this](const ErrorCode& error, tcp::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (error) return AcceptLater(error);
      // Above the limit the socket closes here, unless another makes room for it.
      if (connections() < limits_.connections || CloseLongestWaiting()) {
        const uint64_t id = ++last_connection_;
        Client& client = connections_[id];
        client.connection = std::make_unique<HttpConnection>(id, std::move(socket), *this);
        client.connection->Start();
      }
      Accept();
    });
  }
  void AcceptLater(const ErrorCode& why) {
    if (why == asio::error::no_descriptors && CloseLongestWaiting()) return Accept();
    pause_.expires_after(kAcceptPause);
    pause_.async_wait([this](const ErrorCode& error) {
      if (!error) Accept();
    });
  }
  bool CloseLongestWaiting() {
    if (waiting_.empty()) return false;
    HttpConnection* connection = waiting_.begin()->second;
    waiting_.erase(waiting_.begin());
    connection->Close();
    return true;
  }

  struct Client {
    std::unique_ptr<HttpConnection> connection;
    uint64_t waits = 0;    // its place in waiting_, if it has one
    uint64_t arrives = 0;  // likewise in arriving_
  };

  const HttpLimits limits_;
  HttpHandler& handler_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  uint64_t last_connection_ = 0;
  ExchangeId last_exchange_ = 0;
  uint64_t last_wait_ = 0;
  uint64_t last_arrival_ = 0;
  BodyBudget bodies_;  // what is in it goes before it: connections, and the handler's requests
  std::unordered_map<uint64_t, Client> connections_;
  std::map<uint64_t, HttpConnection*> waiting_;   // those that may close, the longest idle first
  std::map<uint64_t, HttpConnection*> arriving_;  // whose bodies do, the first first
  std::unordered_map<ExchangeId, HttpConnection*> exchanges_;
};

HttpServer::HttpServer(std::unique_ptr<Listener> listener) : listener_(std::move(listener)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::Listen(asio::io_context& io,
                                                       const ListenAddress& address,
                                                       const HttpLimits& limits,
                                                       HttpHandler& handler) {
  auto listener = std::make_unique<Listener>(io, limits, handler);
  if (Status s = listener->Open(address); !s.ok()) return s.error();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(listener)));
}

Status HttpServer::CheckAddress(const ListenAddress& address) {
  asio::io_context io;
  tcp::acceptor acceptor(io);
  return OpenAcceptor(address, acceptor);
}

int HttpServer::port() const { return listener_->port(); }
int64_t HttpServer::connections() const { return listener_->connections(); }
int64_t HttpServer::unfinished() const { return listener_->unfinished(); }

void HttpServer::Reply(ExchangeId exchange, const HttpReply& reply) {
  if (HttpConnection* connection = listener_->Find(exchange)) connection->Reply(reply);
}
void HttpServer::BeginStream(ExchangeId exchange, const HttpReply& reply) {
  if (HttpConnection* connection = listener_->Find(exchange)) connection->BeginStream(reply);
}
void HttpServer::Write(ExchangeId exchange, std::string_view bytes) {
  if (HttpConnection* connection = listener_->Find(exchange)) connection->Write(bytes);
}
void HttpServer::EndStream(ExchangeId exchange) {
  if (HttpConnection* connection = listener_->Find(exchange)) connection->EndStream();
}

}  // namespace atom::server
