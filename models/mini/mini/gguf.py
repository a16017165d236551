"""Reads a finished GGUF back: what was shipped, as the torch model it came from. For parity, and to draw with it here.

The types that the export uses: f32, f16 and q8_0 (32 values of one byte and the half float they are multiplied by).
"""

import math
import pathlib
import struct

import numpy as np
import torch

from mini import export, model as models, text, tokens

F32, F16, Q8_0 = 0, 1, 8
STRING, ARRAY = 8, 9
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
ALIGNMENT = 32
BLOCK = np.dtype([("scale", "<f2"), ("values", "i1", 32)])


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, letter: str):
        value, = struct.unpack_from("<" + letter, self.data, self.at)
        self.at += struct.calcsize("<" + letter)
        return value

    def string(self) -> str:
        length = self.number("Q")
        self.at += length
        return self.data[self.at - length:self.at].decode()

    def value(self, kind: int):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            inner = self.number("I")
            return [self.value(inner) for _ in range(self.number("Q"))]
        return self.number(NUMBERS[kind])


def numbers(data: bytes, kind: int, at: int, count: int) -> np.ndarray:
    if kind == F32:
        return np.frombuffer(data, "<f4", count, at)
    if kind == F16:
        return np.frombuffer(data, "<f2", count, at).astype(np.float32)
    if kind == Q8_0:
        blocks = np.frombuffer(data, BLOCK, count // 32, at)
        return (blocks["values"] * blocks["scale"].astype(np.float32)[:, None]).ravel()
    raise ValueError(f"type {kind} is none of f32, f16, q8_0")


def read(path: pathlib.Path) -> dict[str, torch.Tensor]:
    """Every tensor, as f32 in torch's order of dimensions."""
    reader = Reader(path.read_bytes())
    if reader.data[:4] != b"GGUF":
        raise ValueError(f"{path} is no GGUF")
    reader.at = 8
    tensors, notes, alignment = reader.number("Q"), reader.number("Q"), ALIGNMENT
    for _ in range(notes):
        key, value = reader.string(), reader.value(reader.number("I"))
        alignment = value if key == "general.alignment" else alignment
    listed = []
    for _ in range(tensors):
        name = reader.string()
        lengths = [reader.number("Q") for _ in range(reader.number("I"))]
        listed.append((name, lengths[::-1], reader.number("I"), reader.number("Q")))
    begin = -(-reader.at // alignment) * alignment
    return {name: torch.from_numpy(numbers(reader.data, kind, begin + at, math.prod(shape)).reshape(shape).copy())
            for name, shape, kind, at in listed}


def narrowed(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """A matrix of all heads as one of the trained heads: what export.widened() added is taken off."""
    if name.endswith("q_proj.weight"):
        return tensor[:text.HEADS_USED * text.HEAD]
    if name.endswith(("k_proj.weight", "v_proj.weight")):
        return tensor[:text.KEYS_USED * text.HEAD]
    return tensor[:, :text.HEADS_USED * text.HEAD] if name.endswith("o_proj.weight") else tensor


def restored(path: pathlib.Path, prompts: tokens.Prompts) -> models.Model:
    tensors = read(path)
    table = tensors.pop(export.TEXT + "embed_tokens.weight")
    words = {name.removeprefix(export.TEXT): narrowed(name, one) for name, one in tensors.items()
             if name.startswith(export.TEXT)}
    inner = {name.removeprefix(export.TRANSFORMER): one for name, one in tensors.items()
             if name.startswith(export.TRANSFORMER)}
    constant = {*prompts.suffix, tokens.PAD} - {tokens.END}
    known = [one for one in table.any(1).nonzero().flatten().tolist() if one not in constant]
    count = lambda names, start: 1 + max((int(name.split(".")[1]) for name in names if name.startswith(start)), default=-1)
    shape = {"width": len(inner["img_in.weight"]), "depth": count(inner, "double_blocks."), "context": table.shape[1],
             "layers": count(words, "layers."), "known": known}
    model = models.Model(shape, prompts)
    model.text.load_state_dict({"embedding": table[known], **words})
    model.text.fixed[1] = table[tokens.PAD]
    model.transformer.load_state_dict(inner)
    return model.eval()
