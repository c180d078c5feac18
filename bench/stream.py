"""A file of hashed texts that is read in blocks: memory, and the rate per row against that of rows in memory

Reproduce: python -m bench.stream [rows, default 1e6] [momentum, default 0.9]
Rows have 12 words by Zipf's law, hashed into 2^22 features. The svmlight file is made once, in the folder for temporary files.
Each run is a process of its own, on one thread. Targets: memory within the touched features' slots plus one block, and a rate
within 20 % of that for 10^5 rows in memory.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from bench.measure import RESET, _status_bytes, duration, memory_is_measurable, verdict
from fcfast import FrontClassifier
from fcfast.estimators.automatic import TALL_UNITS
from fcfast.streams import Block, Stream, SvmlightStream

N_FEATURES, N_WORDS, PER_ROW, N_CLASSES = 1 << 22, 1_500_000, 12, 8
BLOCK_ROWS, ROWS_IN_MEMORY, SEED = 100_000, 100_000, 0
SMALL_ROWS = 1000  # of the warm-up


def rows(n_rows: int, seed: int) -> tuple[Any, Any]:
    """Features (n_rows, PER_ROW), rising in each row, where -1 stands for none, and classes that the frequent words tell."""
    rng = np.random.default_rng(seed)
    words = np.exp(rng.random((n_rows, PER_ROW)) * np.log(N_WORDS)).astype(np.int64)  # frequency 1 / rank
    classes = (words[:, 0] + (words > 1000).sum(axis=1)) % N_CLASSES
    features = np.sort(words * 2654435761 % N_FEATURES, axis=1)
    features[:, 1:][np.diff(features, axis=1) == 0] = -1
    return features, classes


def write(path: Path, n_rows: int) -> None:
    """Write a file in portions of BLOCK_ROWS rows, put together by pyarrow."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with path.with_suffix(".part").open("wb") as file:
        for start in range(0, n_rows, BLOCK_ROWS):
            features, classes = rows(min(BLOCK_ROWS, n_rows - start), start)
            cells = pc.binary_join_element_wise(pa.array(features[features >= 0]).cast(pa.string()), "0.28867", ":")
            ends = np.concatenate([[0], np.cumsum((features >= 0).sum(axis=1))]).astype(np.int32)
            lines = pc.binary_join(pa.ListArray.from_arrays(ends, cells), " ")
            lines = pc.binary_join_element_wise(pa.array(classes).cast(pa.string()), lines, " ")
            text = pc.binary_join(pa.ListArray.from_arrays(np.array([0, len(lines)], np.int32), lines), "\n")
            file.write(text[0].as_buffer())
            file.write(b"\n")
    path.with_suffix(".part").rename(path)


class Timed(Stream):
    """A stream that notes when it is read, and how long that takes."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.begun, self.seconds = stream, [], []

    @property
    def widens(self) -> bool:
        """As in the stream."""
        return self.stream.widens

    def __iter__(self) -> Iterator[Block]:
        """Read the blocks."""
        self.begun.append(time.process_time())
        self.seconds.append(0.0)
        blocks = iter(self.stream)
        while True:
            started = time.process_time()
            block = next(blocks, None)
            self.seconds[-1] += time.process_time() - started
            if block is None:
                return
            yield block


def network(momentum: float, n_epochs: int) -> FrontClassifier:
    """Default settings, but for the number of epochs and of threads."""
    return FrontClassifier(
        (TALL_UNITS,), optimizer="sgd", momentum=momentum, init="small", batch_size=100, max_epochs=n_epochs, n_jobs=1,
        memory_limit=64 << 30, random_state=SEED,
    )  # fmt: skip


def streamed(path: str, momentum: float) -> dict[str, float]:
    """Train an epoch on a file, and give processor times and memory."""
    small = SvmlightStream(path, N_FEATURES, block_rows=SMALL_ROWS)
    network(momentum, 1).fit(Stream([next(iter(small))]))  # warm up
    RESET.write_text("5")
    before, stream = _status_bytes("VmRSS"), Timed(SvmlightStream(path, N_FEATURES, block_rows=BLOCK_ROWS))
    ends = []
    classifier = network(momentum, 1).fit(stream, callbacks=[lambda epoch: ends.append(time.process_time())])
    peak = _status_bytes("VmHWM")
    table = classifier.network_.front.table
    return {
        "first": stream.seconds[0], "before": stream.begun[1] - stream.begun[0] - stream.seconds[0], "peak": peak - before,
        "reading": stream.seconds[1], "training": ends[0] - stream.begun[1] - stream.seconds[1],
        "table": table.nbytes, "slots": len(table), "loss": classifier.loss_curve_[-1],
    }  # fmt: skip


def in_memory(path: str, momentum: float) -> dict[str, float]:
    """Give the processor time of an epoch on the first rows of the file, held in memory: the second of two that differ."""
    block = next(iter(SvmlightStream(path, N_FEATURES, block_rows=ROWS_IN_MEMORY)))
    seconds = []
    for n_epochs in (1, 4):
        started = time.process_time()
        network(momentum, n_epochs).fit(block.X, block.y)
        seconds.append(time.process_time() - started)
    return {"seconds": (seconds[1] - seconds[0]) / 3, "rows": block.X.shape[0]}


def child(name: str, *arguments: Any) -> dict[str, float]:
    """Run a function of this module in a process of its own."""
    command = [sys.executable, "-m", "bench.stream", name, json.dumps(arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(result.stderr)
    values: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return values


def main(n_rows: int, momentum: float) -> None:
    """Print the figures."""
    path = Path(tempfile.gettempdir()) / f"fcfast-stream-{n_rows}.svm"
    if not path.exists():
        started = time.perf_counter()
        write(path, n_rows)
        print(f"{path}: {path.stat().st_size / 1e9:.2f} GB, written in {duration(time.perf_counter() - started)}")
    held, far = child("in_memory", str(path), momentum), child("streamed", str(path), momentum)
    rate, other = far["training"] / n_rows, held["seconds"] / held["rows"]
    block = BLOCK_ROWS * PER_ROW * 8
    print(
        f"{n_rows:,} rows, {far['slots']:,} of {N_FEATURES:,} features touched, momentum {momentum:g}. Before training: "
        f"{duration(far['first'] / n_rows)} a row to read, {duration(far['before'] / n_rows)} to look at it and to make the "
        f"table. An epoch: {duration(far['reading'] / n_rows)} a row to read, {duration(rate)} to train, against "
        f"{duration(other)} in memory ({held['rows']:,.0f} rows): {rate / other:.2f} times (target 1.2: "
        f"{verdict(rate <= 1.2 * other)})"
    )
    more = far["peak"] - far["table"]
    print(
        f"memory {far['peak'] / 2**20:,.0f} MiB: the table {far['table'] / 2**20:,.0f} MiB ({far['table'] / far['slots']:,.0f} "
        f"bytes a feature), and {more / 2**20:,.0f} MiB more, where the entries of a block take {block / 2**20:,.0f} MiB"
    )


if __name__ == "__main__":
    if not memory_is_measurable():
        raise SystemExit("this benchmark reads the peak of memory from /proc, which Linux has")
    with threadpool_limits(1):
        if sys.argv[1:2] and sys.argv[1] in ("streamed", "in_memory"):
            print(json.dumps({"streamed": streamed, "in_memory": in_memory}[sys.argv[1]](*json.loads(sys.argv[2]))))
        else:
            main(int(float(sys.argv[1])) if sys.argv[1:] else 10**6, float(sys.argv[2]) if sys.argv[2:] else 0.9)
