"""The engine itself, for comparing and for judging what users will see: sd-cli of stable-diffusion.cpp."""

import pathlib
import subprocess
import tempfile

import numpy as np
from PIL import Image


def picture(cli: pathlib.Path, model: pathlib.Path, autoencoder: pathlib.Path, prompt: str, size: int = 128,
            steps: int = 16, guidance: float = 4.0, seed: int = 42, lora: pathlib.Path | None = None,
            weight: float = 1.0, threads: int = 2, more: tuple[str, ...] = ()) -> np.ndarray:
    """uint8 [size, size, 3]. Its noise equals torch.randn of a CPU generator with the same seed."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.png"
        if lora:
            prompt = f"{prompt}<lora:{lora.stem}:{weight}>"
            more = ("--lora-model-dir", str(lora.parent), *more)
        run = subprocess.run(
            [cli, "-t", str(threads), "-m", model, "--taesd", autoencoder, "-W", str(size), "-H", str(size),
             "--steps", str(steps), "--cfg-scale", str(guidance), "--rng", "cpu", "-s", str(seed),
             "--sampling-method", "euler", "--scheduler", "discrete", "-p", prompt, "-o", out, *more],
            capture_output=True, text=True, errors="replace")
        if run.returncode or not out.exists():
            raise RuntimeError(f"sd-cli ended with {run.returncode}: {(run.stdout + run.stderr)[-2000:]}")
        return np.asarray(Image.open(out).convert("RGB"))
