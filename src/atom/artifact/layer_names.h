// What the parts of a decoder layer are called: linears by role and expert, activation sites,
// norms, a router. Strings on disk ("q", "experts.3.down"), and in tensor names the module paths of
// Llama's checkpoints ("self_attn.q_proj"), which serve every family: where a family's own
// checkpoints spell them otherwise, its spec says so (model/spec).
//
//   input norm ─ qkv ─ q,k,v      attention ─ o ─ o
//   ffn norm ─ gate_up ─ gate,up      f(gate)·up ─ down ─ down
//
// An activation site (also called linear input) is the place between a producer and the linears
// that read it; these share one permutation and one activation format.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace atom::artifact {

enum class LinearRole { kQ, kK, kV, kO, kGate, kUp, kDown };
enum class SiteRole { kQkv, kO, kGateUp, kDown };
enum class NormRole { kInput, kPostAttention, kFfn, kPostFfn, kQ, kK };

inline constexpr int32_t kNoExpert = -1;

struct LinearName {
  LinearName(LinearRole r = LinearRole::kQ, int32_t e = kNoExpert)  // NOLINT: a role is a name
      : role(r), expert(e) {}
  friend auto operator<=>(const LinearName&, const LinearName&) = default;

  LinearRole role;
  int32_t expert;
};
std::string ToString(const LinearName& name);  ///< "q", "experts.3.down"
std::optional<LinearName> LinearNameFrom(std::string_view text);
std::string ModulePath(const LinearName& name);  ///< "self_attn.q_proj", "mlp.experts.3.down_proj"

struct SiteName {
  SiteName(SiteRole r = SiteRole::kQkv, int32_t e = kNoExpert)  // NOLINT: a role is a name
      : role(r), expert(e) {}
  friend auto operator<=>(const SiteName&, const SiteName&) = default;

  SiteRole role;
  int32_t expert;
};
std::string ToString(const SiteName& name);  ///< "qkv", "experts.3.down"
std::optional<SiteName> SiteNameFrom(std::string_view text);
std::vector<std::string> RoleNames(LinearRole);  ///< of all roles, for sentences
std::vector<std::string> RoleNames(SiteRole);

/// The site that a linear reads.
SiteName InputSite(const LinearName& linear);
/// The site whose permutation the rows of a linear carry, so that nothing is gathered there: what
/// gate and up write comes out in down's order.
std::optional<SiteName> OutputSite(const LinearName& linear);
/// False where the linears before the site carry its permutation.
bool GathersAtRunTime(const SiteName& site);

std::string_view ModulePath(NormRole role);  ///< "input_layernorm"
inline constexpr std::string_view kRouterModule = "mlp.gate";

}  // namespace atom::artifact
