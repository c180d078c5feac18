"""A dask array on a cluster of two processes against the same file read by one: results, bits, CPU time, memory, a lost worker.

    python -m bench.dask_cluster [--samples 500] [--features 2000000] [--types float32 int8] [--folder DIR] [--json FILE]

The arrays are written to a temporary folder, 4 GB in single precision and 1 GB as int8 with the default size. CPU time is that
of all processes that take part, so that other work on the machine changes little.
"""

import argparse
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import psutil
import zarr
from distributed import Client, LocalCluster

from fcfast import FrontClassifier
from fcfast.dask import DaskSource
from fcfast.sources import ZarrSource

CHUNKS = 20  # as many as a prototype of this had
SETTINGS: dict[str, Any] = {"standardize": True, "hidden_layer_sizes": (64,), "max_epochs": 50, "random_state": 0}
Numbers = dict[str, float]


def written(folder: Path, dtype: str, n_samples: int, n_features: int) -> tuple[Path, np.ndarray]:
    """Write samples of two classes, in chunks of whole columns: measurements, or counts 0, 1 and 2 as int8."""
    path, width = folder / f"{dtype}.zarr", n_features // CHUNKS
    y = np.arange(n_samples) % 2
    array = zarr.create_array(path, shape=(n_samples, n_features), chunks=(n_samples, width), dtype=dtype)
    for number, start in enumerate(range(0, n_features, width)):
        rng, size = np.random.default_rng(number), (n_samples, min(width, n_features - start))
        if dtype == "int8":
            share = np.clip(rng.beta(0.5, 0.5, size[1]) + 0.01 * y[:, None], 0, 1).astype(np.float32)
            block = sum((rng.random(size, np.float32) < share).astype("int8") for _ in range(2))
        else:
            block = rng.normal(size=size, scale=rng.lognormal(size=size[1])) + 0.02 * y[:, None]
        array[:, start : start + size[1]] = block.astype(dtype)
    return path, y


def fitted(X: Any, y: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Give the Gram matrix and the losses of a fit."""
    network = FrontClassifier(**SETTINGS).fit(X, y)
    return network.network_.front.gram.matrix, network.loss_curve_


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """Give the CPU time of processes so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def measured(run: Callable[[], Any], client: Client | None = None) -> tuple[Any, Numbers]:
    """Give the result of a run, its CPU seconds in all processes, and its seconds."""
    here = psutil.Process()
    workers = [] if client is None else [psutil.Process(pid) for pid in client.run(os.getpid).values()]
    before, begun = cpu_seconds([here, *workers]), time.perf_counter()
    result = run()
    return result, {"cpu": cpu_seconds([here, *workers]) - before, "seconds": time.perf_counter() - begun}


def memory() -> tuple[int, int]:
    """Give the memory of this process in bytes, now and at its highest."""
    status = Path("/proc/self/status").read_text()
    return psutil.Process().memory_info().rss, 1024 * int(status.split("VmHWM:")[1].split()[0])


class Noted:
    """Passes a chunk on, and notes that it was made; the one with this number ends its process the first time."""

    def __init__(self, folder: Path, deadly: int) -> None:
        self.folder, self.deadly = str(folder), deadly

    def __call__(self, block: np.ndarray, block_info: Any = None) -> np.ndarray:
        number = block_info[0]["chunk-location"][1]
        with open(Path(self.folder, "made"), "a", encoding="utf-8") as file:
            file.write(f"{number}\n")
        if number == self.deadly and not Path(self.folder, "killed").exists():
            Path(self.folder, "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return block


def compare(folder: Path, dtype: str, n_samples: int, n_features: int, client: Client) -> Numbers:
    """Compare one way with the other for an array of this type."""
    path, y = written(folder, dtype, n_samples, n_features)
    X = da.from_zarr(str(path))
    chunk_bytes = n_samples * X.chunks[1][0] * X.dtype.itemsize
    (matrix, losses), local = measured(lambda: fitted(ZarrSource(path), y))
    held = client.run(memory)
    (far, far_losses), cluster = measured(lambda: fitted(X, y), client)
    peaks = client.run(memory)
    result = {
        "local CPU seconds": local["cpu"],
        "cluster CPU seconds": cluster["cpu"],
        "CPU ratio": cluster["cpu"] / local["cpu"],
        "local seconds": local["seconds"],
        "cluster seconds": cluster["seconds"],
        "Gram matrix, largest difference": float(np.abs(far - matrix).max() / np.abs(matrix).max()),
        "losses, largest difference": float(np.abs(np.divide(far_losses, losses) - 1).max()),
        "highest memory of a worker, in chunks": max((peaks[key][1] - held[key][0]) / chunk_bytes for key in peaks),
        "tasks": len(DaskSource(X).elsewhere.ranges),
        "MB moved": len(DaskSource(X).elsewhere.ranges) * (far.nbytes + 64 * 4 * n_samples) / 1e6 + 16 * n_features / 1e6,
        "GB read": X.nbytes / 1e9,
    }
    again, _ = fitted(X, y)
    with dask.config.set(scheduler="threads"):
        threads, _ = fitted(X, y)
    result["runs with the same bits, of 3"] = 1 + np.array_equal(again, far) + np.array_equal(threads, far)
    notes = folder / dtype
    notes.mkdir()
    noted = X.map_blocks(Noted(notes, CHUNKS // 2), dtype=X.dtype, meta=np.empty((0, 0), X.dtype))
    lost, _ = fitted(noted, y)
    result["chunks read with a lost worker"] = len((notes / "made").read_text().split())
    result["same bits with a lost worker"] = float(np.array_equal(lost, far))
    return result


def warm_up(client: Client) -> None:
    """Let each worker import what it needs, which takes it seconds once."""
    client.run(_import)
    FrontClassifier(**SETTINGS).fit(da.random.random((20, 2000), chunks=(20, 100)), np.arange(20) % 2)


def _import() -> None:
    import_module("zarr")
    import_module("fcfast.gram.products")


def main() -> None:
    """Measure both types, print a table and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--features", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--types", nargs="+", default=["float32", "int8"])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    results = {}
    for dtype in asked.types:
        with (
            tempfile.TemporaryDirectory(dir=asked.folder) as folder,
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster) as client,
        ):
            warm_up(client)
            results[dtype] = compare(Path(folder), dtype, asked.samples, asked.features, client)
        print(dtype)
        for name, number in results[dtype].items():
            print(f"  {name:40} {number:.4g}", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
