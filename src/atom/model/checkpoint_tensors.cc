#include "atom/model/checkpoint_tensors.h"

namespace atom::model {

std::optional<io::FoundTensor> CheckpointTensors::Find(std::string_view tensor) const {
  const io::TensorPlace place = names_.Place(tensor);
  std::optional<io::FoundTensor> found = checkpoint_.FindTensor(place.name);
  if (!found) return std::nullopt;
  return io::Take(*std::move(found), place);
}

}  // namespace atom::model
