// A service in front of the real engine, with the small random model and little KV memory.
#pragma once

#include "atom/engine/engine.h"

#include "tests/engine/held_runner.h"
#include "tests/engine/loaded_model.h"
#include "tests/server/running_service.h"

namespace atom::server {

struct EngineOfModel {
  EngineOfModel(int64_t kv_pages, const engine::EngineOptions& options)
      : runner(loaded, kv_pages, engine::RunnerKind::kLocal),
        engine(model_runner, *loaded.tokenizer, options) {}

  engine::LoadedModel loaded{"cpu"};
  engine::OwnRunner runner;
  engine::HeldRunner model_runner{runner.runner()};
  chat::ChatTemplate chat_template = chat::ChatTemplate::FromName("plain").value();
  grammar::TokenTrie trie{*loaded.tokenizer, 260};
  MaskThreads mask_threads;  // walk the trie
  ServedModel model = {.name = "tiny",
                       .tokenizer = loaded.tokenizer.get(),
                       .chat_template = &chat_template,
                       .trie = &trie,
                       .mask_threads = &mask_threads,
                       .context = 128,
                       .vocab_size = 260,
                       .created = 1};
  engine::Engine engine;
  EngineThreadPort port_of_engine{engine};
};

class ModelService : public EngineOfModel, public RunningServer {
 public:
  ModelService(int64_t kv_pages, const engine::EngineOptions& engine_options,
               ServiceOptions options)
      : EngineOfModel(kv_pages, engine_options),
        RunningServer(port_of_engine, model, std::move(options)) {}
  ~ModelService() { model_runner.Release(); }

  /// Nothing runs or waits, pages are held by the prefix cache alone, and every end is counted,
  /// which is a moment later.
  bool AtRest() const {
    const engine::EngineStats stats = engine.stats();
    return stats.running == 0 && stats.waiting == 0 && stats.kv_pages_used == 0 &&
           Ended() == Metric("atom:requests_accepted_total");
  }
};

}  // namespace atom::server
