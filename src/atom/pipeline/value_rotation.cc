#include "atom/pipeline/value_rotation.h"

#include "atom/quant/head_hadamard.h"

namespace atom::pipeline {

using artifact::HostLayer;
using artifact::HostLinear;
using artifact::LinearRole;

void RotateValues(int64_t head_dim, HostLayer& layer) {
  HostLinear& v = layer[LinearRole::kV];
  HostLinear& o = layer[LinearRole::kO];
  const int64_t inputs = v.k();
  const int64_t outputs = o.n();
  std::vector<float> values = v.ToFloats();
  quant::RotateHeadRows(head_dim, inputs, values);
  v.weight = artifact::DenseMatrix::FromFloats(values, v.n(), inputs);
  if (!v.bias.empty()) quant::RotateHeadRows(head_dim, 1, v.bias);
  values = o.ToFloats();
  quant::RotateHeadColumns(head_dim, values);
  o.weight = artifact::DenseMatrix::FromFloats(values, outputs, o.k());
}

Result<HostLayer> ReadSourceLayer(const model::ModelFiles& files, const quant::KvRecipe& kv,
                                  int64_t layer) {
  Result<HostLayer> source = files.ReadLayer(layer);
  if (source.ok() && kv.rotates()) {
    RotateValues(files.spec.layer(layer).attention.head_dim, *source);
  }
  return source;
}

}  // namespace atom::pipeline
