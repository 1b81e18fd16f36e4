// Tables of tokens that are narrower than the model (OPT-350m): a linear takes their rows to the
// hidden width, another one takes hidden states back before lm_head. Both are folded into the
// tables when they are loaded, so that no step knows of them.
//
//   embedding [vocab][E] · project_inᵀ  [E][hidden] ─ embedding [vocab][hidden]
//   lm_head   [vocab][E] · project_out  [E][hidden] ─ lm_head   [vocab][hidden]
#pragma once

#include "atom/artifact/layer.h"
#include "atom/core/tensor_view.h"

namespace atom::model {

/// table [vocab][E] times `projection` [E][hidden], or its transpose if it is [hidden][E] and
/// `transposed`: fp32, each sum over E ascending.
artifact::DenseMatrix ProjectedTable(const TensorView& table, const TensorView& projection,
                                     bool transposed);

}  // namespace atom::model
