"""Measurement of a problem: equal losses first, then times, two threads, and the memory bound."""

import gc
import time
from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np

from bench.measure import Run, interleaved, interleaved_rounds
from bench.sparse.bound import Memory
from bench.sparse.contenders import DENSE, LIGHT, OURS, PEERS, SAME, SKLEARN, Contender, Ours, Problem

CHECKED, TOLERANCE = 6, 1e-4  # steps, and the relative difference between their losses
LIGHT_SECONDS, HEAVY_SECONDS = 0.5, 0.4  # of a round of a contender
MOST_STEPS = 3000  # of a peer, whose batches are held
THREADED = 2


def measured(problem: Problem, rounds: int) -> dict[str, Any]:
    """Give the seconds of a step of everyone, what two threads gain, and the shares of the memory bound."""
    ours = {name: Ours(problem, optimizer) for name, optimizer in OURS.items()}
    expected = {name: contender.train(CHECKED) for name, contender in ours.items()}
    light: dict[str, Contender] = {name: PEERS[name](problem, MOST_STEPS) for name in LIGHT}
    differences = {name: compared(name, peer, problem, expected) for name, peer in light.items()}
    seconds = timed_light({f"fcfast, {name}": who for name, who in ours.items()} | light, problem, rounds)
    del light
    memory = {name: bound_of(ours[name], seconds[f"fcfast, {name}"], rounds) for name in ("SGD", "momentum")}
    threads = {name: with_threads(ours[name], problem, rounds) for name in ("SGD", "momentum")} if problem.batch > 1 else {}
    del ours
    for name in (*DENSE, SKLEARN):
        gc.collect()  # networks of PyTorch have cycles
        differences[name], seconds[name] = heavy(name, problem, expected, rounds)
    return {
        "shape": problem.X.shape, "per_row": problem.X.nnz / problem.X.shape[0], "seconds": seconds, "threads": threads,
        "memory": memory, "differences": {name: value for name, value in differences.items() if value is not None},
    }  # fmt: skip


def compared(name: str, peer: Contender, problem: Problem, expected: Mapping[str, Any]) -> float | None:
    """Train a peer for the first steps; give the largest relative difference to our losses, None if it trains otherwise."""
    losses = peer.train(CHECKED)
    if name not in SAME or (name == SKLEARN and problem.n_classes == 2):  # which has one output for two classes
        return None
    wanted = expected[SAME[name]]
    wanted = np.array([wanted.mean()]) if len(losses) == 1 else wanted
    difference = float(np.max(np.abs(losses / wanted - 1)))
    if not difference <= TOLERANCE:
        raise AssertionError(f"{name} does not compute the same: losses {losses} instead of {wanted}")
    return difference


def timed_light(contenders: Mapping[str, Any], problem: Problem, rounds: int) -> dict[str, float]:
    """Median processor seconds of a step, of epochs of ours and of as many steps of peers as there is time for."""
    runs = {}
    n_all = -(-len(problem.order) // problem.batch)
    for name, contender in contenders.items():
        started = time.process_time()
        contender.train(CHECKED)
        seconds = (time.process_time() - started) / CHECKED
        n_steps = n_all if isinstance(contender, Ours) else min(n_all, MOST_STEPS, max(CHECKED, int(LIGHT_SECONDS / seconds)))
        runs[name] = Run(lambda contender=contender, n_steps=n_steps: contender.train(n_steps), n_steps)
    return {name: median(values) for name, values in interleaved_rounds(runs, rounds, time.process_time).items()}


def heavy(name: str, problem: Problem, expected: Mapping[str, Any], rounds: int) -> tuple[float | None, float]:
    """The difference of a peer that passes all weights, and its median processor seconds of a step."""
    peer = PEERS[name](problem, CHECKED)
    started = time.process_time()
    difference = compared(name, peer, problem, expected)
    seconds = (time.process_time() - started) / CHECKED
    n_steps = CHECKED if name == SKLEARN else int(np.clip(HEAVY_SECONDS / seconds, 1, CHECKED))
    run = Run(lambda: peer.train(n_steps), n_steps)
    return difference, median(interleaved_rounds({name: run}, max(1, rounds - 2), time.process_time)[name])


def bound_of(ours: Ours, seconds: float, rounds: int) -> dict[str, Any]:
    """The memory bound of the windows of ours."""
    memory = Memory(ours)
    per_window = ours.network.window / ours.problem.batch
    n_touched = memory.n_slots / len(memory.own) / per_window
    bounds = memory.measured(rounds)
    return {"touched": n_touched, "seconds": seconds / n_touched, "kilobytes": memory.table[0].nbytes / 1024} | bounds


def with_threads(one: Ours, problem: Problem, rounds: int) -> dict[str, float]:
    """Median wall seconds of a step with one thread and with two."""
    several = Ours(problem, one.network.optimizer, THREADED)
    n_steps = -(-len(problem.order) // problem.batch)
    for _ in range(2):  # the second epoch of `several` tries the threads
        several.train(n_steps)
    runs = {str(n): Run(lambda who=who: who.train(n_steps), n_steps) for n, who in ((1, one), (THREADED, several))}
    return interleaved(runs, rounds)
