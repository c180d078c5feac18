"""Files of every version are read for ever: `tests/data` keeps some of them, with what their networks predicted."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import fcfast

DATA = Path(__file__).parent / "data"
EXPECTED = {file.stem: json.loads(file.read_text()) for file in sorted(DATA.glob("version*.json"))}
NAMES = {(version, name) for version, content in EXPECTED.items() for name in content if not name.startswith("X")}


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize(("version", "name"), sorted(NAMES))
def test_old_files_predict_what_they_did(version, name, tmp_path):
    """On any machine, up to rounding; and saved again, in the present version, still the same."""
    expected, path = EXPECTED[version][name], DATA / f"{version}_{name}.safetensors"
    X = np.array(EXPECTED[version]["X"])
    if "scaled" not in name:  # these were trained on features of order 1, in single precision
        X = (X / 100).astype(np.float32)
    contributed = "front.contributions" in load_file(path)
    loaded = fcfast.load(path, X)
    loaded.save(tmp_path / "again", **({"weights": False} if contributed else {}))
    for model in (loaded, fcfast.load(tmp_path / "again", X)):
        assert type(model).__name__ == expected["estimator"]
        predicted = getattr(model, expected["method"])(X)
        np.testing.assert_allclose(predicted, expected["predicted"], rtol=2e-5)
