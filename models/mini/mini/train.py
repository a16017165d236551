"""train: the text encoder and the transformer together, by flow matching on cached latents.

Times are logit-normal, one caption in ten is left out (for guidance), an average of the weights is kept. A run has
phases: each goes on "until" a step with a learning rate of its own and chances of the sizes, small pictures first. The
rate is constant and falls to nothing over the last "decay" steps of a phase; stable.pt is kept from before the last fall,
so that a run can go on from there (--go-on) when there is more time. Every "kept" steps the average is kept too, for
figures of what more training gives.
"""

import argparse
import json
import pathlib
import shutil

import numpy as np
import torch
import torch.nn.functional as F

from mini import compose, encode, muon, spread, tokens
from mini.model import Model, sample
from mini.run import Run

DROPPED = 0.1
TIMES = {128: 0.3, 256: 0.7}  # mean of the times' logit: larger pictures need more noise to hide what they show
SHEET = ("a red apple", "a smiling cat", "a rocket", "a blue fish, flat", "a pizza", "a tulip, simple", "a hamburger",
         "a red heart", "a grinning face", "a ghost", "a blue apple", "a dog and a yellow star", "a purple rocket",
         "a cat face on a blue background", "three strawberries", "a small bird")


class Pool:
    """The cached latents of one size, drawn by kind and weight."""

    def __init__(self, folder: pathlib.Path, size: int) -> None:
        latents, self.notes = encode.read(folder, size)
        self.latents = torch.from_numpy(latents)
        chance = np.zeros(len(self.notes))
        kinds = np.array([note["kind"] for note in self.notes])
        weights = np.array([note["weight"] for note in self.notes], dtype=float)
        for kind, share in compose.KINDS.items():
            mine = kinds == kind
            if mine.any():
                chance[mine] = share * weights[mine] / weights[mine].sum()
        self.upto = np.cumsum(chance / chance.sum())
        self.size = size

    def draw(self, count: int, random: np.random.Generator) -> tuple[torch.Tensor, list[str]]:
        chosen = np.minimum(np.searchsorted(self.upto, random.random(count)), len(self.notes) - 1)
        captions = ["" if random.random() < DROPPED else str(random.choice(self.notes[n]["captions"])) for n in chosen]
        return self.latents[torch.from_numpy(chosen)].float(), captions


def known_tokens(pools: list[Pool], prompts: tokens.Prompts) -> list[int]:
    """The tokens of all captions, of the prefix and of the empty prompt."""
    seen = {*prompts.words(""), *prompts.prefix}
    for pool in pools:
        for note in pool.notes:
            for caption in note["captions"]:
                seen.update(prompts.words(caption))
    return sorted(seen - {*prompts.suffix, tokens.PAD})


def optimizer_of(model: Model, rate: float) -> muon.Muon:
    """Muon for the blocks' and layers' matrices; Adam for embeddings, modulations, ends and vectors."""
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        inner = parameter.dim() == 2 and ("blocks" in name or "layers" in name) and "_mod." not in name
        (matrices if inner else others).append(parameter)
    return muon.Muon(matrices, others, lr=rate, decay=0.02)


def loss_of(model: Model, latent: torch.Tensor, captions: list[str], mean: float) -> torch.Tensor:
    time = torch.sigmoid(torch.randn(len(latent), device=latent.device) + mean)
    noise = torch.randn_like(latent)
    at = time[:, None, None, None]
    with torch.autocast(latent.device.type, torch.bfloat16):
        velocity = model((1 - at) * latent + at * noise, time, captions)
    return F.mse_loss(velocity.float(), noise - latent)


def phases_of(config: dict, steps: int | None, decay: int | None) -> list[dict]:
    """The configuration's phases with the step each begins at; `steps` ends the run there, `decay` is the last one's."""
    phases, begin = [], 0
    for phase in config["phases"]:
        if steps is None or begin < steps:
            phases.append({**phase, "from": begin})
        begin = phase["until"]
    phases[-1]["until"] = steps or phases[-1]["until"]
    phases[-1]["decay"] = decay or phases[-1]["decay"]
    return phases


def factor(step: int, phase: dict) -> float:
    fall = (phase["until"] - step) / max(1, phase["decay"])
    return min(1.0, (step - phase["from"] + 1) / 100) * max(0.0, min(1.0, fall))


def sheet(model: Model, decoder, size: int, path: pathlib.Path) -> None:
    """Some prompts as they come out now; one seed."""
    from PIL import Image
    noise = torch.randn(1, 16, size // 8, size // 8, generator=torch.Generator().manual_seed(42))
    latent = sample(model, list(SHEET), noise.expand(len(SHEET), -1, -1, -1))
    with torch.no_grad():
        pictures = torch.cat([decoder(one[None]) for one in latent]).clamp(0, 1)
    rows = [torch.cat(list(row), 2) for row in pictures.split(8)]
    whole = (torch.cat(rows, 1).permute(1, 2, 0) * 255).round().byte().numpy()
    Image.fromarray(whole).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with tokenizer.json and latents")
    parser.add_argument("--autoencoder", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--config", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, help="where the run ends, instead of the configuration's")
    parser.add_argument("--decay", type=int, help="over how many steps the rate falls at the end, instead of the configuration's")
    parser.add_argument("--go-on", action="store_true", help="from stable.pt, before the learning rate fell")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    config = json.loads(options.config.read_text())
    phases = phases_of(config, options.steps, options.decay)
    steps = phases[-1]["until"]
    device = spread.begin(options.threads)
    run = Run(options.out)
    stable = options.out / "stable.pt"
    if options.go_on and spread.is_first():
        shutil.copy(stable, run.checkpoint)
    spread.agreed(0.0)
    prompts = tokens.Prompts(options.data / "tokenizer.json")
    pools = [Pool(options.data, size) for size in config["sizes"]]
    state = run.load()
    shape = json.loads(state["shape"]) if state else {**config["shape"], "known": known_tokens(pools, prompts)}
    torch.manual_seed(config["seed"])
    model = Model(shape, prompts).to(device)
    optimizer = optimizer_of(model, phases[0]["rate"])
    if config["compile"]:
        model.transformer.compile_blocks()
    average = {name: one.detach().clone() for name, one in model.state_dict().items()}
    step, samples = 0, dict.fromkeys(map(str, config["sizes"]), 0)
    if state:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average = {name: one.to(device) for name, one in state["ema"].items()}
        step, samples = state["step"], {**samples, **state["samples"]}
    if spread.is_first():
        print(f"{sum(one.numel() for one in model.parameters()) / 1e6:.2f} M parameters, {len(shape['known'])} tokens, "
              f"{[len(pool.notes) for pool in pools]} pictures, step {step}", flush=True)
    decoder = encode.load(options.autoencoder).decoder
    parameters = list(model.parameters())
    random = np.random.default_rng((config["seed"], step, spread.rank()))
    torch.manual_seed(config["seed"] + step * 1000 + spread.rank())
    which = np.random.default_rng((config["seed"], step))  # the same in all processes: one size a step
    total, since, stopped = 0.0, 0, False

    def keep(path: pathlib.Path | None = None) -> None:
        run.save({"model": model.state_dict(), "ema": average, "optimizer": optimizer.state_dict(), "step": step,
                  "samples": samples, "shape": json.dumps(shape)})
        if path:
            shutil.copy(run.checkpoint, path)

    while step < steps and not stopped:
        phase = next(one for one in phases if step < one["until"])
        if step == phases[-1]["until"] - phases[-1]["decay"] and spread.is_first():
            keep(stable)
        n = int(which.choice(len(pools), p=np.array(phase["chance"]) / sum(phase["chance"])))
        latent, captions = pools[n].draw(config["batch"][n] // spread.world(), random)
        for group in optimizer.param_groups:
            rate = phase["rate"] * (config["muon"] if group["is_muon"] else 1)
            group["lr"] = rate * factor(step, phase)
        loss = loss_of(model, latent.to(device), captions, TIMES[pools[n].size])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        spread.mean_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        weight = 1 - min(config["average"], (1 + step) / (10 + step))
        with torch.no_grad():
            for name, one in model.state_dict().items():
                average[name].lerp_(one, weight)
        step = step + 1
        samples[str(pools[n].size)] += len(captions) * spread.world()
        total, since = total + loss.item(), since + 1
        if step % 10 == 0:
            stopped = bool(spread.agreed(float(run.stopped)))
        if not spread.is_first():
            continue
        if step % 50 == 0:
            run.log(step=step, loss=total / since)
            total, since = 0.0, 0
        if step % 500 == 0 or step == steps or stopped:
            keep()
        if step % config.get("kept", steps + 1) == 0:
            torch.save({"ema": average, "shape": json.dumps(shape), "step": step,
                        "samples": samples},
                       run.folder / f"step-{step:06}.pt")
        if step % 1000 == 0 or step == steps:
            shown = Model(shape, prompts)
            shown.load_state_dict(average)
            sheet(shown.eval(), decoder, pools[0].size, run.folder / f"sheet-{step:06}.png")
    spread.end()


if __name__ == "__main__":
    main()
