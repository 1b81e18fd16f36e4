// What the report says of a layer's size is what the artifact stores.
#include "atom/pipeline/layer_report.h"

#include <algorithm>
#include <array>

#include "quantize_fixture.h"

namespace atom::pipeline {
namespace {

using LayerReportTest = QuantizeModelTest;

constexpr std::array kPackedParts = {".codes4",      ".scales4", ".multipliers4",
                                     ".row_scales4", ".codes8",  ".scales8"};

int64_t PackedBytes(const model::ModelFiles& files) {
  int64_t bytes = 0;
  for (const io::StoredFile& file : files.checkpoint.Files()) {
    for (const io::StoredTensor& tensor : file.tensors) {
      const auto ends = [&](std::string_view part) { return tensor.name.ends_with(part); };
      if (std::ranges::any_of(kPackedParts, ends)) bytes += tensor.bytes;
    }
  }
  return bytes;
}

TEST_F(LayerReportTest, BitsPerWeightAreThoseOfTheStoredCodesAndScales) {
  for (const char* name : {"atom-w4a4", "atom-best", "w4a8", "w4a16", "w8a8"}) {
    SCOPED_TRACE(name);
    Quantize(name, Preset(name), /*simulated=*/false, 2);
    const model::ModelFiles files = model::ModelFiles::Open(folder_ / name).value();
    ASSERT_FALSE(files.quantization->simulated);
    const auto weights = static_cast<double>(model::LinearWeightCount(files.spec));
    EXPECT_DOUBLE_EQ(files.quantization->bits_per_weight_linears,
                     8.0 * static_cast<double>(PackedBytes(files)) / weights);
  }
}

}  // namespace
}  // namespace atom::pipeline
