import pathlib
import subprocess
import sys

import pytest
import torch

from mini import muon


def test_updates_are_orthogonal():
    """The iteration trades exactness for speed: singular values come near 1, not to it."""
    matrices = torch.randn(3, 24, 64, generator=torch.Generator().manual_seed(1)) * torch.tensor([0.01, 1, 100.])[:, None, None]
    values = torch.linalg.svdvals(muon.orthogonal(matrices).float())
    assert values.min() > 0.6 and values.max() < 1.3


def test_a_step_of_both_kinds_goes_downhill():
    generator = torch.Generator().manual_seed(2)
    matrix = torch.nn.Parameter(torch.randn(8, 12, generator=generator))
    vector = torch.nn.Parameter(torch.randn(8, generator=generator))
    wanted = torch.randn(8, 12, generator=generator)
    optimizer = muon.Muon([matrix], [vector], lr=0.05)
    losses = []
    for _ in range(60):
        loss = ((matrix - wanted) ** 2).mean() + (vector ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_split_by_dimensions():
    matrices, others = muon.split([torch.zeros(2, 2), torch.zeros(2), torch.zeros(2, 2, 3, 3)])
    assert [one.dim() for one in matrices] == [2, 4] and [one.dim() for one in others] == [1]


@pytest.mark.parametrize("processes", (1, 2, 3))
def test_processes_share_the_work_and_agree(processes):
    program = pathlib.Path(__file__).with_name("share_work.py")
    subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes),
                    str(program)], check=True, timeout=600)
