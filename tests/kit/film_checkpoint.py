#!/usr/bin/env python3
"""Writes an untrained film model in the layout of Wan 2.1 (1.3B), which the real engine loads and runs.

usage: film_checkpoint.py FOLDER

FOLDER/film.gguf is the network, FOLDER/film-tae.safetensors its small autoencoder. The library has the network's sizes
built in: 1.4 thousand million numbers, of 4 bits here. They are zero and a hole in the file, but for the first and the last
layer: noise goes in, moving patterns come out. There is no text encoder, so that prompts mean nothing.
"""
import math
import os
import pathlib
import random
import struct
import sys

from random_checkpoint import gaussian, write

DIM, FFN, LAYERS, TEXT, FREQ, LATENT = 1536, 8960, 30, 4096, 256, 16
F16, Q4_0, ALIGN = 1, 2, 32
KINDS = {F16: (1, 2), Q4_0: (32, 18)}  # numbers in a block, bytes of it

Tensors = dict[str, tuple[list[int], int]]  # lengths in ggml's order, kind


def linear(out: Tensors, name: str, to: int, of: int) -> None:
    out[name + ".weight"] = ([of, to], Q4_0)
    out[name + ".bias"] = ([to], F16)


def attention(out: Tensors, name: str) -> None:
    for part in "qkvo":
        linear(out, f"{name}.{part}", DIM, DIM)
    for part in ("norm_q", "norm_k"):
        out[f"{name}.{part}.weight"] = ([DIM], F16)


def network() -> Tensors:
    out: Tensors = {"patch_embedding.weight": ([2, 2, 1, LATENT * DIM], F16), "patch_embedding.bias": ([DIM], F16)}
    linear(out, "text_embedding.0", DIM, TEXT)
    linear(out, "text_embedding.2", DIM, DIM)
    linear(out, "time_embedding.0", DIM, FREQ)
    linear(out, "time_embedding.2", DIM, DIM)
    linear(out, "time_projection.1", 6 * DIM, DIM)
    for i in range(LAYERS):
        block = f"blocks.{i}"
        out[block + ".modulation"] = ([DIM, 6, 1], F16)
        attention(out, block + ".self_attn")
        attention(out, block + ".cross_attn")
        out[block + ".norm3.weight"] = out[block + ".norm3.bias"] = ([DIM], F16)
        linear(out, block + ".ffn.0", FFN, DIM)
        linear(out, block + ".ffn.2", DIM, FFN)
    out["head.head.weight"] = ([DIM, 4 * LATENT], F16)
    out["head.head.bias"] = ([4 * LATENT], F16)
    out["head.modulation"] = ([DIM, 2, 1], F16)
    return out


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def write_gguf(path: pathlib.Path, tensors: Tensors) -> None:
    rng = random.Random(1)
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), 1) + text("general.architecture") + struct.pack("<I", 8) + text("wan")
    places, at = {}, 0
    for name, (lengths, kind) in tensors.items():
        head += text(name) + struct.pack(f"<I{len(lengths)}QIQ", len(lengths), *lengths, kind, at)
        count, size = KINDS[kind]
        places[name] = at
        at += -(-math.prod(lengths) // count * size // ALIGN) * ALIGN
    head += b"\0" * (-len(head) % ALIGN)
    with path.open("wb") as file:
        file.write(head)
        os.ftruncate(file.fileno(), len(head) + at)
        for name, (lengths, _) in tensors.items():
            count = math.prod(lengths)
            file.seek(len(head) + places[name])
            if ".norm" in name and name.endswith(".weight"):
                file.write(struct.pack("<e", 1.0) * count)
            elif name in ("patch_embedding.weight", "head.head.weight"):
                file.write(gaussian(rng, count, 1 / math.sqrt(4 * LATENT if name[0] == "p" else DIM)))


def memory_block(out: dict, name: str, size: int) -> None:
    for part, of in (("conv.0", 2 * size), ("conv.2", size), ("conv.4", size)):
        out[f"{name}.{part}.weight"] = [size, of, 3, 3]
        out[f"{name}.{part}.bias"] = [size]


def autoencoder() -> dict[str, list[int]]:
    out: dict[str, list[int]] = {"encoder.0.weight": [64, 3, 3, 3], "encoder.0.bias": [64]}
    for level, stride in enumerate((2, 2, 1)):
        at = 2 + 5 * level
        out[f"encoder.{at}.conv.weight"] = [64, 64 * stride, 1, 1]
        out[f"encoder.{at + 1}.weight"] = [64, 64, 3, 3]
        for i in range(3):
            memory_block(out, f"encoder.{at + 2 + i}", 64)
    out |= {"encoder.17.weight": [LATENT, 64, 3, 3], "encoder.17.bias": [LATENT],
            "decoder.1.weight": [256, LATENT, 3, 3], "decoder.1.bias": [256]}
    for level, (size, to, stride) in enumerate(((256, 128, 1), (128, 64, 2), (64, 64, 2))):
        at = 3 + 6 * level
        for i in range(3):
            memory_block(out, f"decoder.{at + i}", size)
        out[f"decoder.{at + 4}.conv.weight"] = [size * stride, size, 1, 1]
        out[f"decoder.{at + 5}.weight"] = [to, size, 3, 3]
    return out | {"decoder.22.weight": [3, 64, 3, 3], "decoder.22.bias": [3]}


def make(folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_gguf(folder / "film.gguf", network())
    write(folder / "film-tae.safetensors", list(autoencoder().items()))


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__.strip())
    make(pathlib.Path(sys.argv[1]))
