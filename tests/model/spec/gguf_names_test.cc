// Which tensor of a GGUF file each module is: what a family's checkpoints merely call otherwise has
// a name of the file's own there, what they fuse is fused there too.
#include "atom/model/spec/gguf_names.h"

#include <gtest/gtest.h>

#include "tests/family_model.h"
#include "tests/io/gguf/gguf_bytes.h"

namespace atom::model {
namespace {

/// Of a file that says that it is of this architecture, and a model of this family.
TensorNames NamesOf(const char* architecture, const char* family) {
  const io::GgufBytes spelled{.keys = {io::KeyBytes("general.architecture", architecture)}};
  const std::string bytes = spelled.Bytes();
  const auto file = io::GgufFile::Parse(std::as_bytes(std::span(bytes)), "f.gguf");
  const Result<ModelSpec> spec = ReadModelSpec(tests::FamilyConfig(family), "config.json");
  return GgufTensorNames(file.value(), spec.value()).value();
}

TEST(GgufNames, AModuleThatCheckpointsRenameHasTheFilesOwnName) {
  // Gemma's checkpoints call the first of these post_attention_layernorm, which is the second's
  // name here; each has its own in the file, and holds 1 + w there.
  const TensorNames names = NamesOf("gemma3", "gemma3");
  const std::pair<const char*, const char*> norms[] = {
      {"input_layernorm", "attn_norm"},
      {"attention_output_layernorm", "post_attention_norm"},
      {"post_attention_layernorm", "ffn_norm"},
      {"mlp_output_layernorm", "post_ffw_norm"},
      {"self_attn.q_norm", "attn_q_norm"}};
  for (const auto& [ours, theirs] : norms) {
    const io::TensorPlace place = names.Place(fmt::format("model.layers.1.{}.weight", ours));
    EXPECT_EQ(place.name, fmt::format("blk.1.{}.weight", theirs));
    EXPECT_EQ(place.offset, -1.0f) << ours;
  }
}

TEST(GgufNames, PartsOfFusedModulesAreRowsOfTheFilesFusedOnes) {
  const TensorNames names = NamesOf("phi3", "phi3");  // 6 and 2 heads of 64, 384 inner channels
  struct Part {
    const char* module;
    const char* fused;
    int64_t first_row, rows;
  };
  for (const Part& part :
       {Part{"self_attn.q_proj", "attn_qkv", 0, 384},
        Part{"self_attn.k_proj", "attn_qkv", 384, 128},
        Part{"self_attn.v_proj", "attn_qkv", 512, 128}, Part{"mlp.gate_proj", "ffn_up", 0, 384},
        Part{"mlp.up_proj", "ffn_up", 384, 384}}) {
    const io::TensorPlace place = names.Place(fmt::format("model.layers.0.{}.weight", part.module));
    EXPECT_EQ(place.name, fmt::format("blk.0.{}.weight", part.fused));
    EXPECT_EQ(place.first_row, part.first_row) << part.module;
    EXPECT_EQ(place.rows, part.rows) << part.module;
  }
}

}  // namespace
}  // namespace atom::model
