#include "atom/server/metrics.h"

#include <fmt/format.h>
#include <iterator>
#include <numeric>

namespace atom::server {
namespace {

// vLLM's buckets, in seconds and in tokens.
constexpr std::array kFirstTokenBounds = {0.001, 0.005, 0.01, 0.02,  0.04,  0.06,  0.08, 0.1,
                                          0.25,  0.5,   0.75, 1.0,   2.5,   5.0,   7.5,  10.0,
                                          20.0,  40.0,  80.0, 160.0, 640.0, 2560.0};
constexpr std::array kBetweenBounds = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,  0.3,  0.4, 0.5,
                                       0.75, 1.0,   2.5,  5.0,   7.5, 10.0, 20.0, 40.0, 80.0};
constexpr std::array kWholeBounds = {0.3,  0.5,   0.8,   1.0,   1.5,   2.0,    2.5,
                                     5.0,  10.0,  15.0,  20.0,  30.0,  40.0,   50.0,
                                     60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0};
constexpr std::array kTokenBounds = {1.0,    2.0,    5.0,    10.0, 20.0, 50.0, 100.0, 200.0, 500.0,
                                     1000.0, 2000.0, 5000.0, 1e4,  2e4,  5e4,  1e5,   2e5};

double Seconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

std::string Escaped(std::string_view label) {
  std::string escaped;
  for (const char c : label) {
    if (c == '\\' || c == '"') escaped += '\\';
    if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

/// The lines of one metric after the other.
class Page {
 public:
  explicit Page(const std::string& labels) : labels_(labels) {}

  void Add(std::string_view name, std::string_view type, std::string_view help, double value) {
    Head(name, type, help);
    fmt::format_to(std::back_inserter(text_), "{}{{{}}} {}\n", name, labels_, value);
  }
  void Add(std::string_view name, std::string_view help, const Histogram& histogram) {
    Head(name, "histogram", help);
    histogram.Write(name, labels_, text_);
  }
  void Head(std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name,
                   type);
  }
  template <class Number>
  void AddLabelled(std::string_view name, std::string_view label, std::string_view of,
                   Number value) {
    fmt::format_to(std::back_inserter(text_), "{}{{{},{}=\"{}\"}} {}\n", name, labels_, label, of,
                   value);
  }
  std::string Take() { return std::move(text_); }

 private:
  const std::string& labels_;
  std::string text_;
};

void AddSpeculation(const engine::EngineStats& stats, Page& page) {
  page.Add("vllm:spec_decode_num_drafts_total", "counter", "Drafts computed.",
           static_cast<double>(stats.drafts));
  page.Add("vllm:spec_decode_num_draft_tokens_total", "counter", "Tokens of drafts computed.",
           static_cast<double>(stats.draft_tokens));
  page.Add("vllm:spec_decode_num_accepted_tokens_total", "counter", "Of those, that came true.",
           static_cast<double>(stats.accepted_tokens));
  constexpr std::string_view kByPlace = "vllm:spec_decode_num_accepted_tokens_per_pos_total";
  page.Head(kByPlace, "counter", "The same by their place in the draft.");
  for (size_t i = 0; i < stats.accepted_at.size(); ++i) {
    page.AddLabelled(kByPlace, "position", std::to_string(i), stats.accepted_at[i]);
  }
}

void AddEngine(const engine::EngineStats& stats, Page& page) {
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  page.Add("vllm:num_requests_running", "gauge", "Requests that are being computed.",
           number(stats.running));
  page.Add("vllm:num_requests_waiting", "gauge", "Requests that have not begun.",
           number(stats.waiting));
  page.Add("vllm:kv_cache_usage_perc", "gauge", "Share of the KV memory in use, 1 is all.",
           stats.kv_pages == 0 ? 0.0 : number(stats.kv_pages_used) / number(stats.kv_pages));
  page.Add("vllm:num_preemptions_total", "counter", "Requests that gave their memory back.",
           number(stats.preemptions));
  page.Add("vllm:prefix_cache_queries_total", "counter", "Prompt tokens looked up.",
           number(stats.prefix_queries));
  page.Add("vllm:prefix_cache_hits_total", "counter", "Prompt tokens found.",
           number(stats.prefix_hits));
  page.Add("vllm:prompt_tokens_total", "counter", "Prompt tokens computed or found.",
           number(stats.prompt_tokens));
  page.Add("vllm:generation_tokens_total", "counter", "Tokens of answers.",
           number(stats.output_tokens));
  AddSpeculation(stats, page);
  page.Add("atom:engine_steps_total", "counter", "Steps of the engine.", number(stats.steps));
  page.Head("atom:engine_seconds_total", "counter", "Where the engine's time goes.");
  page.AddLabelled("atom:engine_seconds_total", "in", "schedule", stats.schedule_seconds);
  page.AddLabelled("atom:engine_seconds_total", "in", "model", stats.model_seconds);
  page.AddLabelled("atom:engine_seconds_total", "in", "sample", stats.sample_seconds);
  page.AddLabelled("atom:engine_seconds_total", "in", "publish", stats.publish_seconds);
  page.Head("atom:kv_pages", "gauge", "Pages of KV memory.");
  page.AddLabelled("atom:kv_pages", "of", "all", stats.kv_pages);
  page.AddLabelled("atom:kv_pages", "of", "used", stats.kv_pages_used);
}

}  // namespace

Metrics::Metrics(std::string model)
    : labels_(fmt::format("model_name=\"{}\"", Escaped(model))),
      first_token_(kFirstTokenBounds),
      between_tokens_(kBetweenBounds),
      whole_(kWholeBounds),
      decode_(kWholeBounds),
      prompt_tokens_(kTokenBounds),
      output_tokens_(kTokenBounds) {}

void Metrics::OnOutput(const engine::Output& output, RequestClock::TimePoint now,
                       RequestClock& clock) {
  const int64_t fresh = output.output_tokens - clock.tokens_;
  if (fresh > 0) {
    if (clock.tokens_ == 0) {
      first_token_.Observe(Seconds(now - clock.arrival_));
      clock.first_ = now;
    } else {
      for (int64_t i = 0; i < fresh; ++i) {
        between_tokens_.Observe(Seconds(now - clock.last_) / static_cast<double>(fresh));
      }
    }
    clock.last_ = now;
    clock.tokens_ = output.output_tokens;
  }
  if (output.finish.has_value()) OnFinish(output, now, clock);
}

void Metrics::OnFinish(const engine::Output& output, RequestClock::TimePoint now,
                       const RequestClock& clock) {
  ++finished_[static_cast<size_t>(*output.finish)];
  whole_.Observe(Seconds(now - clock.arrival_));
  if (clock.tokens_ > 0) decode_.Observe(Seconds(clock.last_ - clock.first_));
  prompt_tokens_.Observe(static_cast<double>(output.prompt_tokens));
  output_tokens_.Observe(static_cast<double>(output.output_tokens));
}

int64_t Metrics::finished() const {
  return std::accumulate(finished_.begin(), finished_.end(), int64_t{0});
}

std::string Metrics::Text(const engine::EngineStats& stats) const {
  Page page(labels_);
  AddEngine(stats, page);
  page.Add("atom:requests_accepted_total", "counter", "Requests that the engine took.",
           static_cast<double>(accepted_));
  page.Head("vllm:request_success_total", "counter", "Accepted requests by the way they ended.");
  for (size_t i = 0; i < finished_.size(); ++i) {
    page.AddLabelled("vllm:request_success_total", "finished_reason", engine::kFinishReasonNames[i],
                     finished_[i]);
  }
  page.Head("atom:http_errors_total", "counter", "HTTP requests answered with an error.");
  for (const auto& [status, count] : refused_) {
    page.AddLabelled("atom:http_errors_total", "status", std::to_string(status), count);
  }
  page.Add("vllm:time_to_first_token_seconds", "From arrival to the first token.", first_token_);
  page.Add("vllm:inter_token_latency_seconds", "From token to token.", between_tokens_);
  page.Add("vllm:e2e_request_latency_seconds", "From arrival to the end.", whole_);
  page.Add("vllm:request_decode_time_seconds", "From the first token to the last.", decode_);
  page.Add("vllm:request_prompt_tokens", "Tokens of a prompt.", prompt_tokens_);
  page.Add("vllm:request_generation_tokens", "Tokens of an answer.", output_tokens_);
  return page.Take();
}

}  // namespace atom::server
