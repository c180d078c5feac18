"""Trials of processes: kills during `save`, full disks, forks, Ctrl-C during `fit`.

``python -m tests.fuzz.trials --rounds 200`` prints the figures; the suite makes a few rounds of each. POSIX only.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fcfast
from fcfast import FrontClassifier, FrontRegressor, NoPropClassifier

HANGS = 60.0  # seconds after which a child is taken for stuck


def wide(n: int = 40, d: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Inputs whose weights make a file of some MB."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, d)).astype("f4"), np.arange(n) % 3


def quietly(fit: Callable[[], Any]) -> Any:
    """Fit a few epochs without a word about there being few."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit()


def child(work: Callable[[], int]) -> int:
    """Fork a child that works; give its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(work())
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            os._exit(99)
    return pid


def ended(pid: int, within: float = HANGS) -> int | None:
    """Wait for a child; give its exit code (minus the signal that ended it), or None where it hangs, and kill it."""
    limit = time.monotonic() + within
    while time.monotonic() < limit:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def kills_in_save(rounds: int, number: int = signal.SIGKILL) -> Counter[str]:
    """Kill a process that saves two models in turn; whatever stands there must be one of them, whole."""
    X, y = wide()
    models = [
        quietly(lambda s=s: FrontClassifier((16,), max_epochs=1, form="weights", random_state=s).fit(X, y)) for s in (0, 1)
    ]
    wanted = [model.predict_proba(X) for model in models]
    found: Counter[str] = Counter()
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        models[0].save(path)

        def save_for_ever() -> int:
            if number != signal.SIGKILL:  # nobody can answer that
                signal.signal(number, signal.SIG_DFL)
            while True:
                for model in models:
                    model.save(path)

        for _ in range(rounds):
            pid = child(save_for_ever)
            time.sleep(chance.uniform(0.001, 0.06))
            os.kill(pid, number)
            found["killed"] += ended(pid) == -number
            got = fcfast.load(path).predict_proba(X)
            found["whole"] += any(np.array_equal(got, proba) for proba in wanted)
            found["left temporary files"] += len(list(Path(folder).iterdir())) > 1
        models[0].save(path)
        found["files after the next save"] = len(list(Path(folder).iterdir()))
    return found


def full_disks(rounds: int, folder: Path | None = None) -> Counter[str]:
    """Save where the file cannot grow beyond some size; an OSError, the old file as it was, nothing beside it.

    With `folder`, a small file system, saving goes on until it is full by itself.
    """
    import resource

    X, y = wide(20, 3000)
    small, large = (
        quietly(lambda h=h: FrontClassifier((h,), max_epochs=1, form="weights", random_state=0).fit(X, y)) for h in (2, 16)
    )
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place, "model.safetensors")
        small.save(path)
        before = path.read_bytes()
        size = 16 * 3000 * 4

        def save_large(limit: int) -> int:
            if folder is None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            try:
                large.save(path)
            except OSError as error:
                return 1 if str(path) in str(error) else 2
            return 0

        for round in range(rounds):
            code = ended(child(lambda round=round: save_large(round * size // rounds)))
            found["OSError that names the file"] += code == 1
            found["other OSError"] += code == 2
            found["no error"] += code not in (1, 2)
            found["old file as it was"] += path.read_bytes() == before
            found["nothing beside it"] += os.listdir(place) == [path.name]
    return found


def forks(rounds: int) -> Counter[str]:
    """Fit and predict in children of a process that has done so with all its threads: the same bits, and no hang."""
    X, y = wide(60, 500)
    makers: list[Callable[[], Any]] = [
        lambda: FrontClassifier((32, 16), max_epochs=3, form="weights", random_state=0).fit(X, y),
        lambda: FrontRegressor((32,), max_epochs=3, form="contributions", random_state=0).fit(X, X[:, 0]),
        lambda: NoPropClassifier(n_blocks=3, hidden=(16, 8), max_epochs=2, random_state=0).fit(X, y),
    ]
    found: Counter[str] = Counter()
    for make in makers:
        fitted = quietly(make)
        wanted = fitted.predict(X)

        def same(make: Any = make, fitted: Any = fitted, wanted: Any = wanted) -> int:
            again = quietly(make)
            return 0 if np.array_equal(fitted.predict(X), wanted) and np.array_equal(again.predict(X), wanted) else 1

        for _ in range(max(1, rounds // len(makers))):
            code = ended(child(same))
            found["same bits"] += code == 0
            found["hung"] += code is None
            found["otherwise"] += code not in (0, None)
    return found


def interrupts(rounds: int) -> Counter[str]:
    """Ctrl-C at any moment of `fit`: what was fitted is kept, or nothing was changed; the estimator works as before."""
    X, y = wide(200, 400)
    chance = random.Random(0)
    found: Counter[str] = Counter()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for round in range(rounds):
            form = ("contributions", "windowed", "weights")[round % 3]
            model = FrontClassifier(
                (16,), form=form, max_epochs=10**6, tol=0, n_iter_no_change=10**6, batch_size=20, random_state=0
            )
            timer = threading.Timer(chance.uniform(0, 0.02), os.kill, (os.getpid(), signal.SIGINT))
            try:
                timer.start()
                quietly(lambda model=model: model.fit(X, y))
                found["kept the last whole epoch"] += bool(np.isfinite(model.predict_proba(X)).all()) and model.n_epochs_ > 0
            except KeyboardInterrupt:
                found["nothing fitted"] += not hasattr(model, "network_") and not hasattr(model, "classes_")
            finally:
                timer.join()
            quietly(lambda model=model: model.set_params(max_epochs=2).fit(X, y))
            found["fits again"] += model.n_epochs_ == 2
    finally:
        signal.signal(signal.SIGINT, handler)
    return found


def main() -> None:
    """Make the trials, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.trials", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="of each trial (default 20)")
    parser.add_argument(
        "--small-disk", type=Path, help="folder of a file system of a few hundred KB, such as a tmpfs, for a disk that is full"
    )
    options = parser.parse_args()
    trials: dict[str, Callable[[int], Counter[str]]] = {
        "SIGKILL while saving": kills_in_save,
        "SIGTERM while saving": lambda rounds: kills_in_save(rounds, signal.SIGTERM),
        "files that may not grow": full_disks, "forked children": forks, "Ctrl-C while fitting": interrupts,
    }  # fmt: skip
    if options.small_disk:
        trials["a full disk"] = lambda rounds: full_disks(rounds, options.small_disk)
    for name, trial in trials.items():
        figures = trial(options.rounds)
        print(
            f"{name}, {options.rounds} rounds: " + ", ".join(f"{what} {count}" for what, count in figures.items()), flush=True
        )


if __name__ == "__main__":
    main()
