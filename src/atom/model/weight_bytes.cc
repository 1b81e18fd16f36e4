#include "atom/model/weight_bytes.h"

#include <algorithm>
#include <set>
#include <string>

#include "atom/artifact/layer_tensors.h"

namespace atom::model {
namespace {

/// Bytes in memory of what takes one in a file, where codes become fp32 for want of kernels.
int64_t Widening(const std::string& tensor) {
  if (tensor.ends_with(".codes4")) return 2 * sizeof(float);
  return tensor.ends_with(".codes8") ? sizeof(float) : 1;
}

/// What is looked up or routed by, and never packed, by its name in the files.
std::set<std::string> DenseTensors(const ModelFiles& files) {
  const CheckpointTensors tensors = files.tensors();
  std::set<std::string> names = {tensors.FileName(artifact::kEmbeddingName)};
  for (int64_t layer = 0; layer < files.spec.num_layers(); ++layer) {
    if (files.spec.layer(layer).ffn.moe)
      names.insert(tensors.FileName(artifact::RouterName(layer)));
  }
  return names;
}

int64_t Sum(const ModelFiles& files, bool keeps_codes, bool widens) {
  const std::string embedding = files.tensors().FileName(artifact::kEmbeddingName);
  const std::set<std::string> dense = DenseTensors(files);
  const auto packed = [&](const io::StoredTensor& tensor) {
    return tensor.codes && keeps_codes ? tensor.codes->bytes() : tensor.read_bytes();
  };
  int64_t bytes = 0;
  for (const io::StoredFile& file : files.checkpoint.Files()) {
    for (const io::StoredTensor& tensor : file.tensors) {
      const int64_t taken = dense.contains(tensor.name) ? tensor.read_bytes() : packed(tensor);
      bytes += taken * (widens ? Widening(tensor.name) : 1);
      // One table serves both ends but is kept twice: rows to look up, and packed.
      if (files.spec.head.tied && tensor.name == embedding) bytes += packed(tensor);
    }
  }
  return bytes;
}

}  // namespace

int64_t WeightBytes(const ModelFiles& files, const kernels::Backend& backend) {
  const std::vector<quant::Feature> missing = files.MissingKernels(backend);
  const bool widens = std::ranges::find(missing, quant::Feature::kTwoLevelScales) != missing.end();
  return Sum(files, backend.keeps_codes(), widens);
}

int64_t WeightBytes(const ModelFiles& files, bool keeps_codes) {
  return Sum(files, keeps_codes, false);
}

}  // namespace atom::model
