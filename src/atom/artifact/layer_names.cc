#include "atom/artifact/layer_names.h"

#include <array>
#include <charconv>
#include <fmt/format.h>

namespace atom::artifact {
namespace {

struct LinearRow {
  LinearRole role;
  std::string_view name;
  std::string_view block;  // of the layer
  std::string_view module;
  SiteRole input;
  bool input_of_expert;                 // each expert has an input site of its own
  std::optional<SiteRole> output = {};  // see OutputSite
};
constexpr std::array kLinears = {
    LinearRow{LinearRole::kQ, "q", "self_attn", "q_proj", SiteRole::kQkv, false},
    LinearRow{LinearRole::kK, "k", "self_attn", "k_proj", SiteRole::kQkv, false},
    LinearRow{LinearRole::kV, "v", "self_attn", "v_proj", SiteRole::kQkv, false},
    LinearRow{LinearRole::kO, "o", "self_attn", "o_proj", SiteRole::kO, false},
    LinearRow{LinearRole::kGate, "gate", "mlp", "gate_proj", SiteRole::kGateUp, false,
              SiteRole::kDown},
    LinearRow{LinearRole::kUp, "up", "mlp", "up_proj", SiteRole::kGateUp, false, SiteRole::kDown},
    LinearRow{LinearRole::kDown, "down", "mlp", "down_proj", SiteRole::kDown, true},
};

constexpr std::array<std::string_view, 4> kSites = {"qkv", "o", "gate_up", "down"};

// Of Llama, which calls the norm before its FFN post_attention_layernorm; the two that it has not
// are named after their place.
constexpr std::array<std::string_view, 6> kNormModules = {
    "input_layernorm",      "attention_output_layernorm", "post_attention_layernorm",
    "mlp_output_layernorm", "self_attn.q_norm",           "self_attn.k_norm"};

constexpr std::string_view kExperts = "experts.";

const LinearRow& RowOf(LinearRole role) { return kLinears.at(static_cast<size_t>(role)); }

std::string WithExpert(int32_t expert, std::string_view name) {
  return expert == kNoExpert ? std::string(name) : fmt::format("{}{}.{}", kExperts, expert, name);
}

// "experts.3.down" is 3 and "down"; without experts the text itself. Only what WithExpert spells.
struct Parsed {
  int32_t expert = kNoExpert;
  std::string_view name;
};
std::optional<Parsed> Parse(std::string_view text) {
  if (!text.starts_with(kExperts)) return Parsed{kNoExpert, text};
  const std::string_view rest = text.substr(kExperts.size());
  int32_t expert = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), expert);
  const auto digits = static_cast<size_t>(end - rest.data());
  if (error != std::errc() || expert < 0 || digits == rest.size() || *end != '.') return {};
  const Parsed parsed{expert, rest.substr(digits + 1)};
  if (WithExpert(expert, parsed.name) != text) return {};
  return parsed;
}

}  // namespace

std::string ToString(const LinearName& name) {
  return WithExpert(name.expert, RowOf(name.role).name);
}

std::optional<LinearName> LinearNameFrom(std::string_view text) {
  const std::optional<Parsed> parsed = Parse(text);
  if (!parsed) return {};
  for (const LinearRow& row : kLinears) {
    if (row.name == parsed->name) return LinearName(row.role, parsed->expert);
  }
  return {};
}

std::string ModulePath(const LinearName& name) {
  const LinearRow& row = RowOf(name.role);
  return fmt::format("{}.{}", row.block, WithExpert(name.expert, row.module));
}

std::string ToString(const SiteName& name) {
  return WithExpert(name.expert, kSites.at(static_cast<size_t>(name.role)));
}

std::optional<SiteName> SiteNameFrom(std::string_view text) {
  const std::optional<Parsed> parsed = Parse(text);
  if (!parsed) return {};
  for (size_t i = 0; i < kSites.size(); ++i) {
    if (kSites[i] == parsed->name) return SiteName(static_cast<SiteRole>(i), parsed->expert);
  }
  return {};
}

std::vector<std::string> RoleNames(LinearRole) {
  std::vector<std::string> names;
  for (const LinearRow& row : kLinears) names.emplace_back(row.name);
  return names;
}

std::vector<std::string> RoleNames(SiteRole) { return {kSites.begin(), kSites.end()}; }

SiteName InputSite(const LinearName& linear) {
  const LinearRow& row = RowOf(linear.role);
  return {row.input, row.input_of_expert ? linear.expert : kNoExpert};
}

std::optional<SiteName> OutputSite(const LinearName& linear) {
  const std::optional<SiteRole> output = RowOf(linear.role).output;
  if (!output) return {};
  return SiteName(*output, linear.expert);
}

bool GathersAtRunTime(const SiteName& site) {
  for (const LinearRow& row : kLinears) {
    if (row.output == site.role) return false;
  }
  return true;
}

std::string_view ModulePath(NormRole role) { return kNormModules.at(static_cast<size_t>(role)); }

}  // namespace atom::artifact
