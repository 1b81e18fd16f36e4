#include "atom/model/spec/moe_fields.h"

#include "atom/model/spec/config_fields.h"

namespace atom::model {

Result<MoeSpec> ReadMoe(const io::Json& config, const std::string& source, const MoeSpec& absent) {
  ConfigFields fields(config, source);
  MoeSpec moe = absent;
  const int64_t local = fields.Int("num_local_experts", 1, kMaxExperts, 0);
  moe.experts = fields.Int("num_experts", 1, kMaxExperts, local > 0 ? local : absent.experts);
  if (!fields.status().ok()) return fields.status().error();
  if (local > 0 && local != moe.experts) {
    return MakeError("{}: num_experts {} and num_local_experts {} contradict each other", source,
                     moe.experts, local);
  }
  moe.top_k = fields.Int("num_experts_per_tok", 1, moe.experts, absent.top_k);
  if (!fields.status().ok()) return fields.status().error();
  if (moe.top_k > moe.experts) {
    return MakeError("{}: num_experts_per_tok is missing, expected it for {} experts", source,
                     moe.experts);
  }
  return moe;
}

}  // namespace atom::model
