"""Started as several processes by test_muon: what they do together is what one does alone."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import torch

from mini import muon, spread

spread.begin(1)
for count in (1, 2, 5):
    stack = torch.randn(count, 8, 24, generator=torch.Generator().manual_seed(count)).bfloat16()
    asked = []
    together = spread.shared(stack, lambda part: asked.append(len(part)) or muon.orthogonal(part))
    assert together.shape == stack.shape and torch.allclose(together, muon.orthogonal(stack), atol=0.02)
    assert sum(asked) <= -(-count // spread.world())
spread.end()
