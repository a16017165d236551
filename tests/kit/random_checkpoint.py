#!/usr/bin/env python3
"""Writes picture models of random weights, small enough for tests, that the real engine loads and runs.

usage: random_checkpoint.py FOLDER

FOLDER/tiny.safetensors is a text-conditional model in Ovis-Image's layout, FOLDER/taef1.safetensors its autoencoder,
FOLDER/tiny-lora.safetensors a LoRA for it. Their tensors are listed in the .tsv files beside this one: name, type, and
the four lengths in ggml's order, fastest first. The weights are always the same.
"""
import array
import json
import math
import pathlib
import random
import statistics
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
RANK = 4


def shape_of(lengths: list[int]) -> list[int]:
    if lengths[1:] == [1, 1, 1]:
        return lengths[:1]
    if lengths[2:] == [1, 1]:
        return [lengths[1], lengths[0]]
    return lengths[::-1]


def half(value: float) -> int:
    return struct.unpack("<H", struct.pack("<e", value))[0]


def gaussian(rng: random.Random, count: int, scale: float) -> bytes:
    """Half floats, drawn from 256 quantiles: fast without any library."""
    normal = statistics.NormalDist()
    table = [half(normal.inv_cdf((i + 0.5) / 256) * scale) for i in range(256)]
    values = array.array("H", map(table.__getitem__, rng.randbytes(count)))
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def fill(rng: random.Random, name: str, shape: list[int], gain: float) -> bytes:
    count = math.prod(shape)
    if len(shape) == 1:
        # norms must let the signal through, or the prompt has no effect
        return struct.pack("<e", 1.0 if name.endswith(("weight", "scale")) else 0.0) * count
    return gaussian(rng, count, gain / math.sqrt(math.prod(shape[1:])))


def write(path: pathlib.Path, tensors: list[tuple[str, list[int]]], gain: float = 1.0) -> None:
    rng = random.Random(1)
    header: dict[str, dict] = {}
    offset = 0
    for name, shape in tensors:
        end = offset + 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors:
            file.write(fill(rng, name, shape, gain))


def read_list(name: str) -> list[tuple[str, list[int]]]:
    rows = [line.split("\t") for line in (HERE / name).read_text(encoding="ascii").splitlines()]
    return [(row[0], shape_of([int(n) for n in row[2].split(",")])) for row in rows]


def lora_of(tensors: list[tuple[str, list[int]]]) -> list[tuple[str, list[int]]]:
    pairs = []
    for name, shape in tensors:
        if name.startswith("model.diffusion_model.") and "attn" in name and len(shape) == 2:
            stem = name.removeprefix("model.").removesuffix(".weight")
            pairs += [(stem + ".lora_A.weight", [RANK, shape[1]]), (stem + ".lora_B.weight", [shape[0], RANK])]
    return pairs


def make(folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model = read_list("tiny_ovis_tensors.tsv")
    write(folder / "tiny.safetensors", model)
    write(folder / "taef1.safetensors", read_list("taef1_tensors.tsv"))
    write(folder / "tiny-lora.safetensors", lora_of(model), gain=2.0)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__.strip())
    make(pathlib.Path(sys.argv[1]))
