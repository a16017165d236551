"""train-autoencoder: crops of the pictures through encoder and decoder, until they come back as they were.

Besides the plain error, latents are kept near mean 0 and deviation 1 (the transformer sees them as they are), the
decoder sees slightly noisy ones, and latents shrunk to half must decode to the picture shrunk to half, which keeps fine
noise out of the latents and makes them easier to generate (Skorokhodov and others, 2025). And the engine's preview of a
latent must be the picture in small.

  --freeze-encoder goes on with the decoder alone, for latents that are cached already.
"""

import argparse
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

from mini import muon, spread
from mini.autoencoder import FACTOR, PREVIEW_CONTRAST, Autoencoder, preview, psnr
from mini.run import Run, pace

NOISE = 0.05
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Crops:
    """Random crops in [0, 1] of the pictures at full and at half size, on grounds of any colour."""

    def __init__(self, data: pathlib.Path, seed: int) -> None:
        rows = json.loads((data / "pictures.json").read_text())
        self.full = np.load(data / "pictures.npy", mmap_mode="r")
        self.train = np.array([n for n, row in enumerate(rows) if not row["held"]])
        self.held = np.array([n for n, row in enumerate(rows) if row["held"]])
        self.random = np.random.default_rng(seed)

    def ground(self) -> np.ndarray:
        random = self.random
        return np.ones(3) if random.random() < 0.6 else random.random(3)

    def one(self, size: int) -> np.ndarray:
        random = self.random
        picture = self.full[random.choice(self.train)]
        is_half = random.random() < 0.5
        room, taken = 256 - size * (2 if is_half else 1), size * (2 if is_half else 1)
        for _ in range(4):
            y, x = random.integers(0, room + 1, 2)
            crop = picture[y:y + taken, x:x + taken]
            if crop[..., 3].mean() > 40:
                break
        rgb = over(crop, self.ground())
        if is_half:
            rgb = rgb.reshape(size, 2, size, 2, 3).mean((1, 3))
        if random.random() < 0.5:
            rgb = rgb[:, ::-1]
        if random.random() < 0.4:
            rgb = rgb[..., random.permutation(3)]
        return rgb

    def batch(self, count: int, size: int) -> torch.Tensor:
        pictures = np.stack([self.one(size) for _ in range(count)]).astype(np.float32)
        return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    def unseen(self, count: int, size: int) -> torch.Tensor:
        """The same held-out pictures each time, whole, on white."""
        chosen = self.held[np.linspace(0, len(self.held) - 1, count).astype(int)]
        pictures = np.stack([over(self.full[n], np.ones(3)) for n in chosen]).astype(np.float32)
        if size == 128:
            pictures = pictures.reshape(count, 128, 2, 128, 2, 3).mean((2, 4))
        return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def over(rgba: np.ndarray, ground: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:] / 255.0
    return rgba[..., :3] / 255.0 * alpha + ground * (1 - alpha)


@torch.no_grad()
def judged(model: Autoencoder, pictures: torch.Tensor) -> float:
    with torch.autocast(DEVICE, torch.bfloat16):
        decoded = [model.decoder(model.encoder(one[None].to(DEVICE))).float().clamp(0, 1).cpu() for one in pictures]
    return psnr(torch.cat(decoded), pictures).mean().item()


def loss_of(model: Autoencoder, pictures: torch.Tensor, frozen: bool) -> torch.Tensor:
    with torch.autocast(DEVICE, torch.bfloat16):
        with torch.set_grad_enabled(not frozen):
            latent = model.encoder(pictures)
        noisy = latent + NOISE * torch.randn_like(latent)
        decoded = model.decoder(noisy).float()
        small = model.decoder(F.avg_pool2d(latent, 2)).float()
    error = F.l1_loss(decoded, pictures) + 2 * F.mse_loss(decoded, pictures)
    shrunk = F.l1_loss(small, F.avg_pool2d(pictures, 2))
    latent = latent.float()
    spread = (latent.mean((0, 2, 3)) ** 2).mean() + ((latent.std((0, 2, 3)) - 1) ** 2).mean()
    shown = F.mse_loss(preview(latent), 0.5 + PREVIEW_CONTRAST * (F.avg_pool2d(pictures, FACTOR) - 0.5))
    return error + 0.15 * shrunk + 0.01 * spread + shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--start", type=pathlib.Path, help="weights to begin with")
    parser.add_argument("--freeze-encoder", action="store_true")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    device = spread.begin(options.threads)
    torch.manual_seed(1)
    run = Run(options.out)
    model = Autoencoder().to(device, memory_format=torch.channels_last)
    if options.start:
        model.load_state_dict(torch.load(options.start, weights_only=True)["model"])
    trained = list((model.decoder if options.freeze_encoder else model).parameters())
    optimizer = muon.Muon(*muon.split(trained), lr=options.rate)
    step, state = 0, run.load()
    if state:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    seed = (1 + step) * 1000 + spread.rank()
    crops = Crops(options.data, seed)
    torch.manual_seed(seed)
    total, since, share, stopped = 0.0, 0, options.batch // spread.world(), False
    while step < options.steps and not stopped:
        for group in optimizer.param_groups:
            group["lr"] = options.rate * pace(step, options.steps, warm=50)
        loss = loss_of(model, crops.batch(share, options.crop).to(device), options.freeze_encoder)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        spread.mean_gradients(trained)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        step, total, since = step + 1, total + loss.item(), since + 1
        if step % 10 == 0:
            stopped = bool(spread.agreed(float(run.stopped)))
        if step % 50 == 0 and spread.is_first():
            run.log(step=step, loss=total / since)
            total, since = 0.0, 0
        if spread.is_first() and (step % 250 == 0 or step == options.steps or stopped):
            run.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step})
            run.log(step=step, psnr_256=judged(model, crops.unseen(16, 256)),
                    psnr_128=judged(model, crops.unseen(16, 128)))
    spread.end()


if __name__ == "__main__":
    main()
