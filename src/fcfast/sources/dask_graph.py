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


def needs_sharing(array: Any, groups: Sequence[slice]) -> bool:
    """Whether groups of columns of chunks should not each make their chunks by themselves.

    That is, they would repeat much work, or chunks are in the memory of a cluster already.
    """
    from dask.optimization import cull

    graph = dict(array.__dask_graph__())
    if any(map(_is_future, graph.values())):
        return True
    rows = array.__dask_keys__()
    n_tasks, needed = 0, set[Any]()
    for number, group in enumerate(groups, 1):
        tasks = cull(graph, [key for row in rows for key in row[group]])[0]
        n_tasks += len(tasks)
        needed.update(tasks)
        if n_tasks - len(needed) > REPEATED * len(graph) + REPEATED_BY_GROUP * number:
            return True
    return False


def _is_future(node: Any) -> bool:
    """Whether a node of a graph stands for a result that a cluster has, or will have."""
    held = getattr(node, "value", node)
    return type(held).__module__.partition(".")[0] == "distributed"
