"""Measurement of a problem: equal losses first, then the times of everyone, and the memory bound."""

import gc
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.measure import Run, interleaved_rounds, seconds_per_unit
from bench.sparse.bound import Memory
from bench.sparse.contenders import DENSE, LIGHT, OURS, PEERS, SAME, SKLEARN, THREADED, Contender, Ours, Problem

CHECKED, TOLERANCE = 4, 2e-6  # steps, and the relative difference between their losses
EPOCHS_TO_SETTLE = 3  # with one thread, with two, and with one again
SKLEARN_STEPS = 2  # of a call, which compares their mean loss
PEER_SECONDS = 0.4  # of a round of a peer
MOST_STEPS = 2000  # of a peer, whose batches are held


def clocks() -> NDArray[np.float64]:
    """Give wall seconds, and the processor seconds of all threads."""
    return np.array([time.perf_counter(), time.process_time()])


def measured(problem: Problem, rounds: int) -> dict[str, Any]:
    """Give the seconds of a step of everyone, by both clocks, and those in which the slots of a step can be passed."""
    ours = {name: Ours(problem, optimizer) for name, optimizer in OURS.items()}
    memory = {name: bound(contender, rounds) for name, contender in ours.items() if name != "Adagrad"}
    expected = {name: contender.train(CHECKED) for name, contender in ours.items()}
    apart = abs(expected["SGD"] / expected["momentum"] - 1).max()
    if apart < 10 * TOLERANCE:
        raise AssertionError(f"losses {expected} hardly depend on the optimiser, so that they compare nothing")
    light: dict[str, Contender] = {name: PEERS[name](problem, MOST_STEPS) for name in LIGHT if problem.has(name)}
    differences = {name: compared(name, peer, problem, expected) for name, peer in light.items()}
    own: dict[str, Contender] = {f"fcfast, {name}": contender for name, contender in ours.items()}
    if problem.batch > 1:  # single samples are not shared by threads
        own |= {f"{THREADED} threads, {name}": settled(ours[name].shared(THREADED)) for name in memory}
    runs = {name: Run(lambda who=who: who.train(problem.n_steps), problem.n_steps) for name, who in own.items()}
    runs |= {name: peer_run(peer, problem.n_steps) for name, peer in light.items()}
    seconds = {name: medians(values) for name, values in interleaved_rounds(runs, rounds, clocks).items()}
    del ours, own, light, runs
    for name in filter(problem.has, (*DENSE, SKLEARN)):
        gc.collect()  # networks of PyTorch have cycles
        n_steps = SKLEARN_STEPS if name == SKLEARN else CHECKED
        peer = PEERS[name](problem, n_steps)
        differences[name] = compared(name, peer, problem, expected)
        run = Run(lambda peer=peer: peer.train(SKLEARN_STEPS), SKLEARN_STEPS) if name == SKLEARN else peer_run(peer, CHECKED)
        seconds[name] = medians([seconds_per_unit(run, 1, clocks) for _ in range(rounds)])
    return {
        "shape": problem.X.shape, "per_row": problem.X.nnz / problem.X.shape[0], "n_steps": problem.n_steps, "seconds": seconds,
        "memory": memory, "differences": {name: value for name, value in differences.items() if value is not None},
    }  # fmt: skip


def settled(ours: Ours) -> Ours:
    """Train some epochs, after which a network knows whether threads make it faster."""
    for _ in range(EPOCHS_TO_SETTLE):
        ours.train(ours.problem.n_steps)
    return ours


def compared(name: str, peer: Contender, problem: Problem, expected: Mapping[str, Any]) -> float | None:
    """Train a peer for the first steps; give the largest relative difference to our losses, None if it trains otherwise."""
    losses = peer.train(CHECKED)
    if name not in SAME or (name == SKLEARN and problem.n_classes == 2):  # which has one output for two classes
        return None
    wanted = expected[SAME[name]]
    wanted = np.array([wanted[:SKLEARN_STEPS].mean()]) if name == SKLEARN else wanted
    difference = float(np.max(np.abs(losses / wanted - 1)))
    if not difference <= TOLERANCE:
        raise AssertionError(f"{name} does not compute the same: losses {losses} instead of {wanted}")
    return difference


def peer_run(peer: Contender, most: int) -> Run:
    """As many steps of a peer as there is time for."""
    started = time.perf_counter()
    peer.train(1)
    n_steps = int(np.clip(PEER_SECONDS / (time.perf_counter() - started), 1, min(most, MOST_STEPS)))
    return Run(lambda: peer.train(n_steps), n_steps)


def medians(seconds: list[Any]) -> dict[str, float]:
    """Medians by both clocks."""
    wall, processor = np.median(seconds, axis=0)
    return {"wall": float(wall), "processor": float(processor)}


def bound(ours: Ours, rounds: int) -> dict[str, Any]:
    """Features that a step touches, and seconds to pass the slot of a feature as often as a step does."""
    memory = Memory(ours)
    steps = len(memory.own) * ours.window / ours.problem.batch
    return {"touched": memory.n_slots / steps, "bytes": memory.table[0].nbytes, "slots": len(memory.table)} | memory.measured(
        rounds
    )
