// A row of `atom bench serving-recipes` as JSON, and read back: a run that was interrupted goes on
// where it stopped.
#include <nlohmann/json.hpp>

#include "atom/bench/serving/serving_recipes.h"

namespace atom::bench {
namespace {

using Json = nlohmann::json;

Json LengthsToJson(const LengthsPlan& lengths) {
  if (lengths.fixed) {
    return {{"prompt", lengths.fixed->prompt}, {"output", lengths.fixed->output}};
  }
  return {{"published", lengths.max_length}, {"scale", lengths.scale}};
}

LengthsPlan LengthsFromJson(const Json& json) {
  LengthsPlan lengths;
  if (json.contains("prompt")) {
    lengths.fixed = {.prompt = json.at("prompt"), .output = json.at("output")};
  } else {
    lengths.max_length = json.at("published");
    lengths.scale = json.at("scale");
  }
  return lengths;
}

void PointToJson(const ServingPoint& point, Json& json) {
  json["fill_seconds"] = point.fill_seconds;
  json["warm_up_seconds"] = point.warm_up_seconds;
  json["seconds"] = point.seconds;
  json["steps"] = point.steps;
  json["output_tokens"] = point.output_tokens;
  json["prompt_tokens"] = point.prompt_tokens;
  json["finished_requests"] = point.finished;
  json["output_tokens_per_second"] = point.TokensPerSecond();
  json["tokens_per_second"] = point.AllTokensPerSecond();
  json["decode_ms"] = MillisecondsToJson(point.gap);
  json["mean_running"] = point.running;
  json["mean_pages_used"] = point.pages_used;
  json["preemptions"] = point.preemptions;
  json["overhead_share"] = point.overhead_share;
  json["sample_share"] = point.sample_share;
  if (point.device_bytes > 0) json["device_bytes"] = point.device_bytes;
}

ServingPoint PointFromJson(const Json& json) {
  const Json& gap = json.at("decode_ms");
  return {.fill_seconds = json.at("fill_seconds"),
          .warm_up_seconds = json.at("warm_up_seconds"),
          .seconds = json.at("seconds"),
          .steps = json.at("steps"),
          .output_tokens = json.at("output_tokens"),
          .prompt_tokens = json.at("prompt_tokens"),
          .finished = json.at("finished_requests"),
          .gap = {.count = gap.at("count"),
                  .mean = gap.at("mean").get<double>() / 1e3,
                  .p50 = gap.at("p50").get<double>() / 1e3,
                  .p90 = gap.at("p90").get<double>() / 1e3,
                  .p99 = gap.at("p99").get<double>() / 1e3,
                  .max = gap.at("max").get<double>() / 1e3},
          .running = json.at("mean_running"),
          .pages_used = json.at("mean_pages_used"),
          .preemptions = json.at("preemptions"),
          .device_bytes = json.value("device_bytes", int64_t{0}),
          .overhead_share = json.at("overhead_share"),
          .sample_share = json.at("sample_share")};
}

}  // namespace

Json ToJson(const ServingRow& row, const BenchContext& bench) {
  Json json = {{"bench", "serving-recipes"},
               {"weights", "random"},
               {"geometry", row.geometry},
               {"recipe", row.recipe},
               {"layers", row.layers},
               {"model_layers", row.model_layers},
               {"kv_bits", row.kv_bits},
               {"lengths", LengthsToJson(row.lengths)},
               {"weight_bytes", row.memory.weights},
               {"scratch_bytes", row.memory.scratch},
               {"reserve_bytes", row.memory.reserve},
               {"page_bytes", row.memory.page_bytes},
               {"exact_page_bytes", row.memory.exact_page_bytes},
               {"most_running", row.most_running},
               {"kv_pages", row.kv.pages},
               {"exact_pages", row.kv.exact_pages},
               {"page_positions", row.page_positions},
               {"kv_layers", row.kv_layers},
               {"total_bytes", row.memory.Total(row.kv)},
               {"fits", row.fits}};
  if (row.batch > 0) {
    json["batch"] = row.batch;
  } else {
    json["budget_bytes"] = row.budget;
    json["rule"] = Name(row.rule);
  }
  bench.Describe(json);
  if (row.fits) PointToJson(row.point, json);
  return json;
}

ServingRow ServingRowFromJson(const Json& json) {
  ServingRow row = {.geometry = json.at("geometry"),
                    .recipe = json.at("recipe"),
                    .layers = json.at("layers"),
                    .model_layers = json.at("model_layers"),
                    .kv_bits = json.at("kv_bits"),
                    .batch = json.value("batch", int64_t{0}),
                    .budget = json.value("budget_bytes", int64_t{0}),
                    .lengths = LengthsFromJson(json.at("lengths")),
                    .memory = {.weights = json.at("weight_bytes"),
                               .scratch = json.at("scratch_bytes"),
                               .reserve = json.at("reserve_bytes"),
                               .page_bytes = json.at("page_bytes"),
                               .exact_page_bytes = json.at("exact_page_bytes")},
                    .most_running = json.at("most_running"),
                    .kv = {.pages = json.at("kv_pages"), .exact_pages = json.at("exact_pages")},
                    .page_positions = json.at("page_positions"),
                    .kv_layers = json.at("kv_layers"),
                    .fits = json.at("fits")};
  if (json.value("rule", "") == Name(MemoryRule::kOnDemand)) row.rule = MemoryRule::kOnDemand;
  if (row.fits) row.point = PointFromJson(json);
  return row;
}

}  // namespace atom::bench
