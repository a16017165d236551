"""parity: the same weights, noise and prompts through this model and through the engine.

Prints the mean and the largest difference of the decoded pictures (of 255), and for scale the mean difference to the
picture of another prompt. Ends with an error when a mean is above the bar. Without a checkpoint: random weights, which
use every part of the model more roughly than trained ones do.

With --finished the engine reads the file that is shipped (GGUF, q8_0), and our model is that file read back.
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from mini import encode, engine, export, gguf, model as models, tokens
from mini.autoencoder import Autoencoder

AS_USED = (16, 4.0)  # steps and guidance of a trained model; random weights are tried with a stronger guidance
BAR = 2.0
STRONG = 8.0  # more than training makes of them: what text layers add to padding must vanish all the same
PROMPTS = ("a red apple", "two blue fishes and a small cat on a yellow background, flat", "")
SHAPE = {"width": 256, "depth": 2, "context": 128, "layers": 2}


@torch.no_grad()
def random_model(prompts: tokens.Prompts, seed: int = 3, strength: float = 1) -> models.Model:
    """Everything that training would begin at zero is not zero. `strength` of the text layers' matrices."""
    torch.manual_seed(seed)
    known = sorted({one for prompt in PROMPTS for one in prompts.words(prompt)} | set(prompts.prefix))
    known = [one for one in known if one not in {*prompts.suffix, tokens.PAD}]
    model = models.Model({**SHAPE, "known": known}, prompts)
    for name, one in model.text.named_parameters():
        if "_proj.weight" in name:
            one.mul_(strength)
    for name, one in model.transformer.named_parameters():
        if "_mod." in name or "final_layer" in name or name.endswith("proj.bias"):
            one.add_(torch.randn_like(one) * (0.05 if one.dim() > 1 else 0.1))
        if "final_layer.linear.weight" in name:
            one.add_(torch.randn_like(one) * 0.1)
        if "txt_attn.qkv.weight" in name:  # words that are heard over the padding
            one.mul_(4)
    return rounded(model.eval())


@torch.no_grad()
def random_autoencoder() -> Autoencoder:
    """Its pictures have full contrast, so that a difference in the latents shows."""
    torch.manual_seed(5)
    model, last = Autoencoder().eval(), "decoder.layers.18."
    drawn = model.decoder(torch.randn(1, 16, 16, 16))
    model.get_parameter(last + "weight").mul_(0.25 / drawn.std((0, 2, 3)).mean())
    drawn = model.decoder(torch.randn(1, 16, 16, 16))
    model.get_parameter(last + "bias").add_(0.5 - drawn.mean((0, 2, 3)))
    return model


@torch.no_grad()
def rounded(model):
    """The weights as the file holds them."""
    for one in model.parameters():
        if one.dim() > 1:
            one.copy_(one.half().float())
    return model


@torch.no_grad()
def ours(model: models.Model, autoencoder: Autoencoder, prompt: str, size: int, steps: int, guidance: float, seed: int):
    noise = torch.randn(1, 16, size // 8, size // 8, generator=torch.Generator().manual_seed(seed))
    picture = autoencoder.decoder(models.sample(model, [prompt], noise, steps, guidance)).clamp(0, 1)
    return (picture[0].permute(1, 2, 0).numpy() * 255).astype(np.float64)


def compare(cli, model, autoencoder, files: tuple[pathlib.Path, pathlib.Path], size: int, steps: int = 8,
            guidance: float = 9.0) -> float:
    """The largest mean difference over PROMPTS; `files`: the same model and autoencoder for the engine."""
    theirs = [engine.picture(cli, *files, prompt, size, steps, guidance, threads=torch.get_num_threads())
              for prompt in PROMPTS]
    worst = 0.0
    for n, prompt in enumerate(PROMPTS):
        mine = ours(model, autoencoder, prompt, size, steps, guidance, 42)
        gap = np.abs(mine - theirs[n])
        other = np.abs(mine - theirs[(n + 1) % len(PROMPTS)]).mean()
        print(f"{size} x {size}  mean {gap.mean():.3f}  largest {gap.max():.1f}  to another prompt {other:.1f}  {prompt!r}")
        worst = max(worst, gap.mean())
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cli", type=pathlib.Path, required=True)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True, help="tokenizer.json or the engine's qwen.hpp")
    parser.add_argument("--checkpoint", type=pathlib.Path)
    parser.add_argument("--autoencoder", type=pathlib.Path)
    parser.add_argument("--finished", type=pathlib.Path, nargs=2, metavar=("GGUF", "AUTOENCODER"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        files = pathlib.Path(folder)
        tokenizer = options.tokenizer
        if tokenizer.suffix == ".hpp":
            tokenizer = files / "tokenizer.json"
            tokens.read(options.tokenizer).save(str(tokenizer))
        prompts = tokens.Prompts(tokenizer)
        if options.finished:
            pair = tuple(options.finished)
            model, autoencoder = gguf.restored(pair[0], prompts), Autoencoder().eval()
            autoencoder.load_state_dict({name: one.float() for name, one in load_file(pair[1]).items()})
        else:
            pair = files / "atelier-mini.safetensors", files / "atelier-mini-taef1.safetensors"
            autoencoder = rounded(encode.load(options.autoencoder) if options.autoencoder else random_autoencoder())
            model = rounded(models.load(options.checkpoint, prompts)) if options.checkpoint else random_model(prompts, strength=STRONG)
            save_file(export.model_tensors(model), pair[0])
            save_file(export.autoencoder_tensors(autoencoder), pair[1])
        how = AS_USED if options.checkpoint or options.finished else ()
        worst = max(compare(options.cli, model, autoencoder, pair, size, *how) for size in options.sizes)
    print(f"largest mean difference {worst:.3f} of 255, bar {BAR}")
    sys.exit(int(worst > BAR))


if __name__ == "__main__":
    main()
