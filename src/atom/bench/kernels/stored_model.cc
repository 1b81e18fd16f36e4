#include "atom/bench/kernels/stored_model.h"

#include <utility>

#include "atom/artifact/layer_tensors.h"
#include "atom/model/weight_bytes.h"
#include "atom/model/weights.h"

namespace atom::bench {

Result<TimedModel> LoadStoredModel(kernels::Backend& backend, const model::ModelFiles& files,
                                   const model::Transformer::Limits& limits) {
  Result<std::unique_ptr<model::Transformer>> loaded =
      model::LoadTransformer(files, backend, {.limits = limits});
  if (!loaded.ok()) return loaded.error();
  TimedModel made{.transformer = *std::move(loaded)};
  made.kv = made.transformer->KvShapes().front().format;
  // Rows of the table are looked up, a few bytes a token.
  const std::string table = files.tensors().FileName(artifact::kEmbeddingName);
  made.cost.linear_bytes = model::WeightBytes(files, backend);
  for (const io::StoredFile& file : files.checkpoint.Files()) {
    for (const io::StoredTensor& tensor : file.tensors) {
      if (tensor.name == table) made.cost.linear_bytes -= tensor.read_bytes();
    }
  }
  made.cost.linear_weights = model::LinearWeightCount(files.spec);
  SetAttentionCost(files.spec, made);
  return made;
}

}  // namespace atom::bench
