// A service on a free loopback port, in a thread of its own, in front of the scripted engine and a
// tokenizer of bytes.
#pragma once

#include <gtest/gtest.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "atom/server/service.h"

#include "tests/server/http_client.h"
#include "tests/server/scripted_engine.h"
#include "tests/soon.h"
#include "tests/tiny_model.h"

namespace atom::server {

using tests::Soon;

/// The tokenizer of tests/tiny_model.h: every byte a token.
inline std::unique_ptr<tokenizer::Tokenizer> ByteTokenizer() {
  const tests::TemporaryFolder folder;
  tests::WriteText(folder / "tokenizer.json", tests::TinyTokenizer().dump());
  tests::WriteText(folder / "tokenizer_config.json",
                   R"({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": true})");
  return tokenizer::Tokenizer::Load(folder.path()).value();
}

/// "tiny", a context of 64 tokens.
struct TinyServed {
  std::unique_ptr<tokenizer::Tokenizer> tokenizer = ByteTokenizer();
  chat::ChatTemplate chat_template = chat::ChatTemplate::FromName("plain").value();
  grammar::TokenTrie trie{*tokenizer, 260};
  MaskThreads mask_threads;  // walk the trie
  ServedModel model = {.name = "tiny",
                       .tokenizer = tokenizer.get(),
                       .chat_template = &chat_template,
                       .trie = &trie,
                       .mask_threads = &mask_threads,
                       .context = 64,
                       .vocab_size = 260,
                       .created = 1};
};

/// A server in front of any engine, seen from its port.
class RunningServer {
 public:
  RunningServer(EnginePort& engine, const ServedModel& model, ServiceOptions options) {
    options.address.port = 0;
    service_ = Service::Start(engine, model, std::move(options)).value();
    thread_ = std::jthread([this] {
      service_->Run(false);
      finished_ = true;
    });
  }
  ~RunningServer() { service_->Drain(); }

  int port() const { return service_->port(); }
  void Drain() { service_->Drain(); }
  bool finished() const { return finished_; }
  /// One request on a connection of its own.
  std::string Ask(const std::string& request) const {
    HttpClient client(port());
    client.Send(request);
    return client.ReadResponse();
  }
  nlohmann::json AskJson(const std::string& path, const std::string& body) const {
    return nlohmann::json::parse(BodyOf(Ask(Post(path, body))), nullptr, false);
  }
  /// A metric's value, "vllm:x_total{model_name=…} 3"; -1 if it is not there.
  double Metric(const std::string& start) const {
    const std::string text = Ask(Get("/metrics"));
    const size_t at = text.find("\n" + start);
    if (at == std::string::npos) return -1.0;
    const size_t space = text.find("} ", at);
    return std::stod(text.substr(space + 2));
  }
  /// Accepted requests that ended so.
  double Finished(std::string_view reason) const {
    return Metric(fmt::format(
        "vllm:request_success_total{{model_name=\"tiny\",finished_reason=\"{}\"", reason));
  }
  /// Accepted requests that ended at all.
  double Ended() const {
    double ended = 0.0;
    for (const std::string_view reason : engine::kFinishReasonNames) ended += Finished(reason);
    return ended;
  }
  bool Healthy() const { return StatusOf(Ask(Get("/health"))) == 200; }

 private:
  std::unique_ptr<Service> service_;
  std::atomic<bool> finished_{false};
  std::jthread thread_;
};

struct ScriptedModel {
  TinyServed served;
  ScriptedEngine engine;
};

inline ServiceOptions WithoutLog(ServiceOptions options) {
  options.log = false;
  return options;
}

class RunningService : public ScriptedModel, public RunningServer {
 public:
  explicit RunningService(ServiceOptions options = {})
      : RunningServer(engine, served.model, WithoutLog(std::move(options))) {}
  ~RunningService() { engine.Hold(false); }
};

}  // namespace atom::server
