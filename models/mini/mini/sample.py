"""sample: a prompt to a PNG, by a checkpoint or by the finished files, without the engine.

With the same prompt, size, steps, guidance and seed the engine draws the same picture (--rng cpu, Euler, discrete).
"""

import argparse
import pathlib

import torch
from PIL import Image
from safetensors.torch import load_file

from mini import encode, gguf, model as models, tokens
from mini.autoencoder import Autoencoder


def picture(model: models.Model, decoder, prompt: str, size: int, steps: int, guidance: float, seed: int) -> Image.Image:
    noise = torch.randn(1, 16, size // 8, size // 8, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        drawn = decoder(models.sample(model, [prompt], noise, steps, guidance)).clamp(0, 1)[0]
    return Image.fromarray((drawn.permute(1, 2, 0) * 255).round().byte().numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompt")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True, help="tokenizer.json")
    parser.add_argument("--checkpoint", type=pathlib.Path, nargs=2, metavar=("MODEL", "AUTOENCODER"))
    parser.add_argument("--finished", type=pathlib.Path, nargs=2, metavar=("GGUF", "AUTOENCODER"))
    parser.add_argument("--size", type=int, default=128, help="pixels a side, a multiple of 16")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if bool(options.checkpoint) == bool(options.finished):
        parser.error("either --checkpoint or --finished")
    if options.size % 16:
        parser.error("--size is a multiple of 16")
    torch.set_num_threads(options.threads)
    prompts = tokens.Prompts(options.tokenizer)
    if options.checkpoint:
        model = models.load(options.checkpoint[0], prompts)
        autoencoder = encode.load(options.checkpoint[1])
    else:
        model, autoencoder = gguf.restored(options.finished[0], prompts), Autoencoder().eval()
        autoencoder.load_state_dict({name: one.float() for name, one in load_file(options.finished[1]).items()})
    picture(model, autoencoder.decoder, options.prompt, options.size, options.steps, options.guidance,
            options.seed).save(options.out)
    print(options.out)


if __name__ == "__main__":
    main()
