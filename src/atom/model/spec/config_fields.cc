#include "atom/model/spec/config_fields.h"

namespace atom::model {

using io::Json;

Status CheckRange(int64_t value, std::string_view field, int64_t least, int64_t most,
                  const std::string& source) {
  if (value >= least && value <= most) return {};
  return MakeError("{}: field '{}' is {}, expected {} to {}", source, field, value, least, most);
}

namespace {

Result<int32_t> TokenId(const Json& value, std::string_view field, int64_t vocab_size,
                        const std::string& source) {
  const bool fits = value.is_number_integer() && value >= 0 && value < vocab_size;
  if (fits) return value.get<int32_t>();
  return MakeError("{}: field '{}' holds {}, expected a token id from 0 to {}", source, field,
                   io::DescribeJson(value), vocab_size - 1);
}

}  // namespace

Status ReadSpecialTokens(const Json& config, const std::string& source, ModelSpec* spec) {
  const auto bos = config.find("bos_token_id");
  if (bos != config.end() && !bos->is_null()) {
    Result<int32_t> id = TokenId(*bos, "bos_token_id", spec->vocab_size, source);
    if (!id.ok()) return id.error();
    spec->bos_token_id = *id;
  }
  const auto eos = config.find("eos_token_id");
  if (eos == config.end() || eos->is_null()) return {};
  const Json list = eos->is_array() ? *eos : Json::array({*eos});  // one id, or several
  for (const Json& value : list) {
    Result<int32_t> id = TokenId(value, "eos_token_id", spec->vocab_size, source);
    if (!id.ok()) return id.error();
    spec->eos_token_ids.push_back(*id);
  }
  return {};
}

}  // namespace atom::model
