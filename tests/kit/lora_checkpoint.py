#!/usr/bin/env python3
"""Writes a LoRA of random weights for a picture model in GGUF, whatever its sizes: its attention and MLP layers, rank 4.

usage: lora_checkpoint.py MODEL.gguf LORA.safetensors
"""
import pathlib
import struct
import sys

import random_checkpoint

LAYERS = ("img_attn.qkv", "img_attn.proj", "img_mlp.up_proj", "img_mlp.down_proj")
FIXED = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes of a value by its type
STRING, ARRAY = 8, 9


class Header:
    """The start of a GGUF file, read from front to back."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 4

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self) -> str:
        length = self.number("Q")
        self.at += length
        return self.data[self.at - length:self.at].decode()

    def skip(self, kind: int) -> None:
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            inner, count = self.number("I"), self.number("Q")
            for _ in range(count):
                self.skip(inner)
        else:
            self.at += FIXED[kind]


def tensors_of(data: bytes) -> list[tuple[str, list[int]]]:
    """Names and shapes, slowest length first."""
    assert data[:4] == b"GGUF", "no GGUF file"
    header, found = Header(data), []
    header.number("I")
    count, keys = header.number("Q"), header.number("Q")
    for _ in range(keys):
        header.text()
        header.skip(header.number("I"))
    for _ in range(count):
        name, rank = header.text(), header.number("I")
        found.append((name, [header.number("Q") for _ in range(rank)][::-1]))
        header.number("I")
        header.number("Q")
    return found


def make(model: pathlib.Path, lora: pathlib.Path) -> None:
    pairs = []
    for name, shape in sorted(tensors_of(model.read_bytes())):
        stem = name.removeprefix("model.").removesuffix(".weight")
        if name.startswith("model.diffusion_model.") and name.endswith(".weight") and stem.endswith(LAYERS):
            rank = random_checkpoint.RANK
            pairs += [(stem + ".lora_A.weight", [rank, shape[1]]), (stem + ".lora_B.weight", [shape[0], rank])]
    assert pairs, "the model has none of the layers"
    random_checkpoint.write(lora, pairs, gain=1.0)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        sys.exit(__doc__.strip())
    make(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
