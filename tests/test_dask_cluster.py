"""Dask arrays on a cluster of two processes: the same bits as without one, whatever happens to a worker."""

import os
import threading

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from fcfast import FrontClassifier, Gram
from fcfast.gram.held import Products
from fcfast.sources import dask as dask_sources
from fcfast.sources import dask_jobs

pytest.importorskip("distributed", reason="dask arrays need fcfast[dask]")
import dask
import dask.array as da
import distributed
import joblib
from dask_cases import counted, made

from fcfast.dask import DaskSource

SETTINGS = {"max_epochs": 3, "random_state": 0, "hidden_layer_sizes": (8,)}


@pytest.fixture(scope="module")
def client(data):
    """Two workers with one thread each, which are there when all has been computed without them."""
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def data():
    """Separable samples, a class for each, and what is computed of them without a cluster."""
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    X = rng.normal(size=(40, 6000)).astype(np.float32)
    X[:, :600] += 0.7 * y[:, None]
    source = DaskSource(da.from_array(X, chunks=(40, 200)), group=400)
    with dask.config.set(scheduler="synchronous"):
        matrix = Gram(source, standardize=True).matrix
        fitted = FrontClassifier(**SETTINGS).fit(source, y)
        return X, y, matrix, fitted.predict_proba(X[:7]), np.asarray(fitted.coefs_[0])


def test_bits_are_those_of_one_process(client, data, tmp_path, monkeypatch):
    """Sums are added here, on the cluster, or in part on either; tasks of the cluster may ask for more work."""
    X, y, matrix, probabilities, weights = data
    source = DaskSource(counted(X, (40, 200), tmp_path), group=400)
    for limit in (1 << 30, 40 * 40 * 4 * 4, 1):
        monkeypatch.setattr(dask_jobs, "GATHERED_BYTES", limit)
        np.testing.assert_array_equal(Gram(source, standardize=True).matrix, matrix)
    chunks = made(tmp_path)
    assert os.getpid() not in {process for process, *_ in chunks}
    assert len(chunks) == 3 * 30
    assert max(alive for *_, alive in chunks) <= 4
    monkeypatch.setattr(dask_jobs, "SENT_BYTES", 1)  # one task after another
    fitted = FrontClassifier(**SETTINGS).fit(source, y)
    np.testing.assert_array_equal(fitted.predict_proba(X[:7]), probabilities)
    np.testing.assert_array_equal(np.asarray(fitted.coefs_[0]), weights)

    def within_a_task(array):
        return Gram(DaskSource(array, group=400), standardize=True).matrix

    nested = client.submit(within_a_task, da.from_array(X, chunks=(40, 200))).result()
    np.testing.assert_array_equal(nested, matrix)


def test_chunks_in_memory_stay_where_they_are(client, data):
    """Of an array that is persisted, also of new samples."""
    X, y, matrix, probabilities, _ = data
    held = client.persist(da.from_array(X, chunks=(40, 200)))
    np.testing.assert_array_equal(Gram(DaskSource(held, group=400), standardize=True).matrix, matrix)
    fitted = FrontClassifier(**SETTINGS).fit(DaskSource(held, group=400), y)
    np.testing.assert_allclose(fitted.predict_proba(held[:7]), probabilities, rtol=1e-4)
    divided = held.rechunk((5, 3000))
    np.testing.assert_allclose(Gram(divided, standardize=True).matrix, matrix, rtol=1e-4, atol=0.05)


def test_datasets_in_files(client, data, tmp_path):
    """An HDF5 dataset cannot be pickled, and is opened again by the name of its file."""
    h5py = pytest.importorskip("h5py", reason="needs fcfast[hdf5]")
    X, _, matrix, _, _ = data
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = X
    with h5py.File(tmp_path / "x.h5") as file:
        held = da.from_array(file["x"], chunks=(40, 200))
        np.testing.assert_array_equal(Gram(DaskSource(held, group=400), standardize=True).matrix, matrix)


def test_a_client_that_is_closed(data):
    """Chunks in its memory are gone, which is said, unless the weights have been made; the first error is not hidden."""
    X, y, _, _, _ = data
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        distributed.Client(cluster, set_as_default=True) as own,
    ):
        held = own.persist(da.from_array(X, chunks=(40, 2000)))
        kept, fitted = (FrontClassifier(**SETTINGS).fit(held, y) for _ in range(2))
        expected = kept.predict_proba(X[:7])
        np.testing.assert_array_equal(kept.predict_proba(X[:7]), expected)
    uses = [lambda: fitted.predict(X[:7]), lambda: FrontClassifier(**SETTINGS).fit(held, y), lambda: Gram(held)]
    for use in [*uses, lambda: fitted.coefs_, lambda: DaskSource(held).read(slice(0, 2))]:
        with pytest.raises(RuntimeError, match=r"in the memory of a cluster, X.persist\(\), whose client has been closed"):
            use()
    np.testing.assert_array_equal(kept.predict_proba(X[:7]), expected)


def test_errors_hide_no_earlier_ones(monkeypatch):
    """Tasks of a client that has been closed cannot be cancelled."""

    class Closed:
        loop = None

        def cancel(self, futures):
            raise RuntimeError("closed")

    class Queue:
        waiting = (1,)

        def __init__(self, *_):
            pass

        def send(self):
            raise ZeroDivisionError("the first error")

    monkeypatch.setattr(dask_jobs, "_Queue", Queue)
    monkeypatch.setattr(distributed, "as_completed", lambda *_, **__: set())
    with pytest.raises(ZeroDivisionError, match="the first error"):
        list(dask_jobs._run_on_cluster("work", [[None]], 1, Closed(), None))


@pytest.mark.parametrize("method", ["tasks", "p2p"])
def test_chunks_of_rows_are_rearranged(client, data, tmp_path, monkeypatch, method):
    """By dask, in either of its ways; each chunk is made once."""
    X, y, matrix, _, _ = data
    monkeypatch.setattr(dask_sources, "BAND_BYTES", 1000)
    with dask.config.set({"array.rechunk.method": method}):
        source = DaskSource(counted(X, (5, 6000), tmp_path), group=400)
        np.testing.assert_array_equal(Gram(source, standardize=True).matrix, matrix)
        assert sorted(row for _, row, *_ in made(tmp_path)) == list(range(0, 40, 5))
        FrontClassifier(**SETTINGS, standardize="scale").fit(source, y)  # which measures before it scales
    assert len(made(tmp_path)) == 3 * 8


def test_errors_come_back(client, data):
    """As they are without a cluster, and nothing goes on after them."""
    X = data[0].copy()
    X[3, 4321] = np.nan
    with pytest.raises(ValueError, match=r"column 4321, counted from 0; fill them in"):
        Gram(DaskSource(da.from_array(X, chunks=(40, 200)), group=400), standardize=True)
    assert Gram(DaskSource(da.from_array(X, chunks=(40, 200)), group=400), standardize=True, missing="mean").shape == (40, 40)
    lock = threading.Lock()  # as an open file, it cannot be sent
    with pytest.raises(TypeError, match=r"chunks of X cannot be made in other processes \(cannot pickle '_thread.lock' object"):
        Gram(da.zeros((3, 9), chunks=3).map_blocks(lambda block: (lock, block)[1], dtype=float))


def test_search_sends_a_gram_once(client, data, monkeypatch):
    """Each worker gets one copy of the products for all fits."""
    X, y, _, _, _ = data
    gram = Gram(da.from_array(X, chunks=(40, 200)), standardize=True)
    sent = []
    before = Products.__getstate__
    monkeypatch.setattr(Products, "__getstate__", lambda self: sent.append(1) or before(self))
    search = GridSearchCV(FrontClassifier(**SETTINGS), {"init_scale": [0.1, 0.5, 1.0]}, cv=3)
    with joblib.parallel_config(backend="dask"):
        search.fit(gram, y)
    assert len(sent) == 1
    expected = GridSearchCV(FrontClassifier(**SETTINGS), {"init_scale": [0.1, 0.5, 1.0]}, cv=3).fit(gram, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])


def test_killed_worker(client, data, tmp_path):
    """It costs the group that it had, and changes no bit."""
    X, _, matrix, _, _ = data
    source = DaskSource(counted(X, (40, 200), tmp_path, deadly=3000), group=400)
    np.testing.assert_array_equal(Gram(source, standardize=True).matrix, matrix)
    chunks = made(tmp_path)
    assert len({process for process, *_ in chunks}) >= 2
    assert {column for _, _, column, _ in chunks} == set(range(0, 6000, 200))
    assert 31 <= len(chunks) <= 30 + 4  # its group, and one whose sums had not been passed on
