#include "atom/bench/serving/serve_bench.h"

#include <nlohmann/json.hpp>

#include "atom/bench/serving/interrupt_watch.h"
#include "atom/bench/serving/serving_prompts.h"
#include "atom/io/json.h"
#include "atom/io/quote.h"

namespace atom::bench {
namespace {

constexpr int64_t kDefaultContext = 2048;
constexpr int64_t kLeastContext = 4;

const char* LengthsOf(const LoadOptions& load) {
  if (!load.trace.empty()) return "trace";
  return load.fixed ? "fixed" : "published";
}

}  // namespace

Result<ServedName> ParseModels(const std::string& body, const std::string& wanted) {
  const std::string source = "/v1/models";
  const Result<io::Json> json = io::ParseJson(body, source);
  if (!json.ok()) return json.error();
  if (!json->is_object()) {
    return MakeError("{}: expected an object, found {}", source, io::DescribeJson(*json));
  }
  const Result<const io::Json*> models = io::RequireArray(*json, "data", source);
  if (!models.ok()) return models.error();
  for (const io::Json& model : **models) {
    if (!model.is_object()) continue;
    const Result<std::string> id = io::RequireString(model, "id", source);
    if (!id.ok()) return id.error();
    if (!wanted.empty() && *id != wanted) continue;
    const Result<std::optional<int64_t>> context = io::OptionalInt(model, "max_model_len", source);
    return ServedName{.model = *id, .context = context.ok() ? context->value_or(0) : 0};
  }
  return MakeError("{}: expected {}, found none of that name", source,
                   wanted.empty() ? "a model" : "the model " + io::Quote(wanted));
}

std::string CompletionBody(const std::string& model, const std::vector<int32_t>& prompt,
                           int64_t output) {
  const io::Json body = {{"model", model},
                         {"prompt", prompt},
                         {"max_tokens", output},
                         {"ignore_eos", true},
                         {"temperature", 0},
                         {"stream", true},
                         {"stream_options", {{"include_usage", true}}}};
  return io::DumpJson(body, -1);
}

Result<LoadReport> RunServe(const ServeOptions& options) {
  const Result<std::string> models = Fetch(options.target, "/v1/models");
  if (!models.ok()) return models.error();
  const Result<ServedName> served = ParseModels(*models, options.model);
  if (!served.ok()) return served.error();
  LoadOptions load = options.load;
  if (load.context == 0) load.context = served->context > 0 ? served->context : kDefaultContext;
  if (load.context < kLeastContext) {
    return MakeError("--context: expected at least {} tokens, found {}", kLeastContext,
                     load.context);
  }
  const Result<LoadPlan> plan = PlanLoad(load);
  if (!plan.ok()) return plan.error();
  const ServingPrompts prompts({.vocabulary = options.vocabulary,
                                .shared_prefixes = options.shared_prefixes,
                                .seed = load.seed});
  InterruptWatch watch;
  const std::vector<CompletionRecord> records = RunLoad(
      options.target, *plan,
      [&](size_t index) {
        const RequestLengths& lengths = plan->requests[index].lengths;
        return CompletionBody(served->model,
                              prompts.Make(static_cast<int64_t>(index), lengths.prompt),
                              lengths.output);
      },
      [&watch] { return watch.Seen(); });
  LoadReport report = MakeLoadReport(records, options.goals);
  report.model = served->model;
  report.cut = plan->cut;
  return report;
}

nlohmann::json ToJson(const ServeOptions& options, const LoadReport& report) {
  const LoadOptions& load = options.load;
  nlohmann::json json = ToJson(report);
  json["bench"] = "serve";
  json["url"] = "http://" + options.target.url.HostHeader() + options.target.url.path;
  json["load"] = {{"lengths", LengthsOf(load)},
                  {"concurrency", load.concurrency},
                  {"rate", load.rate},
                  {"shared_prefixes", options.shared_prefixes},
                  {"seed", load.seed},
                  {"slo_ttft_ms", options.goals.first * 1e3},
                  {"slo_itl_ms", options.goals.gap * 1e3}};
  if (!load.trace.empty()) {
    json["load"]["rate_scale"] = load.rate_scale;
  } else if (load.fixed) {
    json["load"]["fixed"] = {load.fixed->prompt, load.fixed->output};
  } else {
    json["load"]["scale"] = load.scale;
  }
  return json;
}

}  // namespace atom::bench
