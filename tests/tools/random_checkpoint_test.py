"""tools/random_checkpoint.py writes what a reader of safetensors finds."""
import json
import pathlib
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import random_checkpoint  # noqa: E402


class RandomCheckpointTest(unittest.TestCase):
    def test_header_and_size(self):
        tensors = list(random_checkpoint.shapes(8, 16, 2, 4, 2, 32))
        self.assertEqual(len(tensors), 2 * 9 + 3)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.safetensors"
            random_checkpoint.write(path, tensors)
            data = path.read_bytes()
        (size,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8:8 + size])
        self.assertEqual(header["model.layers.1.self_attn.k_proj.weight"]["shape"], [4, 8])
        end = max(entry["data_offsets"][1] for entry in header.values())
        self.assertEqual(len(data), 8 + size + end)
        begin, end = header["model.norm.weight"]["data_offsets"]
        norm = data[8 + size + begin:8 + size + end]
        self.assertEqual(norm, b"\x80\x3f" * 8)  # ones


if __name__ == "__main__":
    unittest.main()
