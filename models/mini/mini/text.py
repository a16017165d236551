"""The text encoder: a very small Qwen3, as stable-diffusion.cpp builds it from its tensors (src/llm.hpp).

The engine fixes 32 heads of 128 over 8 keys; here only the first heads are trained (USED), the others are zeros in the
file. Padding, and the suffix of every prompt, must look the same for any prompt, because the transformer folds all of
them into one key: their embedding is so long (CONSTANT) that what attention adds to it vanishes in the last norm.
"""

import torch
import torch.nn.functional as F
from torch import nn

from mini import tokens

HEAD = 128
HEADS, KEYS = 32, 8           # what the engine builds
HEADS_USED, KEYS_USED = 8, 2  # what is trained; head n reads key n / 4
THETA = 1e6
CONSTANT = 32768.0


def rms(x: torch.Tensor, weight: torch.Tensor, eps: float = 1e-6) -> torch.Tensor:
    return F.rms_norm(x.float(), (x.shape[-1],), weight, eps)


def rotated(x: torch.Tensor, first: int) -> torch.Tensor:
    """Rotary positions as GPT-NeoX has them; x [N, heads, tokens, HEAD], the first token at `first`."""
    half = HEAD // 2
    speed = THETA ** (-torch.arange(half, device=x.device).float() / half)
    angle = (torch.arange(first, first + x.shape[2], device=x.device).float()[:, None] * speed)
    cos, sin = angle.cos(), angle.sin()
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(width, HEADS_USED * HEAD, bias=False)
        self.k_proj = nn.Linear(width, KEYS_USED * HEAD, bias=False)
        self.v_proj = nn.Linear(width, KEYS_USED * HEAD, bias=False)
        self.o_proj = nn.Linear(HEADS_USED * HEAD, width, bias=False)
        self.q_norm = nn.RMSNorm(HEAD, eps=1e-6)
        self.k_norm = nn.RMSNorm(HEAD, eps=1e-6)
        with torch.no_grad():
            self.o_proj.weight.mul_(0.3)

    def forward(self, x: torch.Tensor, past: tuple | None) -> tuple[torch.Tensor, tuple]:
        count, length, _ = x.shape
        first = past[0].shape[2] if past else 0
        split = lambda y, heads: y.view(count, length, heads, HEAD).transpose(1, 2)
        q = rotated(rms(split(self.q_proj(x), HEADS_USED), self.q_norm.weight), first)
        k = rotated(rms(split(self.k_proj(x), KEYS_USED), self.k_norm.weight), first)
        v = split(self.v_proj(x), KEYS_USED).float()
        if past:
            k = torch.cat([past[0].expand(count, -1, -1, -1), k], 2)
            v = torch.cat([past[1].expand(count, -1, -1, -1), v], 2)
        allowed = torch.ones(length, first + length, dtype=torch.bool, device=x.device).tril(first)
        share = HEADS_USED // KEYS_USED
        out = F.scaled_dot_product_attention(q, k.repeat_interleave(share, 1), v.repeat_interleave(share, 1), allowed)
        return self.o_proj(out.transpose(1, 2).flatten(2)), (k, v)


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, 2 * width, bias=False)
        self.up_proj = nn.Linear(width, 2 * width, bias=False)
        self.down_proj = nn.Linear(2 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(width, eps=1e-6)
        self.self_attn = Attention(width)
        self.post_attention_layernorm = nn.RMSNorm(width, eps=1e-6)
        self.mlp = Mlp(width)

    def forward(self, x: torch.Tensor, past: tuple | None) -> tuple[torch.Tensor, tuple]:
        added, past = self.self_attn(rms(x, self.input_layernorm.weight), past)
        x = x + added.float()
        return x + self.mlp(rms(x, self.post_attention_layernorm.weight)).float(), past


class TextEncoder(nn.Module):
    """`known`: the token ids that have an embedding, ascending; all others are zeros, constants are CONSTANT."""

    def __init__(self, known: list[int], prefix: list[int], constants: list[int], width: int = 128, layers: int = 3):
        super().__init__()
        self.width = width
        self.embedding = nn.Parameter(torch.randn(len(known), width) * 0.7)
        self.layers = nn.ModuleList(Layer(width) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-6)
        row = torch.full((tokens.VOCABULARY,), len(known))  # the row of zeros
        row[torch.tensor(known)] = torch.arange(len(known))
        row[torch.tensor(constants)] = len(known) + 1
        self.register_buffer("row", row, persistent=False)
        self.register_buffer("prefix", torch.tensor([prefix]), persistent=False)
        constant = torch.zeros(2, width)
        constant[1, 0] = CONSTANT
        self.register_buffer("fixed", constant, persistent=False)

    def embedded(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.embedding, self.fixed])[self.row[ids]]

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """ids [N, L] of words and END, filled up with PAD; mask [N, L] true for the former.

        Gives what the transformer sees, [N, 1 + L + 1, width], and the logarithm of how often each is there, [N, 1 + L
        + 1]: the prefix's last token, the words, and the constant that stands for all that comes after them.
        """
        x, past = self.embedded(self.prefix), []
        for layer in self.layers:
            x, keys = layer(x, None)
            past.append(keys)
        first = rms(x[:, -1:], self.norm.weight).expand(len(ids), -1, -1)
        x = self.embedded(ids)
        for layer, keys in zip(self.layers, past):
            x, _ = layer(x, keys)
        last = rms(self.fixed[1:], self.norm.weight).expand(len(ids), 1, -1)
        count = torch.zeros(len(ids), ids.shape[1] + 2, device=ids.device)
        count[:, 1:-1] = torch.where(mask, 0.0, float("-inf"))
        count[:, -1] = torch.log(tokens.TEXT - 1.0 - mask.sum(1))
        return torch.cat([first, rms(x, self.norm.weight), last], 1), count
