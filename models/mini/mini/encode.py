"""encode: composes the training pictures and writes down their latents and captions, once.

latents-SIZE.npy is float16 [N, 16, SIZE/8, SIZE/8]; latents-SIZE.json has N rows {kind, weight, captions}. Several of
these programs can share the work (--part K/M); a part that is there already is not made again.
"""

import argparse
import json
import os
import pathlib

import numpy as np
import torch

from mini import compose, sources
from mini.autoencoder import Autoencoder


def load(path: pathlib.Path) -> Autoencoder:
    model = Autoencoder()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"])
    return model.eval().to(memory_format=torch.channels_last)


def shrunk(picture: np.ndarray, size: int) -> np.ndarray:
    part = picture.shape[0] // size
    return picture.reshape(size, part, size, part, 3).mean((1, 3))


@torch.no_grad()
def latents(model: Autoencoder, pictures: list[np.ndarray]) -> np.ndarray:
    batch = torch.from_numpy(np.stack(pictures).astype(np.float32) / 255).permute(0, 3, 1, 2)
    device = next(model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16):
        return model.encoder(batch.to(device, memory_format=torch.channels_last)).float().cpu().numpy().astype(np.float16)


def part(options, number: int, count: int) -> None:
    """One part: every `count`-th picture of the plan, from `number` on."""
    target = options.out / f"latents-{options.size}.{number}of{count}.npy"
    if target.exists():
        return
    rows = json.loads((options.data / "pictures.json").read_text())
    composer = compose.Composer(rows, np.load(options.data / "pictures.npy", mmap_mode="r"), options.seed)
    wanted = compose.plan(composer, options.much)[number::count][::options.every]
    composer.random = np.random.default_rng((options.seed, number, count))
    model = load(options.autoencoder).to("cuda" if torch.cuda.is_available() else "cpu")
    done, notes, waiting = [], [], []
    for n, one in enumerate(wanted):
        picture, captions = compose.make(composer, one)
        waiting.append(shrunk(picture, options.size))
        notes.append({"kind": one["kind"], "weight": sources.chance(rows[one["n"]]), "captions": captions})
        if len(waiting) == 16 or n == len(wanted) - 1:
            done.append(latents(model, waiting))
            waiting = []
        if n % 800 == 0:
            print(f"{n} of {len(wanted)}", flush=True)
    target.with_suffix(".json").write_text(json.dumps(notes))
    unfinished = target.with_suffix(".part")
    with open(unfinished, "wb") as file:
        np.save(file, np.concatenate(done))
    os.replace(unfinished, target)


def read(folder: pathlib.Path, size: int) -> tuple[np.ndarray, list[dict]]:
    """All parts of one size."""
    parts = sorted(folder.glob(f"latents-{size}.*.npy"))
    notes = [note for path in parts for note in json.loads(path.with_suffix(".json").read_text())]
    return np.concatenate([np.load(path) for path in parts]), notes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--autoencoder", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--much", type=float, default=0.7)
    parser.add_argument("--every", type=int, default=1, help="of so many pictures of the plan one: for a trial")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    part(options, *(int(one) for one in options.part.split("/")))


if __name__ == "__main__":
    main()
