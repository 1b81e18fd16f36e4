#!/usr/bin/env python3
"""A llama GGUF file as a Hugging Face folder: dequantized by the `gguf` package, in fp32 or rounded
to bf16. For comparing: Atom reads the GGUF file itself.

Needs numpy and gguf 0.17.1:  tools/gguf_to_safetensors.py MODEL.gguf OUT_DIR [--dtype F32|BF16]
"""

import argparse
import pathlib

from gguf_model import GgufModel
from safetensors_numpy import from_float32, write_safetensors


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--dtype", choices=("F32", "BF16"), default="F32")
    options = parser.parse_args()

    model = GgufModel(options.model)
    options.out.mkdir(parents=True)
    model.write_side_files(options.out)
    tensors = {name: (options.dtype, from_float32(values, options.dtype))
               for name, values in model.tensors()}
    write_safetensors(options.out / "model.safetensors", tensors)


if __name__ == "__main__":
    main()
