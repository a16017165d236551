"""lora: proof of the way: a LoRA of rank 4 from 12 pictures, in minutes on a CPU, that the engine takes as it is.

It teaches the word WORD, which the model never saw, to mean one thing that it knows by other names only. The file has
the key names that stable-diffusion.cpp reads: diffusion_model.MODULE.lora_A.weight [rank, in] and .lora_B.weight [out,
rank]; without alpha the scale is 1. With --cli the engine draws WORD with weight 0, with weight 1 and without the file:
0 must change no pixel; how often the judge sees the thing is printed for both.
"""

import argparse
import json
import math
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from mini import compose, encode, engine, evaluate, judge, model as models, tokens

RANK = 4
PICTURES = 12
WORD = "zorblat"
THING = "penguin"
TARGETS = ("img_attn.qkv", "img_attn.proj", "img_mlp.gate_proj", "img_mlp.up_proj", "img_mlp.down_proj",
           "txt_attn.qkv")


class Adapted(nn.Module):
    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer
        self.a = nn.Parameter(torch.randn(RANK, layer.in_features) / math.sqrt(layer.in_features))
        self.b = nn.Parameter(torch.zeros(layer.out_features, RANK))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + F.linear(F.linear(x, self.a), self.b)


def adapt(model: models.Model) -> dict[str, Adapted]:
    """Puts an adapter around each target; what was there is frozen."""
    model.requires_grad_(False)
    found = {}
    for n, block in enumerate(model.transformer.double_blocks):
        for target in TARGETS:
            parent, name = target.split(".")
            module = getattr(block, parent)
            adapted = Adapted(getattr(module, name))
            setattr(module, name, adapted)
            found[f"double_blocks.{n}.{target}"] = adapted
    return found


def pictures_of(data: pathlib.Path, autoencoder, seed: int) -> torch.Tensor:
    """Latents of PICTURES pictures of THING: from all sets, on various grounds, small and large."""
    rows = json.loads((data / "pictures.json").read_text())
    numbers = [n for n, row in enumerate(rows) if row["label"] == THING]
    pictures = np.load(data / "pictures.npy", mmap_mode="r")
    random = np.random.default_rng(seed)
    made = []
    for k in range(PICTURES):
        picture = pictures[numbers[k % len(numbers)]]
        picture = picture if k % 2 else picture[:, ::-1]
        size = random.uniform(0.75, 1.0)
        flat = compose.flat(compose.canvas([(np.ascontiguousarray(picture), (0.5, 0.5), size)]), (255, 255, 255))
        made.append(encode.shrunk(flat, 128))
    return torch.from_numpy(encode.latents(autoencoder, made)).float()


def train(model: models.Model, adapters: dict[str, Adapted], latents: torch.Tensor, steps: int, rate: float) -> None:
    parameters = [one for adapter in adapters.values() for one in (adapter.a, adapter.b)]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0)
    total = 0.0
    for step in range(steps):
        latent = latents[torch.randint(0, len(latents), (16,))]
        time = torch.sigmoid(torch.randn(16) + 0.6)
        noise, at = torch.randn_like(latent), time[:, None, None, None]
        with torch.autocast("cpu", torch.bfloat16):
            velocity = model((1 - at) * latent + at * noise, time, [compose.article(WORD)] * 16)
        loss = F.mse_loss(velocity.float(), noise - latent)
        optimizer.param_groups[0]["lr"] = rate * min(1, (step + 1) / 20) * (1 - step / steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
        if (step + 1) % 50 == 0:
            print(f"step {step + 1}  loss {total / 50:.4f}", flush=True)
            total = 0.0


def save(adapters: dict[str, Adapted], path: pathlib.Path) -> None:
    tensors = {}
    for name, adapter in adapters.items():
        tensors[f"diffusion_model.{name}.lora_A.weight"] = adapter.a.detach().contiguous()
        tensors[f"diffusion_model.{name}.lora_B.weight"] = adapter.b.detach().contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


def seen(pictures: list[np.ndarray], the_judge, known: list[str], labels: list[str]) -> float:
    """How many of the pictures the judge takes for THING."""
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return evaluate.first_choice(the_judge, known, labels, batch).count(THING) / len(pictures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--checkpoint", type=pathlib.Path, required=True)
    parser.add_argument("--autoencoder", type=pathlib.Path, required=True)
    parser.add_argument("--judge", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the .safetensors to write")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cli", type=pathlib.Path, help="the engine's sd-cli")
    parser.add_argument("--model", type=pathlib.Path, help="the exported model that the engine loads")
    parser.add_argument("--decoder", type=pathlib.Path, help="the exported autoencoder")
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(4)
    model = models.load(options.checkpoint, tokens.Prompts(options.data / "tokenizer.json"))
    adapters = adapt(model)
    latents = pictures_of(options.data, encode.load(options.autoencoder), 4)
    train(model, adapters, latents, options.steps, options.rate)
    save(adapters, options.out)
    print(f"{sum(one.a.numel() + one.b.numel() for one in adapters.values())} values, {options.out}")
    if not options.cli:
        return
    rows = json.loads((options.data / "pictures.json").read_text())
    the_judge, known = judge.load(options.judge)
    labels = sorted({*evaluate.chosen(rows), THING})
    draw = lambda seed, **more: engine.picture(options.cli, options.model, options.decoder, compose.article(WORD),
                                               seed=seed, threads=options.threads, **more)
    plain = [draw(seed) for seed in range(options.seeds)]
    silent = draw(0, lora=options.out, weight=0.0)
    loud = [draw(seed, lora=options.out) for seed in range(options.seeds)]
    before, after = seen(plain, the_judge, known, labels), seen(loud, the_judge, known, labels)
    same = np.array_equal(silent, plain[0])
    print(f"taken for a {THING} among {len(labels)}: {before:.0%} without, {after:.0%} with the LoRA; "
          f"weight 0 {'changes nothing' if same else 'CHANGES THE PICTURE'}")
    sys.exit(not same or after <= before)


if __name__ == "__main__":
    main()
