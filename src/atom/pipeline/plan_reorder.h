// Which channel goes where: the calibration statistic of every activation site of every layer, on
// the unquantized model, ordered so that the most energetic channels come last.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "atom/core/progress.h"
#include "atom/core/result.h"
#include "atom/model/model_files.h"
#include "atom/pipeline/calibration_stream.h"
#include "atom/quant/recipe.h"

namespace atom::pipeline {

/// One permutation a site; a site without one has the identity.
using LayerPermutations = std::map<artifact::SiteName, quant::Permutation>;

/// Runs the unquantized model over the stream (EmbedAll included), layer by layer, with the
/// recipe's metric; values are rotated where it says so.
Result<std::vector<LayerPermutations>> PlanReorder(const model::ModelFiles& files,
                                                   model::Transformer& transformer,
                                                   CalibrationStream& stream,
                                                   const quant::Recipe& recipe, Progress* progress);

/// The plan as bytes, and back; an Error when they are not a plan of that shape.
std::string SerializePlan(const std::vector<LayerPermutations>& plan);
Result<std::vector<LayerPermutations>> ParsePlan(const std::string& bytes,
                                                 const model::ModelSpec& spec);

}  // namespace atom::pipeline
