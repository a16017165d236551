"""The autoencoder, in the layout of TAEF1: 16 channels, one value for each 8 x 8 pixels.

Pictures are RGB in [0, 1], [N, 3, H, W]; latents [N, 16, H/8, W/8], used without scale or shift. Module names make the
tensor names that stable-diffusion.cpp expects (encoder.layers.N..., decoder.layers.N...). Layout after
madebyollin's TAESD as described by src/tae.hpp of stable-diffusion.cpp.
"""

import torch
import torch.nn.functional as F
from torch import nn

CHANNELS = 16
WIDTH = 64
FACTOR = 8
CLAMP = 3.0  # the decoder first squeezes latents into (-3, 3), as the engine does

# The engine shows pictures under way by a fixed linear map of latents to colours, 0.5 + 0.5 (z P + b), which was fitted
# to another model's latents (src/latent-preview.h, flux_latent_rgb). Training teaches the encoder to agree with it, at
# half the contrast (latents stay small); the studio's worker stretches what it gets.
PREVIEW = (
    (-0.041168, 0.019917, 0.097253), (0.028096, 0.026730, 0.129576), (0.065618, -0.067950, -0.014651),
    (-0.012998, -0.014762, 0.081251), (0.078567, 0.059296, -0.024687), (-0.015987, -0.003697, 0.005012),
    (0.033605, 0.138999, 0.068517), (-0.024450, -0.063567, -0.030101), (-0.040194, -0.016710, 0.127185),
    (0.112681, 0.088764, -0.041940), (-0.023498, 0.093664, 0.025543), (0.082899, 0.048320, 0.007491),
    (0.075712, 0.074139, 0.081965), (-0.143501, 0.018263, -0.136138), (-0.025767, -0.082035, -0.040023),
    (-0.111849, -0.055589, -0.032361),
)
PREVIEW_BASE = (0.024600, -0.006937, -0.008089)
PREVIEW_CONTRAST = 0.5


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
                                  nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
                                  nn.Conv2d(width, width, 3, padding=1))
        with torch.no_grad():
            self.conv[4].weight.mul_(0.3)
            self.conv[4].bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv(x) + x)


def plain(width: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(width, width, 3, padding=1, stride=stride, bias=False)


def blocks(count: int) -> list[nn.Module]:
    return [Block(WIDTH) for _ in range(count)]


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, WIDTH, 3, padding=1), *blocks(1), plain(WIDTH, 2), *blocks(3),
                                    plain(WIDTH, 2), *blocks(3), plain(WIDTH, 2), *blocks(3),
                                    nn.Conv2d(WIDTH, CHANNELS, 3, padding=1))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return self.layers(picture)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        double = lambda: nn.Upsample(scale_factor=2)
        self.layers = nn.Sequential(nn.Conv2d(CHANNELS, WIDTH, 3, padding=1), nn.ReLU(), *blocks(3), double(),
                                    plain(WIDTH), *blocks(3), double(), plain(WIDTH), *blocks(3), double(),
                                    plain(WIDTH), *blocks(1), nn.Conv2d(WIDTH, 3, 3, padding=1))
        with torch.no_grad():
            self.layers[18].bias.fill_(0.7)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.tanh(latent / CLAMP) * CLAMP)


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()


def preview(latent: torch.Tensor) -> torch.Tensor:
    """What the engine shows of latents [N, 16, h, w]: colours [N, 3, h, w], 0.5 + PREVIEW_CONTRAST (colour - 0.5)."""
    seen = torch.einsum("nchw,cd->ndhw", latent, latent.new_tensor(PREVIEW))
    return 0.5 + 0.5 * (seen + latent.new_tensor(PREVIEW_BASE)[:, None, None])


def psnr(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Decibels for each picture of two batches in [0, 1]; [N]."""
    return -10 * ((a - b) ** 2).mean((1, 2, 3)).clamp_min(1e-12).log10()
