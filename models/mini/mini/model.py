"""Text encoder and transformer together, with what is needed to make them again: sizes and the ids of known tokens."""

import json
import math
import pathlib

import torch
from torch import nn

from mini import tokens
from mini.text import TextEncoder
from mini.transformer import Transformer

LENGTH = 76  # words of a prompt that training and sampling here look at


class Model(nn.Module):
    """`shape`: {"width", "depth", "context", "layers", "known": [token ids]}; `prompts` gives the tokens."""

    def __init__(self, shape: dict, prompts: tokens.Prompts) -> None:
        super().__init__()
        self.shape = shape
        self.prompts = prompts
        self.text = TextEncoder(shape["known"], prompts.prefix, sorted({*prompts.suffix, tokens.PAD} - {tokens.END}),
                                shape["context"], shape["layers"])
        self.transformer = Transformer(shape["width"], shape["depth"], shape["context"])

    def ids(self, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids [N, L], filled up with PAD, and which of them are words."""
        rows = [self.prompts.words(caption)[-LENGTH:] for caption in captions]
        longest = -(-max(map(len, rows)) // 4) * 4
        ids = torch.full((len(rows), longest), tokens.PAD)
        for n, row in enumerate(rows):
            ids[n, :len(row)] = torch.tensor(row)
        length = torch.tensor([len(row) for row in rows])[:, None]
        return ids, torch.arange(longest)[None] < length

    def forward(self, latent: torch.Tensor, time: torch.Tensor, captions: list[str]) -> torch.Tensor:
        ids, mask = (one.to(latent.device) for one in self.ids(captions))
        return self.transformer(latent, time, *self.text(ids, mask))


def times(steps: int) -> list[float]:
    """The engine's "discrete" schedule for this layout: from 1 to 0, `steps` + 1 values."""
    shifted = [math.e / (math.e + 1 / ((999 - 999 / max(1, steps - 1) * n + 1) / 1000) - 1) for n in range(steps)]
    return [*shifted, 0.0]


@torch.no_grad()
def sample(model: Model, captions: list[str], noise: torch.Tensor, steps: int = 16, guidance: float = 4.0):
    """Euler's way from noise to latents, as the engine goes it; [N, 16, H, W]."""
    latent, path = noise * times(steps)[0], times(steps)
    text = model.text(*(one.to(noise.device) for one in model.ids(captions)))
    none = model.text(*(one.to(noise.device) for one in model.ids([""] * len(captions))))
    for here, there in zip(path[:-1], path[1:]):
        time = torch.full((len(captions),), here, device=noise.device)
        velocity = model.transformer(latent, time, *text)
        if guidance != 1:
            plain = model.transformer(latent, time, *none)
            velocity = plain + guidance * (velocity - plain)
        latent = latent + (there - here) * velocity
    return latent


def load(path: pathlib.Path, prompts: tokens.Prompts, ema: bool = True) -> Model:
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = Model(json.loads(state["shape"]), prompts)
    model.load_state_dict(state["ema" if ema else "model"])
    return model.eval()


def samples_of(path: pathlib.Path, size: int) -> int:
    """How many training samples of a size a checkpoint had seen."""
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)["samples"].get(str(size), 0)
