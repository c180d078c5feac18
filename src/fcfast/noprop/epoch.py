"""An epoch of NoProp's training: block after block, or blocks in parallel if they share no trained parameters."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import groupby
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fcfast import backend
from fcfast.layers import Layer
from fcfast.noprop.schedule import embedded
from fcfast.noprop.variants import ContinuousTime, Draw, EndToEnd
from fcfast.training import stepwise

if TYPE_CHECKING:
    from fcfast.noprop.network import NoPropNetwork, Parameters

Array = NDArray[Any]
Rows = NDArray[np.intp]
Floats = NDArray[np.float64]

LARGEST_GAMMA, SMALLEST_GAP = 20.0, 1.0  # limits of the ends of a learned schedule, and of their difference


def own_parameters(variant: Any) -> Array:
    """Give the parameters that a variant trains in addition to blocks and labels."""
    if isinstance(variant, EndToEnd):
        return variant.gates
    if isinstance(variant, ContinuousTime) and variant.learns_ends:
        return variant.gammas
    return np.empty(0)


def train_epoch(network: "NoPropNetwork", rows: Rows, rates: Floats, targets: Array, sample_weight: Floats | None) -> Floats:
    """Train on some rows; each block passes over all of them once."""
    trainer = _Trainer(network, targets, sample_weight)
    if isinstance(network.variant, EndToEnd):
        return trainer.end_to_end(_batches(network, rows), rates)
    work = _work(network, rows)
    losses = _side_by_side(network, trainer, work, rates) if network.is_parallel else trainer.in_turn(work, rates)
    return _mean_by_step(losses, len(rates))


Work = list[tuple[int, int, Rows]]  # an epoch in order, as (block, step of the pass, batch)


def _batches(network: "NoPropNetwork", rows: Rows) -> list[Rows]:
    return np.split(rows, range(network.batch_size, len(rows), network.batch_size))


def _work(network: "NoPropNetwork", rows: Rows) -> Work:
    """Plan an epoch, which has a pass over the rows for each block, with the blocks in turn or at random."""
    n_blocks = len(network.blocks)
    passes = [_batches(network, rows if t == 0 else network.generators[-1].permutation(rows)) for t in range(n_blocks)]
    if network.order == "sequential":
        return [(t, step, batch) for t, batches in enumerate(passes) for step, batch in enumerate(batches)]
    n_steps = len(passes[0])
    drawn = network.generators[-1].integers(n_blocks, size=n_blocks * n_steps)
    # the learning rate depends on the finished share of the epoch
    return [(int(t), k // n_blocks, passes[k // n_steps][k % n_steps]) for k, t in enumerate(drawn)]


def _side_by_side(network: "NoPropNetwork", trainer: "_Trainer", work: Work, rates: Floats) -> list[tuple[int, float]]:
    """Train the blocks separately, one in each thread."""
    by_block = [[item for item in work if item[0] == t] for t in range(len(network.blocks))]
    if network.n_threads == 1:
        return [loss for items in by_block for loss in trainer.in_turn(items, rates)]
    at_work = [Lock() for _ in by_block]

    def train(items: Work, lock: Lock) -> list[tuple[int, float]]:
        with lock:
            return trainer.in_turn(items, rates)

    with ThreadPoolExecutor(min(network.n_threads, len(by_block))) as pool:
        try:
            return [loss for losses in pool.map(train, by_block, at_work) for loss in losses]
        except BaseException:
            trainer.stopped.set()  # the other blocks stop too
            pool.shutdown(cancel_futures=True)
            for lock in at_work:  # a pool that Ctrl-C interrupts while it starts a thread does not wait for that one
                with lock:
                    pass
            raise


def _mean_by_step(losses: Sequence[tuple[int, float]], n_steps: int) -> Floats:
    """Average over the blocks; only steps before the first that diverged count."""
    totals, counts = np.zeros(n_steps), np.zeros(n_steps)
    for step, loss in losses:
        totals[step] += loss
        counts[step] += 1
    bad = np.flatnonzero(~np.isfinite(totals) | (counts == 0))
    n = int(bad[0]) if len(bad) else n_steps
    return totals[:n] / counts[:n]


def _runs(work: Work) -> Iterator[Work]:
    """Split work where another block comes."""
    return (list(run) for _, run in groupby(work, key=lambda item: item[0]))


class _Trainer:
    """The training of a network in an epoch."""

    def __init__(self, network: "NoPropNetwork", targets: Array, sample_weight: Floats | None) -> None:
        self.network, self.targets, self.sample_weight = network, targets, sample_weight
        self.stopped = Event()

    # ------------------------------------------------------------------------------------------------------------------
    # blocks by themselves

    def in_turn(self, work: Work, rates: Floats) -> list[tuple[int, float]]:
        """Do some of an epoch's work in order; give steps and losses, up to the first loss that is not finite."""
        losses: list[tuple[int, float]] = []
        # Where closing a front layer is a pass over all of it, blocks that are drawn at random stay open to the end.
        stay_open = self.network.order == "random" and self.network.fronts.forms[0].leaves_alone
        runs = [work] if stay_open else _runs(work)
        for run in runs:
            if not self._train(run, rates, losses):
                break
        return losses

    def _train(self, work: Work, rates: Floats, losses: list[tuple[int, float]]) -> bool:
        """Train blocks on batches; return whether to continue."""
        # A diverging run overflows. Its loss is checked, so NumPy need not warn.
        with np.errstate(over="ignore", invalid="ignore"), ExitStack() as opened:
            blocks = dict.fromkeys(t for t, _, _ in work)
            fronts = {t: self._opened(t, [batch for s, _, batch in work if s == t], opened) for t in blocks}
            for t, step, batch in work:
                if self.stopped.is_set():
                    return False
                loss = self._step(t, next(fronts[t]), batch, rates[step])
                losses.append((step, loss))
                if not np.isfinite(loss):
                    return False
        return True

    def _opened(self, t: int, batches: list[Rows], opened: ExitStack) -> Iterator[Any]:
        """Give the front layer of a block for each of its batches."""
        network = self.network
        windows = network.fronts.forms[t].windows(
            batches, network.per_window, network.optimizer, network.front_memory(t), network.kernel_threads
        )
        opened.enter_context(closing(windows))
        return (front for window, front in windows for _ in window)

    def _step(self, t: int, front: Any, batch: Rows, rate: float) -> float:
        """Take a step with a block and the space of labels; give the loss, and change nothing if the loss is not finite."""
        network, generator = self.network, self.network.generators[t]
        labels, y = network.labels, self.targets[batch]
        draw = network.variant.draw(t, len(batch), generator)
        u, noise = labels.embedding[y], self._noise(len(batch), generator)
        z = draw.signal.astype(u.dtype) * u + draw.noise.astype(u.dtype) * noise
        times = None if draw.times is None else embedded(draw.times, u.dtype)
        way = network.blocks[t].training(front.preactivations(batch), z, times)
        made = labels.predicted(way.result)
        shares = self._shares(batch)
        residual = made.point - (u - noise if labels.is_flow else u)
        squares = np.square(residual, dtype=np.float64).sum(axis=1)
        loss = float((shares * draw.weight * squares).sum())
        to_point = (2 * shares * draw.weight)[:, None].astype(u.dtype) * residual
        if not labels.has_head:
            D, _ = way.backward(labels.to_scores(to_point, made))
        else:
            labels.grad[:] = 0
            by_target, by_z = -to_point, np.zeros_like(z)
            if labels.is_flow:
                ahead = (1 - draw.signal).astype(u.dtype)  # the flow would end at z + (1 - t) v
                extra, anchor = labels.head_loss(z + ahead * made.point, y, shares)
                loss += extra
                to_point = to_point + ahead * anchor
                by_z += anchor
            D, dz = way.backward(labels.to_scores(to_point, made), needs_z=True)
            assert dz is not None
            by_z += dz
            if labels.learned:
                labels.add_gradient(made.factors.T @ to_point)
                labels.add_gradient(labels.gathered(by_target + draw.signal.astype(u.dtype) * by_z, y))
            loss += self._ends(draw, squares, by_z, noise, u, y, shares)
        if not np.isfinite(loss):
            return loss
        front.take(D)
        self._descend(network.block_parameters[t], network.blocks[t].params, network.blocks[t].grad, rate, [front.layer])
        if labels.has_head:
            self._descend(network.label_parameters, labels.params, labels.grad, rate)
            if len(network.own):
                self._descend(network.own_parameters, network.own, network.own_grad, rate)
                _keep_apart(network.own)
        return loss

    def _noise(self, n: int, generator: np.random.Generator) -> Array:
        network = self.network
        noise = np.empty((n, network.shape.n_embedding), network.dtype)
        backend.noise.normals(int(generator.integers(2**64, dtype=np.uint64)), noise.ravel(), network.kernel_threads)
        return noise

    def _shares(self, batch: Rows) -> Floats:
        """Give the shares of the samples in the batch's mean loss."""
        if self.sample_weight is None:
            return np.full(len(batch), 1 / len(batch))
        weights = self.sample_weight[batch]
        total = weights.sum()
        return weights / total if total > 0 else weights

    def _ends(self, draw: Draw, squares: Floats, by_z: Array, noise: Array, u: Array, y: Array, shares: Floats) -> float:
        """Give the loss terms of the first and the last state: KL(q(z_0 | y) || N(0, I)), and -log p(y | z_T) of the head."""
        network, labels, variant = self.network, self.network.labels, self.network.variant
        if variant.ends is None:
            return 0.0
        first, last = variant.ends
        final_noise = self._noise(len(y), network.generators[-1])
        loss, by_final = labels.head_loss(
            (u.dtype.type(last**0.5) * u + u.dtype.type((1 - last) ** 0.5) * final_noise), y, shares
        )
        lengths = np.square(u, dtype=np.float64).sum(axis=1)
        d, total = u.shape[1], float(shares.sum())
        loss += float((shares * (first * (lengths - d) - d * np.log(1 - first))).sum()) / 2
        if labels.learned:
            pulled = u.dtype.type(last**0.5) * by_final + (first * shares)[:, None].astype(u.dtype) * u
            labels.add_gradient(labels.gathered(pulled, y))
        if len(network.own):
            by_gamma = self._by_gamma(draw, squares, by_z, noise, u, shares)
            assert draw.times is not None
            gap = network.own[0] - network.own[1]
            scale = float((shares * draw.weight * squares).sum()) / gap
            slope = _slope(np.array([[last]]), u, final_noise)
            by_first = (float((shares * (lengths - d)).sum()) + d * total / (1 - first)) / 2
            network.own_grad[0] = ((1 - draw.times) * by_gamma).sum() + scale - by_first * first * (1 - first)
            network.own_grad[1] = (draw.times * by_gamma).sum() - scale + float((slope * by_final).sum())
        return loss

    def _by_gamma(self, draw: Draw, squares: Floats, by_z: Array, noise: Array, u: Array, shares: Floats) -> Floats:
        """Give the gradient of each sample's gamma through its noisy label and its weight (start - end) exp(-gamma) eta / 2."""
        by_label = (_slope(np.square(draw.signal), u, noise) * by_z).sum(axis=1)
        return np.asarray(by_label - shares * draw.weight * squares, dtype=np.float64)

    def _descend(self, parameters: "Parameters", params: Array, grad: Array, rate: float, also: Sequence[Layer] = ()) -> None:
        """Take a step of the optimiser; `also` are front layers."""
        update = parameters.update(params, grad)
        update[:0] = [(layer, parameters.groups[0][0]) for layer in also]
        if parameters.optimizer.max_grad_norm is not None:
            stepwise.clip([layer for layer, _ in update], parameters.optimizer.max_grad_norm)
        memory = parameters.memory
        stepwise.descend(update, rate, memory.n_steps + 1)
        memory.n_steps += 1
        if memory.n_steps % stepwise.STEPS_TO_FLUSH == 0:
            stepwise.flush(*parameters.remembered, *(getattr(layer, "velocity", None) for layer in also))

    # ------------------------------------------------------------------------------------------------------------------
    # all blocks at once

    def end_to_end(self, batches: list[Rows], rates: Floats) -> Floats:
        """Train all blocks by backpropagation through all of them."""
        network = self.network
        losses: list[float] = []
        with np.errstate(over="ignore", invalid="ignore"), ExitStack() as opened:
            windows = []
            for t, form in enumerate(network.fronts.forms):
                opening = form.windows(
                    batches, network.per_window, network.optimizer, network.front_memory(t), network.kernel_threads
                )
                windows.append(opened.enter_context(closing(opening)))
            for group in zip(*windows, strict=True):
                fronts = [front for _, front in group]
                for batch in group[0][0]:
                    loss = self._joint_step(fronts, batch, rates[len(losses)])
                    if not np.isfinite(loss):
                        return np.array(losses)
                    losses.append(loss)
        return np.array(losses)

    def _joint_step(self, fronts: Sequence[Any], batch: Rows, rate: float) -> float:
        network = self.network
        labels, y, shares = network.labels, self.targets[batch], self._shares(batch)
        z = self._noise(len(batch), network.generators[-1])
        gates = np.tanh(network.own)
        kept = []
        for block, front, gate in zip(network.blocks, fronts, gates, strict=True):
            way = block.training(front.preactivations(batch), z, None)
            made = labels.predicted(way.result)
            kept.append((way, made, z))
            z = (1 - gate) * z + gate * made.point
        labels.grad[:] = 0
        loss, delta = labels.head_loss(z, y, shares)
        if not np.isfinite(loss):
            return loss
        for t in reversed(range(len(kept))):
            way, made, before = kept[t]
            network.own_grad[t] = float((delta * (made.point - before)).sum()) * (1 - gates[t] ** 2)
            to_point = gates[t] * delta
            if labels.learned:
                labels.add_gradient(made.factors.T @ to_point)
            D, dz = way.backward(labels.to_scores(to_point, made), needs_z=True)
            assert dz is not None
            delta = (1 - gates[t]) * delta + dz
            fronts[t].take(D)
        for t, block in enumerate(network.blocks):
            self._descend(network.block_parameters[t], block.params, block.grad, rate, [fronts[t].layer])
        self._descend(network.label_parameters, labels.params, labels.grad, rate)
        self._descend(network.own_parameters, network.own, network.own_grad, rate)
        return loss


def _slope(abar: Array, u: Array, noise: Array) -> Array:
    """Give the derivative of sqrt(abar) u + sqrt(1 - abar) noise with respect to gamma, for abar = 1 / (1 + exp(gamma))."""
    return (np.sqrt(1 - abar) * abar * noise - np.sqrt(abar) * (1 - abar) * u) / 2


def _keep_apart(gammas: Array) -> None:
    """Keep the ends of a learned schedule in order, and abar away from 0 and 1."""
    np.clip(gammas, -LARGEST_GAMMA, LARGEST_GAMMA, out=gammas)
    if gammas[0] - gammas[1] < SMALLEST_GAP:
        middle = gammas.mean()
        gammas[:] = middle + SMALLEST_GAP / 2, middle - SMALLEST_GAP / 2
