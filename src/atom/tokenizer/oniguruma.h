// Oniguruma has to be told once, before it is used, what it is used for.
#pragma once

namespace atom::tokenizer {

/// Any number of times, from any number of threads.
void InitializeOniguruma();

}  // namespace atom::tokenizer
