"""Memory of fitting and predicting beside the data, and the size of a pickle."""

import tracemalloc

import numpy as np
import pytest
from classic import FrontClassifier

from fcfast import backend


def peak(work):
    """Give the bytes that a call held at its most, and its result."""
    tracemalloc.start()
    try:
        result = work()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def wide():
    """Samples whose mask of a byte per value would show: it is as large as 500 hidden units."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(400, 20_000)).astype(np.float32), np.arange(400) % 2


@pytest.mark.skipif(backend.NAME != "compiled", reason="the plan counts what the compiled kernels hold")
@pytest.mark.parametrize("form", ["weights", "windowed"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_forms_hold_what_the_plan_says(form, dtype, wide):
    """Conversion and checks of the samples take no copy that the plan does not know of."""
    X, y = wide
    model = FrontClassifier(
        (3,), form=form, dtype=dtype, batch_size=10, window=10, max_epochs=2, learning_rate=1e-6, random_state=0
    )
    model.fit(X[:20, :50], y[:20])
    held, _ = peak(lambda: model.fit(X.astype(np.float64), y))
    argument = 8 * X.size
    planned = model.plan_.costs[form].n_bytes
    assert held - argument == pytest.approx(planned, abs=1e6)
