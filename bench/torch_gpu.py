"""FrontLinear against nn.Linear on the device that there is: a step with SGD and momentum, for 10^5 to 10^7 features

Reproduce: python -m bench.torch_gpu [features ...], which prints a Markdown table; a GPU is used if PyTorch finds one
100 samples, 256 units, float32, full batch. Losses are compared first, where nn.Linear fits into memory; then both take turns.
X, the weights, their gradient and the velocity of nn.Linear take 4 (100 + 3 * 256) bytes a feature: 35 GB for 10^7.
"""

import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import nn

from bench.measure import duration, markdown, times
from fcfast.torch import FrontLinear, Rows, compiled_step

N, HIDDEN, CLASSES = 100, 256, 10
FEATURES = 100_000, 1_000_000, 10_000_000
ROUNDS, STEPS, COMPARED = 7, 20, 8


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_per_step(step: Callable[[], object], n_steps: int, device: torch.device) -> float:
    """Time some steps."""
    wait(device)
    start = time.perf_counter()
    for _ in range(n_steps):
        step()
    wait(device)
    return (time.perf_counter() - start) / n_steps


def stepper(network: nn.Module, inputs: torch.Tensor | None, y: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Give a step on all samples in PyTorch's own loop, which gives the loss."""
    optimizer = torch.optim.SGD(network.parameters(), 0.01, 0.9)

    def step() -> torch.Tensor:
        loss = nn.functional.cross_entropy(network(inputs), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def measured(d: int, device: torch.device) -> list[str]:
    """Compare losses and times for d features, and give a row of the table."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, d), dtype=np.float32)
    X /= d**0.5
    y = torch.tensor(rng.integers(0, CLASSES, N)).to(device)
    torch.manual_seed(0)
    start = time.perf_counter()
    front = FrontLinear(Rows(X), HIDDEN)
    once = time.perf_counter() - start

    def network(first: nn.Module) -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(first, nn.ReLU(), nn.Linear(HIDDEN, CLASSES)).to(device)

    def copied() -> FrontLinear:
        layer = FrontLinear(front.rows, HIDDEN)
        layer.load_state_dict(front.state_dict())
        return layer

    ours = network(copied())
    optimizer = torch.optim.SGD(ours.parameters(), 0.01, 0.9)
    compiled = compiled_step(ours, nn.functional.cross_entropy, optimizer)
    ways = {"front": stepper(network(copied()), None, y), "compiled": lambda: compiled(None, y)}
    losses = [[way().item() for _ in range(COMPARED)] for way in ways.values()]
    try:
        linear_step = stepper(network(front.expand()), torch.from_numpy(X).to(device), y)
        losses.append([linear_step().item() for _ in range(COMPARED)])
        ways["linear"] = linear_step
    except (torch.OutOfMemoryError, MemoryError):
        print(f"nn.Linear with {d:,} features does not fit into memory", flush=True)
    for others in losses[1:]:
        np.testing.assert_allclose(others, losses[0], rtol=1e-3)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            seconds[name].append(seconds_per_step(way, STEPS, device))
    best = {name: median(values) for name, values in seconds.items()}
    linear = best.get("linear")
    shown = ["does not fit", "-"] if linear is None else [duration(linear), times(linear / best["front"])]
    return [f"{d:,}", shown[0], duration(best["front"]), duration(best["compiled"]), shown[1], duration(once)]


def main(features: list[int]) -> None:
    """Print the table."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_float32_matmul_precision("highest")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, {N} samples, {HIDDEN} units, float32, full batch, momentum 0.9\n", flush=True)
    head = ["features", "nn.Linear, a step", "FrontLinear", "compiled step", "times as fast", "once, on the CPU"]
    print(markdown([head, *(measured(d, device) for d in features)]))


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or list(FEATURES))
