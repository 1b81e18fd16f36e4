#include "atom/model/spec/families.h"

#include <array>

#include "atom/io/foreign/foreign_format.h"
#include "atom/model/spec/config_fields.h"
#include "atom/model/spec/gemma.h"
#include "atom/model/spec/llama.h"
#include "atom/model/spec/mixtral.h"
#include "atom/model/spec/opt.h"
#include "atom/model/spec/phi3.h"
#include "atom/model/spec/qwen.h"

namespace atom::model {
namespace {

using io::Json;
using io::Quote;

struct Family {
  std::string_view architecture;
  std::string_view model_type;
  Result<ModelSpec> (*read)(const Json& config, const std::string& source);
};
constexpr std::array kFamilies = {
    Family{"LlamaForCausalLM", "llama", ReadLlama},
    Family{"MistralForCausalLM", "mistral", ReadMistral},
    Family{"MixtralForCausalLM", "mixtral", ReadMixtral},
    Family{"Phi3ForCausalLM", "phi3", ReadPhi3},
    Family{"Qwen2ForCausalLM", "qwen2", ReadQwen2},
    Family{"Qwen3ForCausalLM", "qwen3", ReadQwen3},
    Family{"Qwen3MoeForCausalLM", "qwen3_moe", ReadQwen3Moe},
    Family{"Gemma2ForCausalLM", "gemma2", ReadGemma2},
    Family{"Gemma3ForCausalLM", "gemma3_text", ReadGemma3},
    Family{"OPTForCausalLM", "opt", ReadOpt},
};

Result<Family> FindFamily(const Json& config, const std::string& source) {
  ConfigFields fields(config, source);
  const std::optional<std::string> model_type = fields.String("model_type");
  if (!fields.status().ok()) return fields.status().error();
  const auto list = config.find("architectures");
  if (list == config.end() || list->is_null()) {
    return FindRow(kFamilies, &Family::model_type, model_type.value_or(""), "model_type", source);
  }
  if (!list->is_array() || list->size() != 1 || !list->front().is_string()) {
    return MakeError(
        "{}: field 'architectures' is {}, expected a list of one string", source,
        list->is_array() ? fmt::format("a list of {}", list->size()) : io::DescribeJson(*list));
  }
  Result<Family> found =
      FindRow(kFamilies, &Family::architecture, list->front().get_ref<const std::string&>(),
              "architecture", source);
  if (found.ok() && model_type && *model_type != found->model_type) {
    return MakeError("{}: architecture {} and model_type {} contradict each other, expected {}",
                     source, found->architecture, Quote(*model_type), Quote(found->model_type));
  }
  return found;
}

// A checkpoint that other programs quantized means something else by its tensors, unless io/ reads
// them as those of an unquantized one.
Status RefuseOtherQuantization(const Json& config, const std::string& source) {
  ConfigFields fields(config, source);
  const Json* quantization = fields.Object("quantization_config");
  if (!fields.status().ok() || quantization == nullptr) return fields.status();
  const std::string where = source + ": quantization_config";
  Result<std::string> method = io::RequireString(*quantization, "quant_method", where);
  if (!method.ok()) return method.error();
  if (*method == "atom" || io::ForeignMethodFromName(*method)) return {};
  return MakeError(
      "{}: quant_method {} is not known, expected an unquantized checkpoint or one of atom, {}",
      where, Quote(*method), io::ForeignMethodNames());
}

}  // namespace

Result<ModelSpec> ReadModelSpec(const Json& config, const std::string& source) {
  if (!config.is_object()) {
    return MakeError("{}: expected an object, found {}", source, io::DescribeJson(config));
  }
  Result<Family> family = FindFamily(config, source);
  if (!family.ok()) return family.error();
  Result<ModelSpec> spec = family->read(config, source);
  if (!spec.ok()) return spec.error();
  Status status = RefuseOtherQuantization(config, source);
  if (status.ok()) status = ReadSpecialTokens(config, source, &*spec);
  if (status.ok()) status = CheckComputable(*spec, source);
  if (!status.ok()) return status.error();
  return spec;
}

}  // namespace atom::model
