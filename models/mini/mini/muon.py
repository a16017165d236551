"""Muon: momentum whose matrices are made orthogonal before they are applied (Keller Jordan, 2024); Adam for the rest.

Matrices are [out, in]; the kernels of a convolution count as [out, in * height * width]. Matrices of one shape are
orthogonalised together; several processes do a part each. The update is scaled as by Liu and others (2025) so that
learning rates are those of Adam.
"""

import torch

from mini import spread

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration
ITERATIONS = 5


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """[N, rows, columns], rows <= columns, to (nearly) orthonormal rows, in bfloat16."""
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x


class Muon(torch.optim.Optimizer):
    """`matrices` by Muon, `others` by Adam; both with decoupled weight decay (on matrices alone)."""

    def __init__(self, matrices, others, lr: float, momentum: float = 0.95, betas=(0.9, 0.98), decay: float = 0.0):
        groups = {}
        for matrix in matrices:
            rows, columns = matrix.shape[0], matrix[0].numel()
            groups.setdefault((min(rows, columns), max(rows, columns)), []).append(matrix)
        rest = {"params": list(others), "is_muon": False}
        super().__init__([{"params": group, "is_muon": True} for group in groups.values()] + [rest],
                         {"lr": lr, "momentum": momentum, "betas": betas, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            (self.muon_step if group["is_muon"] else self.adam_step)(group)

    def muon_step(self, group) -> None:
        wanted, parameters = [], [one for one in group["params"] if one.grad is not None]
        if not parameters:
            return
        for parameter in parameters:
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
            flat = parameter.grad.lerp(state["momentum"], group["momentum"]).flatten(1)
            wanted.append(flat.mT if flat.shape[0] > flat.shape[1] else flat)
        longest = max(wanted[0].shape)
        for parameter, update in zip(parameters, spread.shared(torch.stack(wanted).bfloat16(), orthogonal)):
            flat = parameter.flatten(1)
            update = update.mT if flat.shape[0] > flat.shape[1] else update
            parameter.mul_(1 - group["lr"] * group["decay"])
            parameter.add_(update.reshape(parameter.shape), alpha=-group["lr"] * 0.2 * longest ** 0.5)

    def adam_step(self, group) -> None:
        fast, slow = group["betas"]
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            if "count" not in state:
                state.update(count=0, mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter))
            state["count"] += 1
            state["mean"].lerp_(parameter.grad, 1 - fast)
            state["square"].lerp_(parameter.grad.square(), 1 - slow)
            scale = (1 - slow ** state["count"]) ** 0.5 / (1 - fast ** state["count"])
            parameter.addcdiv_(state["mean"], state["square"].sqrt() + 1e-9, value=-group["lr"] * scale)


def split(parameters) -> tuple[list, list]:
    """What Muon takes, what Adam takes."""
    parameters = list(parameters)
    return [one for one in parameters if one.dim() > 1], [one for one in parameters if one.dim() < 2]
