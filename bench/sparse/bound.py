"""The memory bound: how long it takes to pass the slots of each window twice, and nothing else.

A step passes the slot of each feature that its batch has, W and with momentum M, 1 or 2 KB, twice: it reads them for the
pre-activations, and it reads and writes them for the update. Here the first pass is the forward function of PyTorch's
EmbeddingBag, which adds the rows up and fetches them ahead, and the second one an assignment of NumPy's. A loop in C that
fetches three rows ahead takes as long as these within 12%, for reading and for both.
"""

import time
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from bench.sparse.contenders import Ours
from fcfast.front.slots import empty_table

AT_MOST = 400_000  # slots that are passed in a round


class Memory:
    """A table like that of a front layer, and the windows in which its slots are passed."""

    def __init__(self, ours: Ours) -> None:
        table = ours.front.table
        self.table = empty_table(*table.shape[:2], table.shape[2], table.dtype).reshape(len(table), -1)
        self.table[:] = 1.0
        self.own = met(ours)
        self.n_slots = sum(map(len, self.own))
        places = np.random.default_rng(3).permutation(len(table))
        self.random = [scattered(slots, places, seed) for seed, slots in enumerate(self.own)]

    def seconds(self, windows: list[NDArray[np.int64]]) -> float:
        """Pass the slots of the windows twice; give the seconds per slot."""
        passed, new, first = torch.from_numpy(self.table), np.ones(self.table.shape[1], "f4"), torch.zeros(1, dtype=torch.int64)
        started = time.process_time()
        for slots in windows:
            torch.nn.functional.embedding_bag(torch.from_numpy(slots), passed, first, mode="sum")
            self.table[slots] = new
        return (time.process_time() - started) / self.n_slots

    def measured(self, rounds: int) -> dict[str, float]:
        """Seconds to pass a slot twice: random ones, and those that the windows have, some of which are in a cache."""
        kinds = {"random": self.random, "own": self.own}
        seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind, windows in kinds.items():
                seconds[kind].append(self.seconds(windows))
        return {kind: median(values) for kind, values in seconds.items()}


def met(ours: Ours) -> list[NDArray[np.int64]]:
    """The slots of windows in the order in which they are met."""
    windows, n_slots = [], 0
    for position in range(0, len(ours.problem.order), ours.window):
        if n_slots > AT_MOST:
            break
        entries = ours.slots_of(ours.problem.order[position : position + ours.window])
        slots, places = np.unique(entries, return_index=True)
        windows.append(slots[np.argsort(places)].astype(np.int64))
        n_slots += len(slots)
    return windows


def scattered(slots: NDArray[np.int64], places: NDArray[np.intp], seed: int) -> NDArray[np.int64]:
    """As many slots anywhere in the table."""
    first = np.random.default_rng(seed).integers(0, len(places))
    return np.take(places, np.arange(first, first + len(slots)), mode="wrap").astype(np.int64)
