"""Several processes training as one: each works on its share of a batch, gradients are averaged.

Started by `torchrun --nproc-per-node N` or `accelerate launch`, one process a GPU - or one a CPU core, which on a busy
machine goes far better than one process with many threads. Started plainly, there is one process and nothing to do.
"""

import os

import torch
import torch.distributed as dist


def begin(threads: int = 0) -> torch.device:
    """Joins the others; the device of this process."""
    number, count = rank(), world()
    if threads or count > 1 and not torch.cuda.is_available():
        torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) // count))
    if count > 1:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    if torch.cuda.is_available():
        device = torch.device("cuda", number % torch.cuda.device_count())
        torch.cuda.set_device(device)
        return device
    return torch.device("cpu")


def rank() -> int:
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    return rank() == 0


def mean_gradients(parameters) -> None:
    if world() == 1:
        return
    gradients = [one.grad for one in parameters if one.grad is not None]
    flat = torch.cat([one.flatten() for one in gradients])
    dist.all_reduce(flat)
    flat /= world()
    for gradient, part in zip(gradients, flat.split([one.numel() for one in gradients])):
        gradient.copy_(part.view_as(gradient))


def shared(stack: torch.Tensor, work) -> torch.Tensor:
    """`work` of a stack [N, ...] that all processes hold: each does its part, all get the whole. Shapes stay."""
    count = world()
    if count == 1:
        return work(stack)
    size = -(-len(stack) // count)
    mine = stack.new_zeros(size, *stack.shape[1:])
    part = stack[rank() * size:(rank() + 1) * size]
    if len(part):
        mine[:len(part)] = work(part)
    parts = [torch.empty_like(mine) for _ in range(count)]
    dist.all_gather(parts, mine)
    return torch.cat(parts)[:len(stack)]


def agreed(value: float) -> float:
    """The largest of what the processes say; all get the same answer."""
    if world() == 1:
        return value
    told = torch.tensor([value], device="cuda" if torch.cuda.is_available() else "cpu")
    dist.all_reduce(told, dist.ReduceOp.MAX)
    return told.item()


def end() -> None:
    if world() > 1:
        dist.destroy_process_group()
