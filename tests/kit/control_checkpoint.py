#!/usr/bin/env python3
"""Writes an untrained Stable Diffusion 1 checkpoint and a ControlNet for it, which the real engine loads and runs.

usage: control_checkpoint.py FOLDER

FOLDER/sd1.safetensors is the network and its text encoder, FOLDER/sd1-taesd.safetensors its autoencoder,
FOLDER/sd1-control.safetensors the ControlNet, FOLDER/sd2-control.safetensors the header of one for Stable Diffusion 2.

The library has the sizes of this family built in: 860 + 123 million numbers, and 361 million of the ControlNet. Most of
them are zero here, and holes in the files: of 2.7 GB about 250 MB are written. What is random is the way from the
noise, and from the control picture, through every resolution to the result, past the layers that are zero.
"""
import json
import math
import os
import pathlib
import random
import struct
import sys

from random_checkpoint import gaussian, read_list, write

CHANNELS, EMBED, CONTEXT = 320, 1280, 768
MULTIPLES, PER_LEVEL = (1, 2, 4, 4), 2
BLOCK = 65521  # random numbers, repeated; a prime, so that rows differ
# so that a control picture changes the result and does not drown it
GAIN_ZERO_CONV = 0.5

Tensors = dict[str, list[int]]


def linear(out: Tensors, name: str, to: int, of: int, bias: bool = True) -> None:
    out[name + ".weight"] = [to, of]
    if bias:
        out[name + ".bias"] = [to]


def conv(out: Tensors, name: str, to: int, of: int, side: int) -> None:
    out[name + ".weight"] = [to, of, side, side]
    out[name + ".bias"] = [to]


def norm(out: Tensors, name: str, size: int) -> None:
    out[name + ".weight"] = out[name + ".bias"] = [size]


def residual(out: Tensors, name: str, of: int, to: int) -> None:
    norm(out, name + ".in_layers.0", of)
    conv(out, name + ".in_layers.2", to, of, 3)
    linear(out, name + ".emb_layers.1", to, EMBED)
    norm(out, name + ".out_layers.0", to)
    conv(out, name + ".out_layers.3", to, to, 3)
    if of != to:
        conv(out, name + ".skip_connection", to, of, 1)


def attention(out: Tensors, name: str, size: int, context: int) -> None:
    norm(out, name + ".norm", size)
    conv(out, name + ".proj_in", size, size, 1)
    block = name + ".transformer_blocks.0"
    for kind, of in (("attn1", size), ("attn2", context)):
        for part, width in (("to_q", size), ("to_k", of), ("to_v", of)):
            linear(out, f"{block}.{kind}.{part}", size, width, bias=False)
        linear(out, f"{block}.{kind}.to_out.0", size, size)
    linear(out, block + ".ff.net.0.proj", size * 8, size)
    linear(out, block + ".ff.net.2", size, size * 4)
    for i in (1, 2, 3):
        norm(out, f"{block}.norm{i}", size)
    conv(out, name + ".proj_out", size, size, 1)


def first_half(out: Tensors, at: str, context: int = CONTEXT) -> list[int]:
    """Down to the middle; how wide each block's result is."""
    linear(out, at + "time_embed.0", EMBED, CHANNELS)
    linear(out, at + "time_embed.2", EMBED, EMBED)
    conv(out, at + "input_blocks.0.0", CHANNELS, 4, 3)
    size, widths = CHANNELS, [CHANNELS]
    for level, multiple in enumerate(MULTIPLES):
        last = level == len(MULTIPLES) - 1
        for _ in range(PER_LEVEL):
            name = f"{at}input_blocks.{len(widths)}"
            residual(out, name + ".0", size, CHANNELS * multiple)
            size = CHANNELS * multiple
            if not last:
                attention(out, name + ".1", size, context)
            widths.append(size)
        if not last:
            conv(out, f"{at}input_blocks.{len(widths)}.0.op", size, size, 3)
            widths.append(size)
    residual(out, at + "middle_block.0", size, size)
    attention(out, at + "middle_block.1", size, context)
    residual(out, at + "middle_block.2", size, size)
    return widths


def network() -> Tensors:
    out: Tensors = {}
    at = "model.diffusion_model."
    widths = first_half(out, at)
    size, index = widths[-1], 0
    for level in reversed(range(len(MULTIPLES))):
        for i in range(PER_LEVEL + 1):
            name, to = f"{at}output_blocks.{index}", CHANNELS * MULTIPLES[level]
            residual(out, name + ".0", size + widths.pop(), to)
            size, part = to, 1
            if level != len(MULTIPLES) - 1:
                attention(out, name + ".1", size, CONTEXT)
                part = 2
            if level and i == PER_LEVEL:
                conv(out, f"{name}.{part}.conv", size, size, 3)
            index += 1
    norm(out, at + "out.0", size)
    conv(out, at + "out.2", 4, size, 3)
    return out


def text_encoder() -> Tensors:
    out: Tensors = {}
    at = "cond_stage_model.transformer.text_model."
    out[at + "embeddings.token_embedding.weight"] = [49408, CONTEXT]
    out[at + "embeddings.position_embedding.weight"] = [77, CONTEXT]
    for i in range(12):
        layer = f"{at}encoder.layers.{i}."
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(out, f"{layer}self_attn.{part}", CONTEXT, CONTEXT)
        norm(out, layer + "layer_norm1", CONTEXT)
        norm(out, layer + "layer_norm2", CONTEXT)
        linear(out, layer + "mlp.fc1", CONTEXT * 4, CONTEXT)
        linear(out, layer + "mlp.fc2", CONTEXT, CONTEXT * 4)
    norm(out, at + "final_layer_norm", CONTEXT)
    return out


def control_net(context: int = CONTEXT) -> Tensors:
    out: Tensors = {}
    widths = first_half(out, "", context)
    for i, (of, to) in enumerate(((3, 16), (16, 16), (16, 32), (32, 32), (32, 96), (96, 96), (96, 256), (256, CHANNELS))):
        conv(out, f"input_hint_block.{2 * i}", to, of, 3)
    for i, width in enumerate(widths):
        conv(out, f"zero_convs.{i}.0", width, width, 1)
    conv(out, "middle_block_out.0", widths[-1], widths[-1], 1)
    return out


def header_of(tensors: Tensors) -> tuple[bytes, int]:
    entries, offset = {}, 0
    for name, shape in tensors.items():
        end = offset + 2 * math.prod(shape)
        entries[name] = {"dtype": "F16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, offset


def is_on_the_way(name: str) -> bool:
    return name.endswith((".op.weight", ".skip_connection.weight", "input_blocks.0.0.weight", ".out.2.weight")) or \
        name.startswith(("input_hint_block.", "zero_convs.", "middle_block_out.")) and name.endswith(".weight") or \
        ".output_blocks." in name and name.endswith(".conv.weight")


def write_sparse(path: pathlib.Path, tensors: Tensors) -> None:
    rng = random.Random(1)
    head, size = header_of(tensors)
    with path.open("wb") as file:
        file.write(head)
        os.ftruncate(file.fileno(), len(head) + size)
        at = len(head)
        for name, shape in tensors.items():
            count = math.prod(shape)
            file.seek(at)
            at += 2 * count
            if len(shape) == 1 and name.endswith(".weight"):
                file.write(struct.pack("<e", 1.0) * count)
            elif is_on_the_way(name):
                gain = GAIN_ZERO_CONV if name.startswith("zero_convs.") else 1.0
                block = gaussian(rng, min(count, BLOCK), gain / math.sqrt(math.prod(shape[1:])))
                for done in range(0, 2 * count, len(block)):
                    file.write(block[:2 * count - done])


def make(folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_sparse(folder / "sd1.safetensors", network() | text_encoder())
    write_sparse(folder / "sd1-control.safetensors", control_net())
    # of another family: it is never read beyond its header
    head, size = header_of(control_net(1024))
    with (folder / "sd2-control.safetensors").open("wb") as file:
        file.write(head)
        os.ftruncate(file.fileno(), len(head) + size)
    # the same small autoencoder, with 4 latent channels instead of 16
    four = [(name, [4 if n == 16 and name.startswith(("decoder.layers.0.", "encoder.layers.14.")) else n for n in shape])
            for name, shape in read_list("taef1_tensors.tsv")]
    write(folder / "sd1-taesd.safetensors", four)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__.strip())
    make(pathlib.Path(sys.argv[1]))
