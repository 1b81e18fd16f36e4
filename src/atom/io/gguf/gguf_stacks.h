// The weights of a layer's experts are stacked in GGUF: "blk.3.ffn_gate_exps.weight" is [E][N][K].
// Everything above knows matrices alone, so a stack is taken apart into E of them, as views, with
// the names that files had before there were stacks: "blk.3.ffn_gate.0.weight", ….
#pragma once

#include <vector>

#include "atom/io/gguf/gguf_file.h"

namespace atom::io {

/// The matrices of a stack; empty: the tensor is none. REQUIRES: it has its data.
std::vector<GgufTensor> SplitStack(const GgufTensor& tensor);

}  // namespace atom::io
