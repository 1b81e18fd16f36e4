#include "atom/server/service.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core/string.hpp>
#include <csignal>
#include <exception>
#include <functional>
#include <thread>
#include <unistd.h>
#include <unordered_map>

#include "atom/io/quote.h"
#include "atom/server/answering.h"
#include "atom/server/origin_check.h"
#include "atom/server/page.h"
#include "atom/server/prepare.h"
#include "atom/server/routes.h"

namespace atom::server {

namespace asio = boost::asio;

namespace {

constexpr int kPreparingThreads = 2;
constexpr Milliseconds kOutputWait{100};
constexpr Milliseconds kDrainTick{20};
/// After what still ran was cancelled.
constexpr Milliseconds kCancelTime{5000};

/// "application/json; charset=utf-8"
bool IsJson(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (content_type.ends_with(' ')) content_type.remove_suffix(1);
  return boost::beast::iequals(content_type, "application/json");
}

}  // namespace

class Service::State : public HttpHandler {
 public:
  State(EnginePort& engine, const ServedModel& model, ServiceOptions options)
      : engine_(engine),
        model_(model),
        options_(std::move(options)),
        metrics_(model.name),
        origins_{.cors = options_.cors,
                 .loopback = IsLoopback(options_.address.host),
                 .hosts = options_.hosts},
        responder_(metrics_, options_.cors, options_.log),
        answering_(engine, model_, metrics_, responder_,
                   [this](ExchangeId exchange, std::function<std::string()> make) {
                     MakeElsewhere(exchange, std::move(make));
                   }),
        signals_(io_),
        drain_timer_(io_),
        preparing_(kPreparingThreads) {}

  ~State() override {
    stopping_ = true;
    preparing_.join();  // posts to io_, which does not run any more
  }

  Status Listen() {
    Result<std::unique_ptr<HttpServer>> server =
        HttpServer::Listen(io_, options_.address, options_.http, *this);
    if (!server.ok()) return server.error();
    server_ = std::move(server).value();
    responder_.set_server(*server_);
    return {};
  }
  int port() const { return server_->port(); }

  void Run(bool handle_signals) {
    if (handle_signals) AwaitSignal();
    const std::jthread dispatcher([this] { Dispatch(); });
    const StopAtEnd stop{stopping_};  // also after an exception, or the dispatcher never ended
    io_.run();
  }

  void Drain() {
    asio::post(io_, [this] { BeginDrain(); });
  }

  // HttpHandler:
  std::optional<HttpReply> Refuse(const HttpHead& head) override;
  HttpReply Malformed(int status, const std::string& sentence) override {
    return responder_.Finished({.id = NewId("req-"), .endpoint = "unreadable"},
                               ErrorReply({.status = status, .message = sentence}));
  }
  void OnRequest(ExchangeId exchange, HttpRequest request) override;
  void OnGone(ExchangeId exchange) override;

 private:
  struct StopAtEnd {
    std::atomic<bool>& stopping;
    ~StopAtEnd() { stopping = true; }
  };

  RequestRecord RecordOf(const HttpHead& head, std::string endpoint) const {
    return {.id = RequestIdFor(head),
            .endpoint = std::move(endpoint),
            .key = options_.keys.Find(head.authorization)};
  }
  std::optional<ApiError> CheckAccess(const HttpHead& head, const Route& route) const;
  int64_t RequestsOf(size_t key) const;
  HttpReply Immediate(const HttpHead& head, const Route& route) const;
  HttpReply Health() const;
  std::optional<HttpReply> Preflight(const HttpHead& head);
  void StartPreparing(ExchangeId exchange, RequestRecord record, Endpoint endpoint,
                      HttpRequest request);
  Prepared PrepareOrFail(Endpoint endpoint, std::string_view body) const;
  void MakeElsewhere(ExchangeId exchange, std::function<std::string()> make);
  void OnPrepared(ExchangeId exchange, Prepared prepared);

  void Dispatch();
  void AwaitSignal();
  void BeginDrain();
  void DrainTick();

  EnginePort& engine_;
  const ServedModel model_;
  const ServiceOptions options_;
  Metrics metrics_;
  const OriginRules origins_;
  Responder responder_;
  Answering answering_;

  asio::io_context io_;
  asio::signal_set signals_;
  asio::steady_timer drain_timer_;
  std::unique_ptr<HttpServer> server_;
  std::unordered_map<ExchangeId, RequestRecord> in_preparation_;
  std::atomic<bool> stopping_{false};
  bool draining_ = false;
  bool cancelled_ = false;
  std::chrono::steady_clock::time_point drain_end_;
  asio::thread_pool preparing_;  // last: it is joined first
};

std::optional<ApiError> Service::State::CheckAccess(const HttpHead& head,
                                                    const Route& route) const {
  if (route.open) return std::nullopt;
  const std::optional<size_t> key = options_.keys.Find(head.authorization);
  if (!options_.keys.empty() && !key.has_value()) {
    return ApiError{.status = 401,
                    .message = "expected a valid key in \"Authorization: Bearer KEY\"",
                    .code = "invalid_api_key"};
  }
  if (route.method != "POST") return std::nullopt;
  if (draining_) {
    return ApiError{.status = 503, .message = "the server is shutting down"};
  }
  if (const std::optional<std::string> failure = engine_.failure()) {
    return ApiError{.status = 503, .message = *failure};
  }
  if (!IsJson(head.content_type)) {
    return ApiError{.status = 415,
                    .message = fmt::format("expected the Content-Type application/json, found {}",
                                           io::Quote(head.content_type))};
  }
  if (!head.content_encoding.empty() && head.content_encoding != "identity") {
    return ApiError{.status = 415, .message = "the body is compressed, expected it as it is"};
  }
  if (key.has_value() && options_.requests_per_key > 0 &&
      RequestsOf(*key) >= options_.requests_per_key) {
    return ApiError{.status = 429,
                    .message = fmt::format("this key has {} requests under way, the most it may",
                                           options_.requests_per_key)};
  }
  if (static_cast<int64_t>(in_preparation_.size()) >= options_.max_preparing) {
    return ApiError{.status = 429, .message = "too many requests wait to be read"};
  }
  return std::nullopt;
}

int64_t Service::State::RequestsOf(size_t key) const {
  int64_t count = answering_.CountOf(key);
  for (const auto& [exchange, record] : in_preparation_) count += record.key == key ? 1 : 0;
  return count;
}

// A browser asks whether a page of another origin may ask.
std::optional<HttpReply> Service::State::Preflight(const HttpHead& head) {
  if (options_.cors.empty() || head.method != "OPTIONS") return std::nullopt;
  HttpReply reply = {.status = 204};
  // Whatever fields the page's library adds: those that matter are checked when they come.
  const bool named = !head.requested_headers.empty();
  reply.headers = {{"Access-Control-Allow-Methods", "GET, HEAD, POST"},
                   {"Access-Control-Allow-Headers",
                    named ? head.requested_headers : "Authorization, Content-Type, x-request-id"},
                   {"Access-Control-Max-Age", "600"}};
  return responder_.Finished(RecordOf(head, "OPTIONS"), std::move(reply));
}

std::optional<HttpReply> Service::State::Refuse(const HttpHead& head) {
  if (const std::optional<ApiError> foreign = CheckOrigin(head, origins_)) {
    return responder_.Finished(RecordOf(head, "foreign"), ErrorReply(*foreign));
  }
  if (auto reply = Preflight(head)) return reply;
  const OrApiError<Route> found = FindRoute(head);
  if (const auto* error = std::get_if<ApiError>(&found)) {
    return responder_.Finished(RecordOf(head, "unknown"), ErrorReply(*error));
  }
  const Route& route = std::get<Route>(found);
  const std::optional<ApiError> refused = CheckAccess(head, route);
  if (!refused.has_value()) return std::nullopt;
  return responder_.Finished(RecordOf(head, fmt::format("{} {}", route.method, route.path)),
                             ErrorReply(*refused));
}

void Service::State::OnRequest(ExchangeId exchange, HttpRequest request) {
  const Route route = std::get<Route>(FindRoute(request.head));  // Refuse let it pass
  RequestRecord record = RecordOf(request.head, fmt::format("{} {}", route.method, route.path));
  if (route.method == "GET") {
    return responder_.Reply(exchange, record, Immediate(request.head, route));
  }
  StartPreparing(exchange, std::move(record), route.endpoint, std::move(request));
}

HttpReply Service::State::Immediate(const HttpHead& head, const Route& route) const {
  switch (route.endpoint) {
    case Endpoint::kHealth:
      return Health();
    case Endpoint::kMetrics:
      return {.content_type = "text/plain; version=0.0.4; charset=utf-8",
              .body = metrics_.Text(engine_.stats())};
    case Endpoint::kModels:
      return ModelsReply(model_);
    case Endpoint::kModel:
      return ModelReply(head.path, model_);
    case Endpoint::kTokenizerInfo:
      return TokenizerInfoReply(model_);
    default:
      return {.content_type = "text/html; charset=utf-8",
              .headers = {{"Content-Security-Policy",
                           "default-src 'none'; style-src 'unsafe-inline'; "
                           "script-src 'unsafe-inline'; connect-src 'self'; img-src data:"}},
              .body = std::string(PageHtml())};
  }
}

HttpReply Service::State::Health() const {
  if (draining_) return ErrorReply({.status = 503, .message = "the server is shutting down"});
  if (const std::optional<std::string> failure = engine_.failure()) {
    return ErrorReply({.status = 503, .message = *failure});
  }
  const std::chrono::duration<double> turn = engine_.SinceLastTurn();
  if (turn > options_.stuck_after) {
    return ErrorReply(
        {.status = 503,
         .message = fmt::format("the engine has not gone round for {:.0f} s", turn.count())});
  }
  return {.body = R"({"status":"ok"})"};
}

void Service::State::StartPreparing(ExchangeId exchange, RequestRecord record, Endpoint endpoint,
                                    HttpRequest request) {
  in_preparation_.emplace(exchange, std::move(record));
  asio::post(preparing_, [this, exchange, endpoint, request = std::move(request)] {
    if (stopping_) return;
    Prepared prepared = PrepareOrFail(endpoint, request.body);
    asio::post(io_, [this, exchange, prepared = std::move(prepared)]() mutable {
      OnPrepared(exchange, std::move(prepared));
    });
  });
}

Prepared Service::State::PrepareOrFail(Endpoint endpoint, std::string_view body) const {
  try {
    Prepared prepared = Prepare(endpoint, body, options_.requests, model_, engine_);
    if (auto* plan = std::get_if<AnswerPlan>(&prepared)) {
      using Seconds = std::chrono::duration<double>;
      for (engine::Request& request : plan->requests) {
        request.timeout_seconds = Seconds(options_.request_time).count();
        request.queue_timeout_seconds = Seconds(options_.queue_time).count();
      }
    }
    return prepared;
  } catch (const std::exception& error) {  // out of memory: of this request, not of the server
    return ApiError{.status = 500, .message = fmt::format("the server failed: {}", error.what())};
  }
}

void Service::State::MakeElsewhere(ExchangeId exchange, std::function<std::string()> make) {
  asio::post(preparing_, [this, exchange, make = std::move(make)] {
    if (stopping_) return;
    asio::post(io_, [this, exchange, text = make()]() mutable {
      answering_.OnMade(exchange, std::move(text));
    });
  });
}

void Service::State::OnPrepared(ExchangeId exchange, Prepared prepared) {
  auto node = in_preparation_.extract(exchange);
  if (node.empty()) return;  // the client is gone
  const RequestRecord& record = node.mapped();
  if (auto* error = std::get_if<ApiError>(&prepared)) {
    responder_.Reply(exchange, record, ErrorReply(*error));
  } else if (auto* reply = std::get_if<HttpReply>(&prepared)) {
    responder_.Reply(exchange, record, std::move(*reply));
  } else {
    answering_.Begin(exchange, record, std::get<AnswerPlan>(std::move(prepared)));
  }
}

void Service::State::OnGone(ExchangeId exchange) {
  if (answering_.OnGone(exchange)) return;
  const auto node = in_preparation_.extract(exchange);
  if (!node.empty()) responder_.Gone(node.mapped(), nullptr);
}

void Service::State::Dispatch() {
  while (!stopping_) {
    std::vector<engine::Output> outputs = engine_.Wait(kOutputWait);
    if (outputs.empty()) continue;
    asio::post(io_, [this, outputs = std::move(outputs)] { answering_.OnOutputs(outputs); });
  }
}

void Service::State::AwaitSignal() {
  boost::system::error_code ignored;
  signals_.add(SIGTERM, ignored);
  signals_.add(SIGINT, ignored);
  signals_.async_wait([this](const boost::system::error_code& error, int number) {
    if (error) return;
    if (draining_) _exit(128 + number);
    BeginDrain();
    AwaitSignal();
  });
}

void Service::State::BeginDrain() {
  if (draining_) return;
  draining_ = true;
  drain_end_ = std::chrono::steady_clock::now() + options_.drain_time;
  if (options_.log) fmt::print(stderr, "atom: shutting down when what runs has ended\n");
  DrainTick();
}

void Service::State::DrainTick() {
  const auto now = std::chrono::steady_clock::now();
  const bool idle =
      answering_.under_way() == 0 && in_preparation_.empty() && server_->unfinished() == 0;
  if (idle || now >= drain_end_ + kCancelTime) return io_.stop();
  if (now >= drain_end_ && !cancelled_) {
    cancelled_ = true;
    answering_.CancelAll();
  }
  drain_timer_.expires_after(kDrainTick);
  drain_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) DrainTick();
  });
}

Service::Service(std::unique_ptr<State> state) : state_(std::move(state)) {}
Service::~Service() = default;

Result<std::unique_ptr<Service>> Service::Start(EnginePort& engine, const ServedModel& model,
                                                ServiceOptions options) {
  auto state = std::make_unique<State>(engine, model, std::move(options));
  if (Status s = state->Listen(); !s.ok()) return s.error();
  return std::unique_ptr<Service>(new Service(std::move(state)));
}

int Service::port() const { return state_->port(); }
void Service::Run(bool handle_signals) { state_->Run(handle_signals); }
void Service::Drain() { state_->Drain(); }

}  // namespace atom::server
