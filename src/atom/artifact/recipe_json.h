// Recipes as JSON: a file for `--recipe FILE`, and a block inside the artifact's config.json.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "atom/core/result.h"
#include "atom/quant/recipe.h"

namespace atom::artifact {

nlohmann::json ToJson(const quant::Recipe& recipe);
/// Fields left out keep the value they have in the preset that "base" names, or in "none"; unknown
/// fields and values out of range are Errors that name `source`.
Result<quant::Recipe> ParseRecipe(const nlohmann::json& json, const std::string& source);
/// A preset's name, or the path of a JSON file.
Result<quant::Recipe> LoadRecipe(const std::string& name_or_file);

}  // namespace atom::artifact
