"""The tasks that make the chunks of a dask array: which of them a group of chunks needs."""

from collections.abc import Sequence
from typing import Any

REPEATED = 0.25  # share of all tasks that may be repeated, so that groups are independent of each other
REPEATED_BY_GROUP = 2  # tasks that each group may repeat, such as the one that names a file


def chunks_of(array: Any) -> tuple[dict[Any, Any], list[list[Any]]]:
    """Give the tasks that make an array, optimised as dask does, and for each column of chunks the keys of its chunks."""
    from dask.base import optimize

    (optimized,) = optimize(array)
    rows = optimized.__dask_keys__()
    return dict(optimized.__dask_graph__()), [list(column) for column in zip(*rows, strict=True)]


def made_of(graph: dict[Any, Any], chunks: Any) -> Sequence[Any]:
    """Make the chunks of these keys, a list of lists, one after another, in this thread."""
    from dask.local import get_sync
    from dask.optimization import cull

    keys = [key for column in chunks for key in column]
    return get_sync(cull(graph, keys)[0], chunks)  # some versions of dask would run all tasks


def chunks_in_memory(array: Any) -> list[Any]:
    """Give what stands for chunks in the memory of a cluster."""
    held = (getattr(node, "value", node) for node in dict(array.__dask_graph__()).values())
    return [value for value in held if _is_future(value)]


def refuse_lost(chunks: Sequence[Any]) -> None:
    """Raise a RuntimeError if chunks were in the memory of a cluster that this process is no longer connected to."""
    if chunks and _is_lost(chunks[0]):  # as are all others, when a client is closed
        raise RuntimeError(
            "chunks of X were in the memory of a cluster, X.persist(), whose client has been closed; make X again, and fit "
            "again. A network on such an array needs its client until its weights have been made or saved"
        )


def _is_lost(chunk: Any) -> bool:
    if chunk.client is not None:
        return bool(chunk.cancelled())
    from distributed import default_client

    try:
        default_client()
    except ValueError:  # there is none, so that a pickle has lost its own
        return True
    return False


def needs_sharing(array: Any, groups: Sequence[slice]) -> bool:
    """Whether groups of columns of chunks should not each make their chunks by themselves.

    That is, they would repeat much work.
    """
    from dask.optimization import cull

    graph = dict(array.__dask_graph__())
    rows = array.__dask_keys__()
    n_tasks, needed = 0, set[Any]()
    for number, group in enumerate(groups, 1):
        tasks = cull(graph, [key for row in rows for key in row[group]])[0]
        n_tasks += len(tasks)
        needed.update(tasks)
        if n_tasks - len(needed) > REPEATED * len(graph) + REPEATED_BY_GROUP * number:
            return True
    return False


def _is_future(held: Any) -> bool:
    """Whether a value in a graph stands for a result that a cluster has, or will have."""
    return type(held).__module__.partition(".")[0] == "distributed"
