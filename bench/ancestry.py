"""Ancestry from a million variants: simulated genotypes in a PLINK file, fcfast from disk beside PyTorch, time and memory.

Reproduce: python -m bench.ancestry
This takes about ten minutes and 8 GiB of memory on two cores; `--samples 50 --variants 20000` takes seconds.
Five populations are simulated by msprime, 1 % of the calls are missing, and a fifth of the samples is held out. Both sides
train the same network (one hidden layer, cross-entropy, SGD with momentum, the same batches and epochs) on dosages that are
standardised by the training samples, where a missing call counts as the mean. Each runs in a process of its own, with the
imports counted in its peak memory. PyTorch holds the dosages in a byte each, and standardises a batch when it needs it: as
32-bit floats they would take four times the memory. It uses fused SGD. Accuracies are compared before figures are printed.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bench.measure import STATUS, duration, markdown

POPULATIONS = "Africa", "North Europe", "South Europe", "South Asia", "East Asia"
SEGMENT = 5e6  # bases that are simulated at a time; segments are independent, as chromosomes are
RARE, MISSING = 0.01, 0.01
HIDDEN, RATE, MOMENTUM, BATCH, N_EPOCHS = 64, 100, 0.9, 100, 20  # the rate is divided by the number of variants
BLOCK = 4096  # variants that PyTorch's side decodes at a time


def demography():
    """People leave Africa 2,000 generations ago, and Europe's two populations separate last."""
    import msprime

    history = msprime.Demography()
    for name, size in zip(POPULATIONS, (14_000, 8_000, 8_000, 9_000, 6_000), strict=True):
        history.add_population(name=name.replace(" ", "_"), initial_size=size)
    for name, size in (("Europe", 4_000), ("Asia", 4_000), ("Abroad", 2_000), ("Ancestors", 12_000)):
        history.add_population(name=name, initial_size=size)
    history.add_population_split(120, derived=["North_Europe", "South_Europe"], ancestral="Europe")
    history.add_population_split(400, derived=["South_Asia", "East_Asia"], ancestral="Asia")
    history.add_population_split(500, derived=["Europe", "Asia"], ancestral="Abroad")
    history.add_population_split(2000, derived=["Africa", "Abroad"], ancestral="Ancestors")
    return history


def segments(n_each: int) -> Iterator[np.ndarray]:
    """Give dosages (samples, variants) in int8, segment by segment, without rare variants."""
    import msprime

    history, seed = demography(), 0
    while True:
        seed += 1
        samples = {name.replace(" ", "_"): n_each for name in POPULATIONS}
        ancestry = msprime.sim_ancestry(
            samples, demography=history, sequence_length=SEGMENT, recombination_rate=1e-8, random_seed=seed
        )
        mutated = msprime.sim_mutations(ancestry, rate=1.5e-8, model=msprime.BinaryMutationModel(), random_seed=seed)
        alleles = mutated.genotype_matrix()
        dosages = (alleles[:, ::2] + alleles[:, 1::2]).astype(np.int8)
        share = dosages.mean(axis=1) / 2
        yield dosages[(share > RARE) & (share < 1 - RARE)].T


def write(path: Path, n_each: int, n_variants: int) -> None:
    """Simulate genotypes and write them as PLINK's .bed, .bim and .fam."""
    from bed_reader import to_bed

    held, filled = np.empty((n_variants, n_each * len(POPULATIONS)), np.int8), 0  # variants together, as in the file
    for dosages in segments(n_each):
        part = dosages.T[: n_variants - filled]
        held[filled : filled + len(part)] = part
        filled += len(part)
        if filled == n_variants:
            break
    rng = np.random.default_rng(0)
    for part in np.array_split(held, max(1, n_variants // 10_000)):
        part[rng.random(part.shape, np.float32) < MISSING] = -127
    names = {"pheno": np.repeat(POPULATIONS, n_each), "sid": [f"v{i}" for i in range(n_variants)]}
    to_bed(path, held.T, properties=names)


def split(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Training and test rows."""
    from sklearn.model_selection import train_test_split

    return train_test_split(np.arange(len(y)), test_size=0.2, stratify=y, random_state=0)


def scores(proba: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Accuracy and log-loss, from probabilities of sorted classes."""
    labels = np.unique(y, return_inverse=True)[1]
    chosen = np.maximum(proba[np.arange(len(y)), labels], 1e-12)
    return {"accuracy": float((proba.argmax(axis=1) == labels).mean()), "log-loss": float(-np.log(chosen).mean())}


def by_fcfast(path: str) -> dict[str, float]:
    """Train from disk."""
    from fcfast import FrontClassifier
    from fcfast.sources import PlinkBed

    start = time.perf_counter()
    genotypes = PlinkBed(path)
    y = genotypes.phenotype()
    train, test = split(y)
    model = FrontClassifier(
        (HIDDEN,), form="contributions", init="span", standardize=True, missing="mean", learning_rate=RATE / genotypes.shape[1],
        momentum=MOMENTUM, batch_size=BATCH, max_epochs=N_EPOCHS, tol=0, n_iter_no_change=N_EPOCHS, schedule="constant",
        weight_decay=0.0, random_state=0,
    )  # fmt: skip
    model.fit(genotypes[train], y[train])
    fitted = time.perf_counter()
    proba = model.predict_proba(genotypes[test])
    return {"training": fitted - start, "predictions": time.perf_counter() - fitted, **scores(proba, y[test])}


def by_pytorch(path: str) -> dict[str, float]:
    """Read all dosages, then train on standardised batches."""
    import torch
    from bed_reader import open_bed

    start = time.perf_counter()
    with open_bed(path) as bed:
        y = bed.pheno
        train, test = split(y)
        labels = torch.from_numpy(np.unique(y, return_inverse=True)[1])
        dosages = np.empty((bed.iid_count, bed.sid_count), np.int8)
        means, factors = np.zeros((2, bed.sid_count), np.float32)
        for first in range(0, bed.sid_count, BLOCK):
            columns = slice(first, first + BLOCK)
            block = bed.read((slice(None), columns), dtype="int8")
            dosages[:, columns] = block
            values = block[train].astype(np.float32)
            missing = values == -127
            values[missing] = 0
            means[columns] = mean = values.sum(axis=0) / (len(train) - missing.sum(axis=0))
            values -= mean
            values[missing] = 0
            deviation = np.sqrt(np.square(values).mean(axis=0))
            factors[columns] = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    dosages, means, factors = (torch.from_numpy(array) for array in (dosages, means, factors))

    def batch(rows):
        raw = dosages[rows]
        values = raw.float().sub_(means).mul_(factors)
        return values.masked_fill_(raw == -127, 0)

    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(dosages.shape[1], HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, len(POPULATIONS))
    )
    for layer in (network[0], network[2]):  # as ours
        torch.nn.init.xavier_uniform_(layer.weight)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE / dosages.shape[1], momentum=MOMENTUM, fused=True)
    read, rng = time.perf_counter(), np.random.default_rng(0)
    for _ in range(N_EPOCHS):
        for rows in torch.from_numpy(rng.permutation(train)).split(BATCH):
            loss = torch.nn.functional.cross_entropy(network(batch(rows)), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    fitted = time.perf_counter()
    with torch.no_grad():
        proba = torch.cat([torch.softmax(network(batch(rows)), 1) for rows in torch.from_numpy(test).split(BATCH)]).numpy()
    times = {"reading": read - start, "training": fitted - start, "predictions": time.perf_counter() - fitted}
    return times | scores(proba, y[test])


SIDES = {"fcfast": by_fcfast, "PyTorch": by_pytorch}


def peak_bytes() -> int:
    """Give the largest resident memory of this process since it began."""
    return next(int(line.split()[1]) * 1024 for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))


def in_child(side: str, path: Path) -> dict[str, float]:
    """Run a side in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "bench.ancestry", "--side", side, "--file", str(path)],
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{side} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def main(
    samples: Annotated[int, typer.Option(help="Samples of each population.")] = 400,
    variants: Annotated[int, typer.Option(help="Number of variants.")] = 1_000_000,
    file: Annotated[Path | None, typer.Option(help="PLINK file, which is made if it does not exist.")] = None,
    side: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Make the data, train both networks, print a table."""
    if side:
        print(json.dumps(SIDES[side](str(file)) | {"memory": peak_bytes(), "CPU": time.process_time()}))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = file or Path(folder, "people.bed")
        if not path.exists():
            start = time.perf_counter()
            write(path, samples, variants)
            print(f"simulated and written in {duration(time.perf_counter() - start)}: {path.stat().st_size / 2**20:.0f} MiB")
        results = {side: in_child(side, path) for side in SIDES}
    accuracies = [result["accuracy"] for result in results.values()]
    assert abs(accuracies[0] - accuracies[1]) <= 0.03 + 2 / samples, results  # as many are held out as a population has
    rows = [["", "accuracy", "log-loss", "from the file to a trained network", "predictions", "CPU in all", "peak memory"]]
    for side, result in results.items():
        times = [duration(result[part]) for part in ("training", "predictions", "CPU")]
        memory = f"{result['memory'] / 2**30:.2f} GiB"
        rows.append([side, f"{result['accuracy']:.3f}", f"{result['log-loss']:.3f}", *times, memory])
    print(f"{samples * len(POPULATIONS):,} samples x {variants:,} variants\n\n{markdown(rows)}")
    print(f"\nPyTorch's reading: {duration(results['PyTorch']['reading'])}")


if __name__ == "__main__":
    typer.run(main)
