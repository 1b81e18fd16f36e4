// The tensors of a checkpoint by the names that everything above uses (artifact/layer_tensors.h):
// the family's own spelling, fused and transposed tensors are undone on the way. An artifact has
// these names already.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "atom/io/checkpoint.h"
#include "atom/io/tensor_source.h"
#include "atom/model/spec/model_spec.h"

namespace atom::model {

class CheckpointTensors final : public io::TensorSource {
 public:
  /// The checkpoint must outlive it.
  CheckpointTensors(const io::Checkpoint& checkpoint, TensorNames names)
      : checkpoint_(checkpoint), names_(std::move(names)), name_(checkpoint.dir().string()) {}

  const std::string& name() const override { return name_; }
  std::optional<io::FoundTensor> Find(std::string_view tensor) const override;
  std::optional<io::StoredCodes> FindCodes(std::string_view tensor) const override;

  /// What the files call it (or what it is a part of).
  std::string FileName(std::string_view tensor) const { return names_.Place(tensor).name; }

  /// Hints about the tensors of a layer: they will be read, they were read.
  void ReadAhead(int64_t layer) const { checkpoint_.ReadAhead(names_.LayerPrefix(layer)); }
  void ReleasePages(int64_t layer) const { checkpoint_.ReleasePages(names_.LayerPrefix(layer)); }
  /// Likewise of one tensor.
  void ReleasePages(std::string_view tensor) const { checkpoint_.ReleasePages(FileName(tensor)); }

 private:
  const io::Checkpoint& checkpoint_;
  TensorNames names_;
  std::string name_;
};

}  // namespace atom::model
