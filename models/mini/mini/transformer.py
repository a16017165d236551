"""The diffusion transformer: Ovis-Image's layout with double blocks alone (src/flux.hpp of stable-diffusion.cpp).

Latents [N, 16, H, W] go in as 2 x 2 patches; the answer is the velocity (noise - picture) in the same shape. Text keys
and queries use only the first TEXT_USED of each head's values, those that rotary positions leave alone for text, so
that all padding looks the same and one key, weighted by how often it is there, stands for all of it, exactly.
"""

import functools
import math

import torch
import torch.nn.functional as F
from torch import nn

from mini.autoencoder import CHANNELS

HEAD = 128           # the engine fixes it
AXES = (16, 56, 56)  # of a head: index, row, column
TEXT_USED = 16
PATCH = 2
MLP = 4
TIME = 256


@functools.lru_cache(maxsize=16)
def positions(rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines [rows * columns, HEAD / 2] of the pictures' positions."""
    row = torch.arange(rows).float().repeat_interleave(columns)
    column = torch.arange(columns).float().repeat(rows)
    angles = [at[:, None] * 1e4 ** (-torch.arange(0, size, 2).float() / size)
              for at, size in zip((torch.zeros_like(row), row, column), AXES)]
    angle = torch.cat(angles, 1)
    return angle.cos(), angle.sin()


def rotated(x: torch.Tensor, table: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Rotary positions on neighbouring pairs; x [N, heads, tokens, HEAD]."""
    cos, sin = (one.to(x.device, x.dtype) for one in table)
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


def attended(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Attention over keys weighted by how often each is there. For sequences this short, the library's own is slower."""
    weight = (q @ k.mT) * HEAD ** -0.5 + count
    return weight.float().softmax(-1).to(v.dtype) @ v


class Scale(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(size))


class Norms(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query_norm = Scale(HEAD)
        self.key_norm = Scale(HEAD)


class Attention(nn.Module):
    def __init__(self, width: int, is_text: bool) -> None:
        super().__init__()
        self.heads = width // HEAD
        self.qkv = nn.Linear(width, 3 * width)
        self.norm = Norms()
        self.proj = nn.Linear(width, width)
        self.is_text = is_text
        used = torch.ones(HEAD)
        with torch.no_grad():
            self.qkv.bias.zero_()
            self.proj.bias.zero_()
            if is_text:  # padding, of which there is much, begins quietly: value 0 of its keys against the queries'
                used[TEXT_USED:] = 0
                self.qkv.bias[width:2 * width:HEAD] = -0.5
                for one in (self.norm.query_norm, self.norm.key_norm):
                    one.scale.fill_(2.0).mul_(used)
            else:
                self.qkv.bias[0:width:HEAD] = 1.0
        self.register_buffer("used", used, persistent=False)

    def parts(self, x: torch.Tensor, table=None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, HEAD)).permute(2, 0, 3, 1, 4)
        q = F.rms_norm(q, (HEAD,), (self.norm.query_norm.scale * self.used).to(q.dtype), 1e-6)
        k = F.rms_norm(k, (HEAD,), (self.norm.key_norm.scale * self.used).to(k.dtype), 1e-6)
        return (q, k, v) if table is None else (rotated(q, table), rotated(k, table), v)


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, MLP * width)
        self.up_proj = nn.Linear(width, MLP * width)
        self.down_proj = nn.Linear(MLP * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Modulation(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.lin = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.lin.weight)
        nn.init.zeros_(self.lin.bias)

    def forward(self, at: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.lin(F.silu(at))[:, None].chunk(6, -1)


def normed(x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, (x.shape[-1],), eps=1e-6) * (1 + scale) + shift


class Block(nn.Module):
    """The last block's text is not used after it: what would compute it is in the layout, and zero."""

    def __init__(self, width: int, is_last: bool) -> None:
        super().__init__()
        self.is_last = is_last
        self.img_mod, self.txt_mod = Modulation(width), Modulation(width)
        self.img_attn, self.txt_attn = Attention(width, False), Attention(width, True)
        self.img_mlp, self.txt_mlp = Mlp(width), Mlp(width)
        if is_last:
            for unused in (self.txt_attn.proj, self.txt_mlp):
                for one in unused.parameters():
                    nn.init.zeros_(one).requires_grad_(False)

    def forward(self, image, text, at, table, count):
        i, t = self.img_mod(at), self.txt_mod(at)
        iq, ik, iv = self.img_attn.parts(normed(image, i[0], i[1]), table)
        tq, tk, tv = self.txt_attn.parts(normed(text, t[0], t[1]))
        q, k, v = (torch.cat(pair, 2) for pair in ((tq, iq), (tk, ik), (tv, iv)))
        out = attended(q, k, v, count).transpose(1, 2).flatten(2)
        length = text.shape[1]
        image = image + self.img_attn.proj(out[:, length:]) * i[2]
        image = image + self.img_mlp(normed(image, i[3], i[4])) * i[5]
        if self.is_last:
            return image, text
        text = text + self.txt_attn.proj(out[:, :length]) * t[2]
        text = text + self.txt_mlp(normed(text, t[3], t[4])) * t[5]
        return image, text


class Time(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_layer = nn.Linear(TIME, width)
        self.out_layer = nn.Linear(width, width)

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        half = TIME // 2
        angle = time[:, None] * 1000 * torch.exp(-math.log(1e4) * torch.arange(half, device=time.device) / half)
        return self.out_layer(F.silu(self.in_layer(torch.cat([angle.cos(), angle.sin()], 1))))


class Final(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.linear = nn.Linear(width, CHANNELS * PATCH * PATCH)
        for layer in (self.adaLN_modulation[1], self.linear):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        shift, scale = self.adaLN_modulation(at)[:, None].chunk(2, -1)
        return self.linear(normed(x, shift, scale))


class Transformer(nn.Module):
    def __init__(self, width: int, depth: int, context: int) -> None:
        super().__init__()
        self.img_in = nn.Linear(CHANNELS * PATCH * PATCH, width)
        self.txt_in = nn.Linear(context, width)
        self.txt_norm = Scale(context)
        self.time_in = Time(width)
        self.double_blocks = nn.ModuleList(Block(width, n == depth - 1) for n in range(depth))
        self.final_layer = Final(width)
        self.is_compiled = False

    def compile_blocks(self) -> None:
        """For any length of text, but for each size of picture anew: both at once are too much for the compiler."""
        for block in self.double_blocks:
            block.compile(dynamic=True)
        self.is_compiled = True

    def forward(self, latent, time, text, count):
        """latent [N, 16, H, W]; time [N], 1 is noise alone; text and count as TextEncoder gives them."""
        number, channels, height, width = latent.shape
        rows, columns = height // PATCH, width // PATCH
        image = latent.view(number, channels, rows, PATCH, columns, PATCH).permute(0, 2, 4, 1, 3, 5)
        image = self.img_in(image.reshape(number, rows * columns, channels * PATCH * PATCH))
        text = self.txt_in(F.rms_norm(text, (text.shape[-1],), self.txt_norm.scale, 1e-6))
        count = torch.cat([count, count.new_zeros(number, rows * columns)], 1)[:, None, None]
        at, table = self.time_in(time), positions(rows, columns)
        for block in self.double_blocks:
            if self.is_compiled:
                torch._dynamo.mark_static(image, 1)
            image, text = block(image, text, at, table, count)
        out = self.final_layer(image, at).view(number, rows, columns, channels, PATCH, PATCH)
        return out.permute(0, 3, 1, 4, 2, 5).reshape(number, channels, height, width)
