"""Jobs on dask's schedulers: on a cluster if a client is connected to one, else on threads or processes of this machine."""

import io
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from uuid import uuid4

from fcfast.progress import pass_progress
from fcfast.sources.elsewhere import FixedTree, Job, MakeJob, Outcome, n_nodes

SENT_BYTES = 1 << 29  # size of the jobs that wait on a cluster; further ones are sent when some of them are done
GATHERED_BYTES = 4 << 30  # size of the sums of single jobs that are gathered; larger ones are added on the cluster before
OPEN_FILES = "h5py", "netCDF4"  # libraries whose objects cannot be pickled, and which distributed has ways for
LOCAL_JOBS = 32  # jobs of small sums that are given to a scheduler of this machine together


def run_jobs(what: str, sums: Sequence[Sequence[MakeJob]], size: int) -> Iterator[tuple[int, Outcome]]:
    """Run the jobs of each sum, and give its number and total as soon as it is complete.

    The jobs of a worker that is lost run again on another one, and so do additions that it has not passed on. Small sums are
    therefore passed on at once, and added here.

    Parameters
    ----------
    what : str
        Name of the tasks on dask's dashboard, in words separated by hyphens.
    sums : sequence of sequence of callable
        What makes the jobs of each sum.
    size : int
        Bytes of a sum.
    """
    client = _client()
    with pass_progress(what.replace("-", " "), sum(map(len, sums))) as tell:
        if client is None:
            yield from _run_here(what, sums, tell)
        else:
            yield from _run_on_cluster(what, sums, size, client, tell)


def lazy_array(what: str, jobs: Sequence[MakeJob], shapes: Sequence[tuple[int, int]], dtype: Any) -> Any:
    """Give a dask array whose rows are the results of jobs, which run whenever its numbers are asked for."""
    import dask.array as da
    from dask.delayed import delayed

    name = f"{what}-{uuid4().hex}"
    results = [_delayed(make(), f"{name}-job-{number}") for number, make in enumerate(jobs)]
    first = delayed(_only_summand, pure=False)
    rows = [first(result, dask_key_name=f"{name}-{number}") for number, result in enumerate(results)]
    return da.concatenate([da.from_delayed(row, shape, dtype) for row, shape in zip(rows, shapes, strict=True)])


def _only_summand(outcome: Outcome) -> Any:
    return outcome.summands[0]


# ----------------------------------------------------------------------------------------------------------------------
# jobs as tasks


def _delayed(job: Job, key: str) -> Any:
    """Give a job as a task. If it needs chunks that dask makes in tasks of their own, it is pickled without them."""
    from dask.delayed import delayed

    if not job.waits:
        return delayed(_run, pure=False)(job, dask_key_name=key)
    return delayed(_run_pickled, pure=False)(*pickled(job), dask_key_name=key)


def pickled(job: Job) -> tuple[bytes, list[Any]]:
    """Pickle a job, and give the tasks that it waits for, which take their places when it is unpickled."""
    import cloudpickle
    from dask.delayed import Delayed

    chunks: list[Any] = []

    class Pickler(cloudpickle.Pickler):
        def persistent_id(self, held: Any) -> int | None:
            """Leave out a task."""
            if not isinstance(held, Delayed):
                return None
            chunks.append(held)
            return len(chunks) - 1

        def reducer_override(self, held: Any) -> Any:
            """Send what is in an open file as dask does: by the name of the file, which is opened again there."""
            if type(held).__module__.partition(".")[0] not in OPEN_FILES:
                return super().reducer_override(held)
            from distributed.protocol.serialize import deserialize, serialize

            return deserialize, serialize(held, serializers=["dask"], on_error="raise")

    buffer = io.BytesIO()
    try:
        Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(job)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        raise TypeError(
            f"chunks of X cannot be made in other processes ({error}); let them open a file by themselves, as those of "
            "dask.array.from_zarr do, or use threads: with dask.config.set(scheduler='threads')"
        ) from error
    return buffer.getvalue(), chunks


def _run(job: Job) -> Outcome:
    return job()


def _run_pickled(payload: bytes, chunks: Sequence[Any] = ()) -> Outcome:
    """Run a job that was pickled."""

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, number: int) -> Any:
            """Put a chunk in its place."""
            return chunks[number]

    job: Job = Unpickler(io.BytesIO(payload)).load()
    return job()


def _sum(earlier: Outcome, later: Outcome) -> Outcome:
    return earlier.plus(later)


def _added_by_tasks(leaves: Sequence[Any], name: str) -> Any:
    """Give a task that adds the results of others, in the tree that all sums have."""
    from dask.delayed import delayed

    count = iter(range(len(leaves)))

    def add(earlier: Any, later: Any) -> Any:
        return delayed(_sum, pure=False)(earlier, later, dask_key_name=f"add-{name}-{next(count)}")

    tree: FixedTree[Any] = FixedTree(len(leaves), add)
    for number, leaf in enumerate(leaves):
        tree.put(number, leaf)
    return tree.total


# ----------------------------------------------------------------------------------------------------------------------
# on this machine


def _run_here(what: str, sums: Sequence[Sequence[MakeJob]], tell: Any) -> Iterator[tuple[int, Outcome]]:
    from dask.base import compute
    from dask.callbacks import Callback

    name = f"{what}-{uuid4().hex}"

    def tell_of_job(key: Any, *_: Any) -> None:
        if str(key).startswith(name):
            tell()

    for numbers in _batches(sums):
        roots = []
        for number in numbers:
            leaves = [_delayed(make(), f"{name}-{number}-{place}") for place, make in enumerate(sums[number])]
            roots.append(_added_by_tasks(leaves, f"{name}-{number}"))
        with Callback(posttask=tell_of_job):
            yield from zip(numbers, compute(*roots), strict=True)


def _batches(sums: Sequence[Sequence[MakeJob]]) -> Iterator[list[int]]:
    """Give numbers of sums whose jobs keep a machine busy."""
    batch, n_jobs = list[int](), 0
    for number, jobs in enumerate(sums):
        batch.append(number)
        n_jobs += len(jobs)
        if n_jobs >= LOCAL_JOBS:
            yield batch
            batch, n_jobs = [], 0
    if batch:
        yield batch


# ----------------------------------------------------------------------------------------------------------------------
# on a cluster


def _client() -> Any:
    """Give the client that dask would compute with; None if it uses a scheduler of this machine, or within a task."""
    from dask.base import get_scheduler

    client = getattr(get_scheduler(), "__self__", None)
    if client is None or not hasattr(client, "gather"):
        return None
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return client
    return None  # a task that waits for others has to step back, which dask does for what it computes as a whole


def _run_on_cluster(
    what: str, sums: Sequence[Sequence[MakeJob]], size: int, client: Any, tell: Any
) -> Iterator[tuple[int, Outcome]]:
    from distributed import as_completed

    trees: list[FixedTree[Outcome]] = [FixedTree(len(jobs), _sum) for jobs in sums]
    level = _level_of(max(map(len, sums)), size)
    queue = _Queue(_units(f"{what}-{uuid4().hex}", sums, level), client)
    completed = as_completed([], loop=client.loop)
    try:
        while True:
            completed.update(queue.send())
            if not queue.waiting:
                return
            done = completed.next_batch()
            for future, outcome in zip(done, client.gather(done), strict=True):
                unit = queue.take(future)
                for _ in range(unit.n_jobs):
                    tell()
                tree = trees[unit.number]
                tree.put(unit.place, outcome, level)
                if tree.total is not None:
                    total, tree.total = tree.total, None  # whoever takes it may keep it
                    yield unit.number, total
            del done, future, outcome  # or the cluster would keep the sums
    finally:
        if queue.waiting:
            with suppress(Exception):  # a client that is closed has nothing to cancel, and what went wrong before is raised
                client.cancel(list(queue.waiting))


def _level_of(n_jobs: int, size: int) -> int:
    """Give the level of the tree up to which sums are added on the cluster."""
    level = 0
    while n_nodes(n_jobs, level) > 1 and n_nodes(n_jobs, level) * size > GATHERED_BYTES:
        level += 1
    return level


class _Unit(NamedTuple):
    """A task of ``2**level`` neighbouring jobs: of which sum, at which place of its tree, and whether it waits for others."""

    task: Any
    number: int
    place: int
    n_jobs: int
    n_bytes: int
    waits: bool


def _units(name: str, sums: Sequence[Sequence[MakeJob]], level: int) -> Iterator[_Unit]:
    """Make tasks, one after another."""
    from dask.delayed import delayed

    for number, jobs in enumerate(sums):
        for place in range(n_nodes(len(jobs), level)):
            leaves, n_bytes, waits = [], 0, False
            for leaf, make in enumerate(jobs[place << level : (place + 1) << level], place << level):
                payload, chunks = pickled(make())
                key = f"{name}-{number}-{leaf}"
                leaves.append(delayed(_run_pickled, pure=False)(payload, chunks, dask_key_name=key))
                n_bytes, waits = n_bytes + len(payload), waits or bool(chunks)
            yield _Unit(_added_by_tasks(leaves, f"{name}-{number}-{place}"), number, place, len(leaves), n_bytes, waits)


class _Queue:
    """Tasks that a cluster has not done yet, of which it has a bounded number of bytes at a time."""

    def __init__(self, units: Iterator[_Unit], client: Any) -> None:
        self.units, self.client = units, client
        self.waiting: dict[Any, _Unit] = {}  # those that were sent, by their futures
        self.n_bytes = 0

    def send(self) -> list[Any]:
        """Send tasks until there are enough. Those that wait for others go together, or these would be made several times."""
        chosen = []
        for unit in self.units:
            chosen.append(unit)
            self.n_bytes += unit.n_bytes
            if self.n_bytes >= SENT_BYTES and not unit.waits:
                break
        with _large_graphs_allowed():
            futures: list[Any] = self.client.compute([unit.task for unit in chosen])
        self.waiting.update(zip(futures, chosen, strict=True))
        return futures

    def take(self, future: Any) -> _Unit:
        """Take a task out."""
        unit = self.waiting.pop(future)
        self.n_bytes -= unit.n_bytes
        return unit


@contextmanager
def _large_graphs_allowed() -> Iterator[None]:
    """Silence the warning that data are sent within tasks: new samples of this process are, a bounded part at a time."""
    from dask import config

    with config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
        yield
