#include "atom/model/checkpoint_tensors.h"

#include "atom/io/stored_codes.h"

namespace atom::model {

std::optional<io::FoundTensor> CheckpointTensors::Find(std::string_view tensor) const {
  const io::TensorPlace place = names_.Place(tensor);
  std::optional<io::FoundTensor> found = checkpoint_.FindTensor(place.name);
  if (!found) return std::nullopt;
  return io::Take(*std::move(found), place);
}

std::optional<io::StoredCodes> CheckpointTensors::FindCodes(std::string_view tensor) const {
  const io::TensorPlace place = names_.Place(tensor);
  std::optional<io::StoredCodes> found = checkpoint_.FindCodes(place.name);
  if (!found) return std::nullopt;
  return io::TakeRows(*std::move(found), place);
}

}  // namespace atom::model
