#include "atom/eval/compare_report.h"

#include <algorithm>
#include <cctype>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace atom::eval {
namespace {

using nlohmann::json;

json OrNull(const std::optional<double>& value) { return value ? json(*value) : json(nullptr); }

/// Whether the files' name of a tensor says that it belongs to a layer: "blk.3.ffn_up.weight".
bool BelongsToLayer(std::string_view name) {
  for (size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', dot + 1)) {
    const size_t end = name.find('.', dot + 1);
    const std::string_view part = name.substr(dot + 1, end - dot - 1);
    const bool number = !part.empty() && std::ranges::all_of(part, [](unsigned char c) {
      return std::isdigit(c) != 0;
    });
    if (end != std::string_view::npos && number) return true;
  }
  return false;
}

/// Of an unquantized model's matrices in layers, as the files hold them.
double StoredBits(const std::vector<io::StoredFile>& files) {
  int64_t bytes = 0;
  int64_t weights = 0;
  for (const io::StoredFile& file : files) {
    for (const io::StoredTensor& tensor : file.tensors) {
      if (tensor.shape.size() != 2 || !BelongsToLayer(tensor.name)) continue;
      bytes += static_cast<int64_t>(tensor.bytes);
      weights += ElementCount(tensor.shape);
    }
  }
  return weights == 0 ? 0.0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

json JudgementJson(const CompareReport& report, const TextComparison& text, size_t model) {
  const Verdict verdict = Judge(text, model);
  return {{"name", report.models[model].name},
          {"ppl", verdict.perplexity},
          {"delta", verdict.delta.mean},
          {"delta_stderr", OrNull(verdict.delta.standard_error)},
          {"kl", verdict.kl.mean},
          {"kl_stderr", OrNull(verdict.kl.standard_error)},
          {"top1", verdict.top1},
          {"worst_window", {{"index", verdict.worst_window}, {"delta", verdict.worst_delta}}},
          {"tokens_per_second", verdict.tokens_per_second},
          {"window_losses", text.models[model].losses},
          {"window_kl", text.models[model].kl},
          {"window_top1", text.models[model].agreement}};
}

json LayerJson(const LayerError& error) {
  json sites = json::object();
  for (const auto& [name, value] : error.sites) sites[name] = value;
  return {
      {"after_attention", error.after_attention}, {"after_ffn", error.after_ffn}, {"sites", sites}};
}

}  // namespace

ModelFigures DescribeModel(std::string name, const model::ModelFiles& files,
                           const model::LoadOptions& options) {
  const std::vector<io::StoredFile> stored = files.checkpoint.Files();
  ModelFigures figures{.name = std::move(name), .recipe = {}};
  for (const io::StoredFile& file : stored) figures.bytes += std::ssize(file.bytes);
  if (files.quantization) {
    figures.recipe = files.quantization->recipe.name;
    figures.simulated = files.quantization->simulated;
    figures.bits_per_weight = files.quantization->bits_per_weight_linears;
    figures.kv_bits = files.quantization->recipe.kv.bits;
  } else {
    figures.bits_per_weight = StoredBits(stored);
    figures.kv_bits = static_cast<int>(8 * DTypeSize(options.dtype));
  }
  return figures;
}

json ToJson(const CompareReport& report) {
  json models = json::array();
  for (const ModelFigures& model : report.models) {
    models.push_back({{"name", model.name},
                      {"recipe", model.recipe.empty() ? json(nullptr) : json(model.recipe)},
                      {"simulated", model.simulated},
                      {"bytes", model.bytes},
                      {"bits_per_weight", model.bits_per_weight},
                      {"kv_bits", model.kv_bits}});
  }
  json texts = json::array();
  for (const TextComparison& text : report.texts) {
    json judged = json::array();
    for (size_t m = 0; m < text.models.size(); ++m) {
      judged.push_back(JudgementJson(report, text, m));
    }
    texts.push_back({{"dataset", text.dataset},
                     {"windows", text.windows},
                     {"window", text.window},
                     {"tokens", text.tokens},
                     {"models", judged}});
  }
  json layers = json::array();
  for (size_t m = 0; m < report.layers.size(); ++m) {
    json of_model = json::array();
    for (const LayerError& error : report.layers[m]) of_model.push_back(LayerJson(error));
    layers.push_back({{"name", report.models[m + 1].name}, {"layers", of_model}});
  }
  return {{"compare",
           {{"models", models},
            {"texts", texts},
            {"layer_errors", layers},
            {"logit_bytes", report.logit_bytes}}}};
}

std::string TextTable(const CompareReport& report, size_t index) {
  const TextComparison& text = report.texts.at(index);
  size_t width = 5;
  for (const ModelFigures& model : report.models) width = std::max(width, model.name.size());
  std::string table = fmt::format(
      "{}: {} windows of {} tokens\n{:<{}} {:>6} {:>3} {:>9} {:>11} {:>16} {:>8} {:>6} "
      "{:>14} {:>8}\n",
      text.dataset, text.windows, text.window, "model", width, "bits", "KV", "MiB", "perplexity",
      "delta +- stderr", "KL", "top-1", "worst window", "tokens/s");
  for (size_t m = 0; m < text.models.size(); ++m) {
    const ModelFigures& model = report.models[m];
    const Verdict verdict = Judge(text, m);
    table += fmt::format("{:<{}} {:>6.3f} {:>3} {:>9.1f} {:>11.4f} ", model.name, width,
                         model.bits_per_weight, model.kv_bits,
                         static_cast<double>(model.bytes) / (1 << 20), verdict.perplexity);
    if (m == 0) {
      table += fmt::format("{:>16} {:>8} {:>6} {:>14}", "baseline", "", "", "");
    } else {
      const std::string error = verdict.delta.standard_error
                                    ? fmt::format(" +- {:.4f}", *verdict.delta.standard_error)
                                    : "";
      table += fmt::format(
          "{:>16} {:>8.4f} {:>6.4f} {:>14}", fmt::format("{:.4f}{}", verdict.delta.mean, error),
          verdict.kl.mean, verdict.top1,
          fmt::format("{:+.4f} (#{})", verdict.worst_delta, verdict.worst_window + 1));
    }
    table += fmt::format(" {:>8.1f}\n", verdict.tokens_per_second);
  }
  return table;
}

std::string LayerTable(const CompareReport& report) {
  std::string table;
  for (size_t m = 0; m < report.layers.size(); ++m) {
    const std::vector<LayerError>& layers = report.layers[m];
    table += fmt::format(
        "{}: relative error of the residual stream {:.4f} after layer 1, {:.4f} "
        "after layer {}; of inputs, in the worst layer:",
        report.models[m + 1].name, layers.front().after_ffn, layers.back().after_ffn,
        layers.size());
    for (size_t site = 0; site < layers.front().sites.size(); ++site) {
      size_t worst = 0;
      for (size_t i = 1; i < layers.size(); ++i) {
        if (site >= layers[i].sites.size()) continue;
        if (layers[i].sites[site].second > layers[worst].sites[site].second) worst = i;
      }
      table +=
          fmt::format("{} {} {:.4f} (layer {})", site == 0 ? "" : ",",
                      layers[worst].sites[site].first, layers[worst].sites[site].second, worst + 1);
    }
    table += "\n";
  }
  return table;
}

}  // namespace atom::eval
