"""The judge: a small classifier of pictures, trained on the same sets, that tells which thing a picture shows.

It sees pictures in pixels, in all the ways that Atelier Mini is asked to draw them (other colours, other grounds), moved,
turned, blurred; it never sees the generator, nor the generator its gradients. `train-judge` prints how often it is right
about a set of pictures that neither was trained on (Fluent Emoji with gradients).
"""

import argparse
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mini import colours, compose, muon, sources, spread
from mini.run import Run, pace

SIDE = 64


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.two = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(8, width)
        self.again = nn.GroupNorm(8, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.again(self.two(F.relu(self.norm(self.one(x))))))


class Judge(nn.Module):
    """Pictures [N, 3, 64, 64] in [0, 1] to one value for each label."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        steps, width = [], 3
        for wider in (32, 64, 128, 192):
            steps += [nn.Conv2d(width, wider, 3, padding=1, stride=2), nn.ReLU(), Residual(wider)]
            width = wider
        self.body = nn.Sequential(*steps)
        self.head = nn.Linear(width, labels)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(picture * 2 - 1).amax((2, 3)))


def labels_of(rows: list[dict]) -> list[str]:
    return sorted({row["label"] for row in rows})


class Examples:
    """Varied pictures of every label; all as likely."""

    def __init__(self, data: pathlib.Path, seed: int) -> None:
        self.rows = json.loads((data / "pictures.json").read_text())
        pictures = np.load(data / "pictures.npy", mmap_mode="r")
        small = np.stack([pictures[n].reshape(128, 2, 128, 2, 4).mean((1, 3)).astype(np.uint8)
                          for n in range(len(pictures))])
        self.composer = compose.Composer(self.rows, small, seed)
        self.number = {label: n for n, label in enumerate(labels_of(self.rows))}
        self.random = np.random.default_rng(seed)

    def one(self) -> tuple[np.ndarray, int]:
        random, composer = self.random, self.composer
        n = int(random.integers(len(self.rows)))
        picture = composer.pictures[n]
        if composer.can_change(n) and random.random() < 0.5:
            picture = colours.painted(picture, str(random.choice(list(colours.PAINTS))))
        ground = np.full(3, 255) if random.random() < 0.7 else random.integers(0, 256, 3)
        flat = compose.flat(picture, ground)
        return flat, self.number[self.rows[n]["label"]]

    def batch(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        pictures, numbers = zip(*(self.one() for _ in range(count)))
        batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
        return moved(batch, self.random), torch.tensor(numbers)


def moved(pictures: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """Turned by up to 15 degrees, enlarged or shrunk, shifted, perhaps mirrored; then 64 x 64, some blurred."""
    count = len(pictures)
    angle = torch.from_numpy(random.uniform(-0.26, 0.26, count)).float()
    scale = torch.from_numpy(random.uniform(0.85, 1.35, count)).float()
    mirror = torch.from_numpy(np.where(random.random(count) < 0.5, -1.0, 1.0)).float()
    shift = torch.from_numpy(random.uniform(-0.15, 0.15, (count, 2))).float()
    matrix = torch.stack([torch.stack([angle.cos() * scale * mirror, -angle.sin() * scale, shift[:, 0]], 1),
                          torch.stack([angle.sin() * scale * mirror, angle.cos() * scale, shift[:, 1]], 1)], 1)
    grid = F.affine_grid(matrix, [count, 3, SIDE, SIDE], align_corners=False)
    small = F.grid_sample(F.avg_pool2d(pictures, 2), grid, padding_mode="border", align_corners=False)
    if random.random() < 0.4:
        small = F.interpolate(F.avg_pool2d(small, 2), scale_factor=2, mode="bilinear")
    return (small + 0.03 * torch.randn_like(small)).clamp(0, 1)


@torch.no_grad()
def judged(model: Judge, pictures: torch.Tensor) -> torch.Tensor:
    """Pictures of any size in [0, 1] to values for each label."""
    return torch.cat([model(F.interpolate(part, (SIDE, SIDE), mode="area")) for part in pictures.split(32)])


def strangers(packages: pathlib.Path, rows: list[dict], few: int = 300) -> tuple[torch.Tensor, list[str]]:
    """Pictures of known labels from a set that nothing here is trained on."""
    label = {row["hexcode"]: row["label"] for row in rows}
    found = sources.vector_set(packages, "@iconify-json/fluent-emoji", names_of="@iconify-json/fluent-emoji-flat")
    wanted = sorted(set(found) & set(label))
    wanted = wanted[::max(1, len(wanted) // few)]
    drawn = np.stack([compose.flat(sources.draw(found[one]), (255, 255, 255)) for one in wanted])
    return torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255, [label[one] for one in wanted]


def load(path: pathlib.Path) -> tuple[Judge, list[str]]:
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = Judge(len(state["labels"]))
    model.load_state_dict(state["model"])
    return model.eval(), state["labels"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--packages", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    device = spread.begin(options.threads)
    run = Run(options.out)
    torch.manual_seed(2)
    examples = Examples(options.data, seed=2)
    labels = labels_of(examples.rows)
    model = Judge(len(labels)).to(device, memory_format=torch.channels_last)
    optimizer = muon.Muon(*muon.split(model.parameters()), lr=options.rate, decay=0.01)
    step, state = 0, run.load()
    if state:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
        examples.random = np.random.default_rng((2, step))
    pictures, truth = strangers(options.packages, examples.rows)
    total, since = 0.0, 0
    while step < options.steps and not run.stopped:
        for group in optimizer.param_groups:
            group["lr"] = options.rate * pace(step, options.steps, warm=50)
        batch, numbers = examples.batch(options.batch)
        with torch.autocast(device.type, torch.bfloat16):
            values = model(batch.to(device, memory_format=torch.channels_last))
        loss = F.cross_entropy(values.float(), numbers.to(device), label_smoothing=0.05)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step, total, since = step + 1, total + loss.item(), since + 1
        if step % 250 == 0 or step == options.steps or run.stopped:
            best = judged(model.eval(), pictures.to(device)).argmax(1).tolist()
            right = sum(labels[n] == label for n, label in zip(best, truth)) / len(truth)
            model.train()
            run.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "labels": labels})
            run.log(step=step, loss=total / since, right_of_strangers=right)
            total, since = 0.0, 0


if __name__ == "__main__":
    main()
