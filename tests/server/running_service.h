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
#include "tests/tiny_model.h"

namespace atom::server {

/// The tokenizer of tests/tiny_model.h: every byte a token.
inline std::unique_ptr<text::Tokenizer> ByteTokenizer() {
  const tests::TemporaryFolder folder;
  tests::WriteText(folder / "tokenizer.json", tests::TinyTokenizer().dump());
  tests::WriteText(folder / "tokenizer_config.json",
                   R"({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": true})");
  return text::Tokenizer::Load(folder.path()).value();
}

/// "tiny", a context of 64 tokens.
struct TinyServed {
  std::unique_ptr<text::Tokenizer> tokenizer = ByteTokenizer();
  text::ChatTemplate chat_template = text::ChatTemplate::FromName("plain").value();
  text::TokenTrie trie{*tokenizer, 260};
  ServedModel model = {.name = "tiny",
                       .tokenizer = tokenizer.get(),
                       .chat_template = &chat_template,
                       .trie = &trie,
                       .context = 64,
                       .vocab_size = 260,
                       .created = 1};
};

class RunningService {
 public:
  explicit RunningService(ServiceOptions options = {}) {
    options.address.port = 0;
    options.log = false;
    service_ = Service::Start(engine, served.model, std::move(options)).value();
    thread_ = std::jthread([this] {
      service_->Run(false);
      finished_ = true;
    });
  }
  ~RunningService() {
    engine.Hold(false);
    service_->Drain();
  }

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
  bool Healthy() const { return StatusOf(Ask(Get("/health"))) == 200; }

  TinyServed served;
  ScriptedEngine engine;

 private:
  std::unique_ptr<Service> service_;
  std::atomic<bool> finished_{false};
  std::jthread thread_;
};

/// Whether `condition` comes true within five seconds.
template <class Condition>
bool Soon(const Condition& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return condition();
}

}  // namespace atom::server
