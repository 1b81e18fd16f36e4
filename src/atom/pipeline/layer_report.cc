#include "atom/pipeline/layer_report.h"

#include <nlohmann/json.hpp>

#include "atom/artifact/layer_tensors.h"
#include "atom/io/json.h"
#include "atom/model/weights.h"

namespace atom::pipeline {
namespace {

constexpr double kScaleBits = 16.0;  // fp16

nlohmann::json LayerToJson(const LayerReport& report) {
  nlohmann::json json = {{"error", report.error},
                         {"damping", report.damping},
                         {"bits_per_weight", report.bits_per_weight}};
  for (const auto& [name, linear] : report.linears) {
    json["linear_error"][ToString(name)] = linear.error;
    if (linear.rounding_error < 0.0) continue;
    json["rounding_error"][ToString(name)] = linear.rounding_error;
    if (linear.rounding_kept) json["rounding_kept"].push_back(ToString(name));
  }
  for (const auto& [name, site] : report.sites) {
    json["sites"][ToString(name)] = {{"error", site.error},
                                     {"first_token_energy", site.statistics.first_token},
                                     {"largest_outlier", site.statistics.largest_outlier},
                                     {"largest_low_bit", site.statistics.largest_low_bit}};
  }
  for (const auto& [name, clip] : report.clips.weight) json["weight_clip"][ToString(name)] = clip;
  for (const auto& [name, clip] : report.clips.activation) {
    json["activation_clip"][ToString(name)] = clip;
  }
  json["kv_clip"] = report.clips.kv;
  if (!report.clips.kv_heads.empty()) json["kv_head_clips"] = report.clips.kv_heads;
  for (const auto& [site, width] : report.hadamard) json["hadamard"][ToString(site)] = width;
  if (!report.expert_tokens.empty()) {
    json["expert_tokens"] = report.expert_tokens;
    json["experts_of_shared_hessian"] = report.shared_hessian;
  }
  return json;
}

double OutlierBits(quant::OutlierFormat format) {
  switch (format) {
    case quant::OutlierFormat::kFp16:
      return 16.0;
    case quant::OutlierFormat::kE5M2:
    case quant::OutlierFormat::kE4M3:
    case quant::OutlierFormat::kInt8:
      return 8.0;
  }
  return 16.0;
}

/// Bits of the scales of one row of low-bit columns.
double ScaleBits(const quant::WeightFormat& format, double groups) {
  if (format.scales == quant::ScaleFormat::kTwoLevel) return groups * 4.0 + 32.0;
  return groups * kScaleBits * (format.symmetric ? 1.0 : 2.0);
}

/// Bits that one linear takes under a format, scales stored per row.
double LinearBits(const quant::WeightFormat& format, int64_t n, int64_t k, DType unquantized) {
  const auto rows = static_cast<double>(n);
  if (format.bits == 16) return rows * static_cast<double>(k * DTypeSize(unquantized) * 8);
  const int64_t outliers = format.OutlierColumns(k);
  const int64_t low = k - outliers;
  const double groups = low == 0 ? 0.0
                        : format.group == 0
                            ? 1.0
                            : static_cast<double>(low) / static_cast<double>(format.group);
  double bits = static_cast<double>(low * format.bits) + ScaleBits(format, groups);
  if (outliers > 0) {
    bits += static_cast<double>(outliers) * OutlierBits(format.outlier_format);
    if (format.outlier_format == quant::OutlierFormat::kInt8) bits += kScaleBits;
  }
  return rows * bits;
}

/// Embedding, head, norms, biases.
std::vector<std::string> TensorsBesideLinears(const model::ModelSpec& spec) {
  std::vector<std::string> names;
  for (const artifact::OuterTensor& outer : model::OuterTensors(spec)) names.push_back(outer.name);
  for (int64_t i = 0; i < spec.num_layers(); ++i) {
    const artifact::LayerShape shape = model::ShapeOfLayer(spec, i);
    for (const artifact::NormShape& norm : shape.norms) {
      names.push_back(artifact::NormTensorName(i, norm.role, "weight"));
      if (norm.bias) names.push_back(artifact::NormTensorName(i, norm.role, "bias"));
    }
    if (shape.router.experts > 0) names.push_back(artifact::RouterName(i));
    for (const artifact::LinearShape& linear : shape.linears) {
      if (linear.bias) names.push_back(artifact::LinearTensorName(i, linear.name, "bias"));
    }
  }
  return names;
}

}  // namespace

nlohmann::json ToJson(const QuantizeReport& report) {
  nlohmann::json json = {{"bits_per_weight_linears", report.bits_per_weight_linears},
                         {"bits_per_weight_model", report.bits_per_weight_model},
                         {"layers", nlohmann::json::array()}};
  for (const LayerReport& layer : report.layers) json["layers"].push_back(LayerToJson(layer));
  return json;
}

std::string DumpLayerReport(const LayerReport& report) { return LayerToJson(report).dump(); }

Result<LayerReport> ParseLayerReport(const std::string& text) {
  const Result<io::Json> parsed = io::ParseJson(text, "saved layer report");
  if (!parsed.ok()) return parsed.error();
  LayerReport report;
  try {  // written by DumpLayerReport: anything else is a damaged file
    const nlohmann::json& json = *parsed;
    report.error = json.at("error").get<double>();
    report.damping = json.at("damping").get<double>();
    report.bits_per_weight = json.at("bits_per_weight").get<double>();
    report.clips.kv = json.at("kv_clip").get<float>();
    if (json.contains("kv_head_clips")) {
      report.clips.kv_heads = json.at("kv_head_clips").get<std::vector<float>>();
    }
    for (const auto& [key, error] : json.at("linear_error").items()) {
      report.linears[artifact::LinearNameFrom(key).value()].error = error.get<double>();
    }
    const io::Json rounding_error = json.value("rounding_error", io::Json::object());
    for (const auto& [key, error] : rounding_error.items()) {
      report.linears[artifact::LinearNameFrom(key).value()].rounding_error = error.get<double>();
    }
    for (const io::Json& name : json.value("rounding_kept", io::Json::array())) {
      const std::string key = name.get<std::string>();
      report.linears[artifact::LinearNameFrom(key).value()].rounding_kept = true;
    }
    const io::Json sites = json.value("sites", io::Json::object());
    for (const auto& [key, site] : sites.items()) {
      report.sites[artifact::SiteNameFrom(key).value()] = {
          .error = site.at("error").get<double>(),
          .statistics = {.first_token = site.at("first_token_energy").get<double>(),
                         .largest_outlier = site.at("largest_outlier").get<double>(),
                         .largest_low_bit = site.at("largest_low_bit").get<double>()}};
    }
    for (const auto& [key, clip] : json.at("weight_clip").items()) {
      report.clips.weight[artifact::LinearNameFrom(key).value()] = clip.get<float>();
    }
    for (const auto& [key, clip] : json.at("activation_clip").items()) {
      report.clips.activation[artifact::SiteNameFrom(key).value()] = clip.get<float>();
    }
    if (json.contains("hadamard")) {
      for (const auto& [key, width] : json.at("hadamard").items()) {
        report.hadamard[artifact::SiteNameFrom(key).value()] = width.get<int64_t>();
      }
    }
    if (json.contains("expert_tokens")) {
      report.expert_tokens = json.at("expert_tokens").get<std::vector<int64_t>>();
      report.shared_hessian = json.at("experts_of_shared_hessian").get<std::vector<int32_t>>();
    }
  } catch (const std::exception& failure) {
    return MakeError("saved layer report: {}", failure.what());
  }
  return report;
}

std::map<artifact::SiteName, int64_t> HadamardWidths(const quant::Recipe& recipe,
                                                     const artifact::LayerShape& shape) {
  std::map<artifact::SiteName, int64_t> widths;
  if (!recipe.hadamard) return widths;
  for (const artifact::SiteShape& site : shape.Sites()) {
    widths[site.name] = quant::ActivationFormatFor(recipe, site.width, true).hadamard;
  }
  return widths;
}

LayerReport ReportOf(const quant::Recipe& recipe, const artifact::LayerShape& shape,
                     const LayerResult& result) {
  LayerReport report;
  report.damping = result.damping;
  report.clips = result.clips;
  report.expert_tokens = result.expert_tokens;
  report.shared_hessian = result.shared_hessian;
  report.hadamard = HadamardWidths(recipe, shape);
  report.bits_per_weight = LayerBitsPerWeight(recipe, result.host);
  std::map<artifact::SiteName, quant::OutputError> of_site;
  for (const artifact::LinearShape& linear : shape.linears) {
    LinearReport& of_linear = report.linears[linear.name];
    const auto error = result.linear_error.find(linear.name);
    if (error == result.linear_error.end()) continue;
    of_linear.error = error->second.relative();
    quant::OutputError& sum = of_site[artifact::InputSite(linear.name)];
    sum.error += error->second.error;
    sum.norm += error->second.norm;
    const auto gptq = result.gptq.find(linear.name);
    if (gptq == result.gptq.end()) continue;
    of_linear.rounding_error = gptq->second.rounding.relative();
    of_linear.rounding_kept = gptq->second.rounding_kept();
  }
  for (const auto& [name, statistics] : result.sites) {
    report.sites[name] = {.error = of_site[name].relative(), .statistics = statistics};
  }
  return report;
}

double LayerBitsPerWeight(const quant::Recipe& recipe, const artifact::HostLayer& layer) {
  const quant::WeightFormat format = quant::WeightFormatFor(recipe);
  double bits = 0.0;
  double weights = 0.0;
  for (const artifact::HostLinear& linear : layer.linears) {
    bits += LinearBits(format, linear.n(), linear.k(), DType::kF16);
    weights += static_cast<double>(linear.n() * linear.k());
  }
  return bits / weights;
}

void FinishReport(const model::ModelFiles& files, QuantizeReport& report) {
  double sum = 0.0;
  for (const LayerReport& layer : report.layers) sum += layer.bits_per_weight;
  report.bits_per_weight_linears = sum / static_cast<double>(report.layers.size());

  const auto linear_weights = static_cast<double>(model::LinearWeightCount(files.spec));
  double bits = report.bits_per_weight_linears * linear_weights;
  double weights = linear_weights;
  const model::CheckpointTensors tensors = files.tensors();
  for (const std::string& name : TensorsBesideLinears(files.spec)) {
    const std::optional<io::FoundTensor> found = tensors.Find(name);
    if (!found) continue;  // loading has refused it
    bits += static_cast<double>(found->view.bytes()) * 8.0;
    weights += static_cast<double>(found->view.elements());
  }
  report.bits_per_weight_model = bits / weights;
}

}  // namespace atom::pipeline
