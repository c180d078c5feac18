"""The commands on files that are read by blocks, which the libraries of the formats have written."""

import csv
import gzip
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.io import mmwrite

pytest.importorskip("typer", reason="the command line needs fcfast[cli]")
from typer.testing import CliRunner

from fcfast import FrontClassifier, load
from fcfast.commands import app
from fcfast.datafiles import read_table
from fcfast.gram import budget
from fcfast.scaling import of_raw_data
from fcfast.sources import Source

h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")
anndata = pytest.importorskip("anndata")
bed_reader = pytest.importorskip("bed_reader")
pd = pytest.importorskip("pandas")

N_SAMPLES, N_FEATURES = 60, 150
RNG = np.random.default_rng(0)
CODES = np.arange(N_SAMPLES) % 2
DOSAGES = RNG.binomial(2, np.where(np.arange(N_FEATURES) < 40, 0.2 + 0.5 * CODES[:, None], 0.4)).astype(np.float64)
LABELS = np.array(["ctl", "case"])[CODES]
PEOPLE, VARIANTS = [f"p{i}" for i in range(N_SAMPLES)], [f"rs{j}" for j in range(N_FEATURES)]
QUICK = ("--hidden", 8, "--epochs", 8, "--batch-size", 6, "--jobs", 1, "--form", "contributions")


def run(*arguments, content=None):
    """Run the command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=content)


def trained(folder, data, *arguments):
    """Train, and give the report and what was said."""
    result = run("train", data, "--save", folder / "m.safetensors", *QUICK, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), result.stderr


def refused(*arguments):
    """Run a command that is refused in one line, which is given."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("fcfast: ")]
    assert len(lines) == 1, result.stderr
    assert result.stderr.endswith(lines[0] + "\n")
    return lines[0]


def genotypes(path, X=DOSAGES, phenotypes=None, people=PEOPLE, variants=VARIANTS):
    """Write a .bed file."""
    phenotypes = [str(1 + code) for code in CODES] if phenotypes is None else phenotypes
    bed_reader.to_bed(path, np.ascontiguousarray(X), properties={"iid": people, "sid": variants, "pheno": phenotypes})
    return path


def cells(path, X=DOSAGES, kinds=LABELS, genes=VARIANTS, kind=sparse.csr_matrix):
    """Write a .h5ad file or a .zarr folder, whose X differs from its layer "counts"."""
    obs = pd.DataFrame({"cell_type": pd.Categorical(kinds), "donor": [f"d{i}" for i in range(len(X))]}, index=PEOPLE[: len(X)])
    data = anndata.AnnData(kind(X.astype(np.float32) / 2), obs, pd.DataFrame(index=genes))
    data.layers["counts"] = X.astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata 0.12 announces a new default for zarr
        (data.write_zarr if path.suffix == ".zarr" else data.write_h5ad)(path)
    return path


def write(kind, folder):
    """Write the samples in one format; give the path and the options."""
    if kind == "bed":
        return genotypes(folder / "x.bed"), ()
    if kind in ("h5ad", "anndata.zarr"):
        return cells(folder / f"x.{kind}"), ("--target", "cell_type", "--layer", "counts")
    np.save(folder / "y.npy", LABELS)
    if kind == "h5":
        with h5py.File(folder / "x.h5", "w") as file:
            file.create_dataset("study/values", data=DOSAGES.astype("int8"), chunks=(N_SAMPLES, 16), compression="gzip")
            file["other"] = np.ones((3, 4))
            file["kind"] = LABELS.astype(object)
        return folder / "x.h5", ("--dataset", "study/values", "--target", "kind")
    if kind == "zarr":
        group = zarr.open_group(str(folder / "x.zarr"), mode="w")
        group["values"], group["kind"] = DOSAGES.astype("int8"), CODES
        return folder / "x.zarr", ("--target", "kind")
    if kind == "single.zarr":
        zarr.save_array(str(folder / "x.single.zarr"), DOSAGES)
        return folder / "x.single.zarr", ("--target", folder / "y.npy")
    path = folder / "matrix.mtx.gz"
    with gzip.open(path, "wb") as file:
        mmwrite(file, sparse.coo_matrix(DOSAGES.T))
    for name, names in (("barcodes", PEOPLE), ("features", VARIANTS)):
        with gzip.open(folder / f"{name}.tsv.gz", "wt") as file:
            file.write("".join(f"{line}\n" for line in names))
    return path, ("--transpose", "--target", folder / "y.npy", "--standardize")


KINDS = ("bed", "h5ad", "anndata.zarr", "h5", "zarr", "single.zarr", "mtx")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file(kind, tmp_path):
    """A model from a file is the model from the array, and predicts for the file as for the array, with names and scores."""
    y = {"bed": CODES + 1, "zarr": CODES}.get(kind, LABELS)
    np.savez(tmp_path / "same.npz", X=DOSAGES, y=y)
    expected, _ = trained(tmp_path, tmp_path / "same.npz")
    wanted = load(tmp_path / "m.safetensors")
    data, options = write(kind, tmp_path)
    report, said = trained(tmp_path, data, *options)
    assert f"{data.name}: {N_SAMPLES} samples; " in said
    assert report["standardized"]
    for name in ("n_train", "n_test", "n_features", "task", "test"):
        assert report[name] == expected[name]
    model = load(tmp_path / "m.safetensors")
    # centring is a correction of sparse products, which is rounded in another way
    np.testing.assert_allclose(
        model.coefs_[0], wanted.coefs_[0], rtol=1e-3 if kind == "mtx" else 0, atol=1e-5 * (kind == "mtx")
    )

    reading = [option for option in options if option != "--standardize"]
    result = run("predict", tmp_path / "m.safetensors", data, "--proba", "--out", tmp_path / "p.csv", "--json", *reading)
    assert result.exit_code == 0, result.output
    with open(tmp_path / "p.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    has_names = kind in ("bed", "h5ad", "anndata.zarr", "mtx")
    assert [row["sample"] for row in rows] == (PEOPLE if has_names else list(map(str, range(N_SAMPLES))))
    assert list(getattr(model, "feature_names_in_", [])) == (VARIANTS if has_names else [])
    if has_names:
        del model.feature_names_in_
    probabilities = model.predict_proba(DOSAGES)
    found = np.array([[float(row[f"P({label})"]) for label in model.classes_] for row in rows])
    np.testing.assert_allclose(found, probabilities, rtol=1e-5, atol=1e-7)
    assert [row["prediction"] for row in rows] == model.classes_[probabilities.argmax(axis=1)].astype(str).tolist()
    assert json.loads(result.stdout)["score"]["accuracy"] > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_tables(kind, tmp_path):
    """`X` is a source; the line about the table has the names and the target."""
    data, options = write(kind, tmp_path)
    if kind == "mtx":
        table = read_table(data, transpose=True)
    else:
        table = read_table(data, **{name[2:]: str(value) for name, value in zip(options[::2], options[1::2], strict=True)})
    assert isinstance(table.X, Source)
    np.testing.assert_array_equal(table.X.dense("float64"), DOSAGES)
    of_cells = "names in var; id names in obs; target 'cell_type' (text); features 'rs0', 'rs1', 'rs2' ... (150)"
    expected = {
        "bed": "names in x.bim; id IID in x.fam; target phenotype in x.fam (numbers); features 'rs0', 'rs1', 'rs2' ... (150)",
        "h5ad": of_cells,
        "anndata.zarr": of_cells,
        "h5": "no names; no id; target 'kind' (text); 150 features",
        "zarr": "no names; no id; target 'kind' (numbers); 150 features",
        "single.zarr": f"no names; no id; target {tmp_path / 'y.npy'} (text); 150 features",
        "mtx": "names in a file beside it; id names in a file beside it; no target; features 'rs0', 'rs1', 'rs2' ... (150)",
    }[kind]
    assert str(table) == f"60 samples; {expected}"


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_loaded_as_a_whole(kind, tmp_path, monkeypatch):
    """Training makes no array of a source, and prediction makes one of a few rows at a time."""
    data, options = write(kind, tmp_path)

    read, n_rows = Source.dense, []

    def noted(source, dtype):
        n_rows.append(len(source))
        return read(source, dtype)

    monkeypatch.setattr(Source, "dense", noted)
    monkeypatch.setattr(budget, "BLOCK_BYTES", 4096)
    reading = [option for option in options if option != "--standardize"]
    for scaling in ("--standardize", "--no-standardize"):
        trained(tmp_path, data, *reading, scaling, "--test", 0)
        assert not n_rows
        assert run("predict", tmp_path / "m.safetensors", data, *reading).exit_code == 0
        assert all(n <= budget.PARTS_AT_ONCE * budget.MIN_ROWS < N_SAMPLES for n in n_rows)
        n_rows.clear()


def test_sparse_is_not_standardized_by_default(tmp_path):
    """As with sparse tables of other formats."""
    report, _ = trained(tmp_path, cells(tmp_path / "a.h5ad"), "--target", "cell_type")
    assert not report["standardized"]
    report, _ = trained(tmp_path, cells(tmp_path / "a.h5ad", kind=np.asarray), "--target", "cell_type")
    assert report["standardized"]


@pytest.mark.parametrize(
    ("phenotypes", "task", "n_unknown"),
    [
        (["-9", "0", *map(str, 1 + CODES[2:])], "classification", 2),
        (["NA", *map(str, RNG.normal(size=N_SAMPLES - 1).round(3))], "regression", 1),
        (["case", "NA", "-9", *LABELS[3:]], "classification", 2),
    ],
)
def test_samples_without_a_phenotype(tmp_path, phenotypes, task, n_unknown):
    """They are left out of the training, which is said; all samples are predicted, and those with a phenotype scored."""
    data = genotypes(tmp_path / "a.bed", phenotypes=phenotypes)
    report, said = trained(tmp_path, data)
    assert (report["task"], report["n_train"] + report["n_test"]) == (task, N_SAMPLES - n_unknown)
    assert f"a.bed: {n_unknown} of 60 samples have no value in phenotype in a.fam; they are left out" in said
    assert f"missing in {n_unknown} samples" in said
    result = run("predict", tmp_path / "m.safetensors", data, "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert len(content["predictions"]["prediction"]) == N_SAMPLES
    known = np.array([word not in ("NA", "-9", "0") for word in phenotypes])
    y = np.array(phenotypes)[known]
    np.savez(tmp_path / "known.npz", X=DOSAGES[known], y=y.astype(float) if task == "regression" else y)
    expected, _ = trained(tmp_path, tmp_path / "known.npz")
    assert expected["loss"] == report["loss"]  # what is left is trained on as it is
    scored = json.loads(run("predict", tmp_path / "m.safetensors", tmp_path / "known.npz", "--json").stdout)["score"]
    if task == "regression":
        assert content["score"]["r2"] == pytest.approx(scored["r2"])
    else:
        assert sum(row["support"] for row in content["score"]["classes"]) == N_SAMPLES - n_unknown
        assert content["score"]["accuracy"] == scored["accuracy"]


def test_no_phenotype_at_all(tmp_path):
    """The message of `train` says what is missing; `predict` needs none. A target in an .npy file comes first."""
    data = genotypes(tmp_path / "a.bed", phenotypes=["-9"] * N_SAMPLES)
    assert "no target; name it with --target" in refused("train", data, "--save", tmp_path / "m.safetensors")
    np.save(tmp_path / "y.npy", LABELS)
    report, said = trained(tmp_path, data, "--target", tmp_path / "y.npy")
    assert report["task"] == "classification"
    assert f"target {tmp_path / 'y.npy'} (text)" in said
    result = run("predict", tmp_path / "m.safetensors", data, "--json")
    assert json.loads(result.stdout)["score"] is None
    assert "no sample has a phenotype in a.fam" in result.stderr


def test_cells_without_a_label(tmp_path):
    """Missing labels of obs are left out, and so is a word that means missing, unless --missing says that it is a class."""
    kinds = LABELS.astype(object)
    kinds[3], kinds[5] = None, "NA"
    data = cells(tmp_path / "a.h5ad", kinds=kinds)
    report, said = trained(tmp_path, data, "--target", "cell_type", "--test", 0)
    assert report["n_train"] == N_SAMPLES - 2
    assert "2 of 60 samples have no value in 'cell_type'" in said
    report, _ = trained(tmp_path, data, "--target", "cell_type", "--test", 0, "--missing", "")
    assert report["n_train"] == N_SAMPLES - 1
    assert load(tmp_path / "m.safetensors").classes_.tolist() == ["NA", "case", "ctl"]


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("kind", ["bed", "h5ad", "csv", "npz", "npy"])
def test_missing_features(tmp_path, kind, standardize):
    """Refused with the option that fills them in; the model then is that of the estimator, and fills in when it predicts."""
    X = DOSAGES.copy()
    X[np.random.default_rng(1).random(X.shape) < 0.05] = np.nan
    options = ["--target", "dx"] if kind == "csv" else []
    if kind == "bed":
        data = genotypes(tmp_path / "a.bed", X, phenotypes=list(LABELS))
    elif kind == "h5ad":
        data, options = cells(tmp_path / "a.h5ad", X, kind=np.asarray), ["--target", "cell_type", "--layer", "counts"]
    elif kind == "csv":
        data = tmp_path / "a.csv"
        pd.DataFrame(X, columns=VARIANTS).assign(dx=LABELS).to_csv(data, index=False)
    elif kind == "npz":
        data = tmp_path / "a.npz"
        np.savez(data, X=X, y=LABELS)
    else:
        data, options = tmp_path / "a.npy", ["--target", tmp_path / "y.npy"]
        np.save(data, X)
        np.save(tmp_path / "y.npy", LABELS)
    scaling = "--standardize" if standardize else "--no-standardize"
    assert "--impute mean" in refused("train", data, "--save", tmp_path / "m.safetensors", *QUICK, *options, scaling)
    assert not (tmp_path / "m.safetensors").exists()
    trained(tmp_path, data, *options, scaling, "--test", 0, "--impute", "mean")
    model = load(tmp_path / "m.safetensors")
    fitted = FrontClassifier(**model.get_params() | {"n_jobs": 1}).fit(X, LABELS)
    assert (fitted.standardize, fitted.missing) == (standardize, "mean")
    np.testing.assert_allclose(model.coefs_[0], of_raw_data(fitted, None).coefs_[0], rtol=1e-5, atol=1e-7)
    result = run("predict", tmp_path / "m.safetensors", data, *options, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["predictions"]["prediction"] == fitted.predict(X).tolist()


def test_infinity_is_refused_all_the_same(tmp_path):
    """--impute fills in what is missing alone."""
    X = DOSAGES.copy()
    X[3, 4] = np.inf
    np.savez(tmp_path / "a.npz", X=X, y=CODES)
    train = ("train", "--save", tmp_path / "m.safetensors", *QUICK, "--impute", "mean")
    assert "column 4" in refused(*train, tmp_path / "a.npz")
    data = cells(tmp_path / "a.h5ad", X, kind=np.asarray)
    assert "column 4 ('rs4')" in refused(*train, "--target", "cell_type", data)


@pytest.mark.parametrize("kind", ["bed", "h5ad", "dense.h5ad", "csv"])
def test_features_are_found_by_name(tmp_path, kind):
    """More features in another order: those of the model are selected, and what is left out is said."""
    trained(tmp_path, genotypes(tmp_path / "a.bed", phenotypes=list(LABELS)), "--test", 0)
    model = tmp_path / "m.safetensors"
    expected = json.loads(run("predict", model, tmp_path / "a.bed", "--proba", "--json").stdout)
    order = np.random.default_rng(1).permutation(N_FEATURES)
    X = np.concatenate([np.ones((N_SAMPLES, 2)), DOSAGES[:, order]], axis=1)
    names = ["extra0", "extra1", *(VARIANTS[j] for j in order)]
    if kind == "bed":
        data, options = genotypes(tmp_path / "b.bed", X, variants=names), ()
    elif kind == "csv":
        data, options = tmp_path / "b.csv", ("--id", "id")
        pd.DataFrame(X, columns=names, index=pd.Index(PEOPLE, name="id")).to_csv(data)
    else:
        data = cells(tmp_path / f"b.{kind}", 2 * X, genes=names, kind=np.asarray if kind == "dense.h5ad" else sparse.csr_matrix)
        options = ()
    result = run("predict", model, data, "--proba", "--json", *options)
    assert result.exit_code == 0, result.output
    assert "left out: 'extra0', 'extra1'" in result.stderr
    found = json.loads(result.stdout)["predictions"]
    assert found["sample"] == PEOPLE
    for label in ("P(case)", "P(ctl)"):
        np.testing.assert_allclose(found[label], expected["predictions"][label], rtol=1e-4, atol=1e-6)
    genotypes(tmp_path / "c.bed", DOSAGES[:, 5:], variants=VARIANTS[5:])
    message = refused("predict", model, tmp_path / "c.bed")
    assert "lacks 5 of the 150 features that are needed: 'rs0', 'rs1'" in message


def test_names_that_occur_more_than_once(tmp_path):
    """Variants without a name are called "."; all variants are known by their places then."""
    data = genotypes(tmp_path / "a.bed", variants=["."] * 3 + VARIANTS[3:])
    _, said = trained(tmp_path, data)
    assert "names of features are not used, because some occur more than once ('.')" in said
    assert not hasattr(load(tmp_path / "m.safetensors"), "feature_names_in_")
    result = run("predict", tmp_path / "m.safetensors", data, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["score"]["accuracy"] > 0.8
    result = run("predict", tmp_path / "m.safetensors", genotypes(tmp_path / "b.bed"), "--json")  # names that the model lacks
    assert result.exit_code == 0, result.output
    data = genotypes(tmp_path / "c.bed", DOSAGES[:, :9], variants=VARIANTS[:9])
    assert "has 9 features, but the model was trained on 150" in refused("predict", tmp_path / "m.safetensors", data)


def test_test_file(tmp_path):
    """A test file may have another format and another order of features; samples without a target are left out there, too."""
    train, test = np.arange(40), np.arange(40, N_SAMPLES)
    data = genotypes(tmp_path / "a.bed", DOSAGES[train], list(LABELS[train]), PEOPLE[:40])
    phenotypes = ["-9", *LABELS[test][1:]]
    other = genotypes(tmp_path / "b.bed", DOSAGES[test][:, ::-1], phenotypes, PEOPLE[40:], VARIANTS[::-1])
    report, said = trained(tmp_path, data, "--test-file", other)
    assert (report["n_train"], report["n_test"]) == (40, 19)
    assert "b.bed: 1 of 20 samples have no value" in said
    np.savez(tmp_path / "c.npz", X=DOSAGES[test][1:], y=LABELS[test][1:])
    again, _ = trained(tmp_path, data, "--test-file", tmp_path / "c.npz")
    assert again["test"] == report["test"]


def test_ids(tmp_path):
    """A column of obs names the samples; formats without such columns refuse --id."""
    data = cells(tmp_path / "a.h5ad")
    trained(tmp_path, data, "--target", "cell_type")
    result = run("predict", tmp_path / "m.safetensors", data, "--id", "donor", "--json")
    assert json.loads(result.stdout)["predictions"]["sample"][:2] == ["d0", "d1"]
    assert "has no column 'donr'" in refused("predict", tmp_path / "m.safetensors", data, "--id", "donr")
    assert "leave out ids='x'" in refused("predict", tmp_path / "m.safetensors", genotypes(tmp_path / "a.bed"), "--id", "x")


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("bed", ("--layer", "counts"), "layer='counts' means nothing for"),
        ("bed", ("--transpose",), "transpose=True means nothing for"),
        ("bed", ("--target", "height"), "has no target 'height'; leave it out for the phenotype in x.fam"),
        ("bed", ("--target", "none.npy"), "target file none.npy does not exist"),
        ("h5ad", ("--target", "kind"), "obs has no column 'kind'; it has 'cell_type', 'donor'"),
        ("h5ad", ("--target", "cell_type", "--layer", "x"), "has no layer 'x'; it has 'counts'"),
        ("h5ad", (), "no target; name it with --target"),
        ("h5ad", ("--target", "cell_type", "--dataset", "X"), "dataset='X' means nothing"),
        ("h5", ("--dataset", "nothing"), "has no 'nothing'; it has 'kind', 'other', 'study'"),
        ("h5", (), "choose one with dataset= (--dataset). It has: 'other' of shape (3, 4), 'study/values' of shape"),
        ("h5", ("--dataset", "study/values", "--target", "y"), "has no dataset 'y' that could be the target"),
        ("h5", ("--dataset", "study/values", "--target", "study"), "has no dataset 'study' that could be the target"),
        ("h5", ("--dataset", "study/values", "--target", "other"), "the target has dtype float64 and shape (3, 4)"),
        ("zarr", ("--target", "y"), "has no dataset 'y' that could be the target"),
        ("zarr", ("--target", "kind", "--id", "x"), "leave out ids='x'"),
        ("single.zarr", ("--target", "kind"), "is one array, so target='kind' is unknown"),
        ("mtx", ("--target", "kind"), "is one matrix, so target='kind' is unknown"),
        ("npz", ("--layer", "counts"), "layer='counts' means nothing for"),
        ("npz", ("--dataset", "X"), "dataset='X' means nothing for"),
    ],
)
def test_options_that_do_not_fit(tmp_path, monkeypatch, kind, options, message):
    """One line that names the option or what there is; nothing is written."""
    monkeypatch.chdir(tmp_path)
    if kind == "npz":
        data = tmp_path / "x.npz"
        np.savez(data, X=DOSAGES, y=CODES)
    else:
        data, _ = write(kind, tmp_path)
    assert message in refused("train", data, "--save", tmp_path / "m.safetensors", *QUICK, *options)
    assert not (tmp_path / "m.safetensors").exists()


# ----------------------------------------------------------------------------------------------------------------------
# damaged files


@pytest.mark.parametrize("kind", ["bed", "h5ad", "h5", "mtx"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_truncated(tmp_path, kind, share):
    """One line that names the file; nothing is written."""
    data, options = write(kind, tmp_path)
    with open(data, "r+b") as file:
        file.truncate(int(share * data.stat().st_size))
    message = refused("train", data, "--save", tmp_path / "m.safetensors", *QUICK, *options)
    assert data.name in message
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize("kind", ["h5", "h5ad", "zarr"])
def test_damaged_inside(tmp_path, kind):
    """Bytes that cannot be decompressed: the library's error becomes one line that names the file."""
    if kind == "zarr":
        data, options = write(kind, tmp_path)
        chunk = max((path for path in (data / "values").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
        chunk.write_bytes(b"no chunk" * 10)
    elif kind == "h5":
        data, options = write(kind, tmp_path)
        with h5py.File(data, "r") as file:
            place = file["study/values"].id.get_chunk_info(0).byte_offset
        with open(data, "r+b") as file:
            file.seek(place)
            file.write(b"no chunk" * 4)
    else:
        data, options = cells(tmp_path / "x.h5ad"), ("--target", "cell_type")
        with h5py.File(data, "r+") as file:
            values = file["X/indices"][:]
            values[7] = 10**6
            file["X/indices"][:] = values
    message = refused("train", data, "--save", tmp_path / "m.safetensors", *QUICK, *options)
    assert data.name in message
    assert "damaged" in message
    assert not (tmp_path / "m.safetensors").exists()


def test_files_that_do_not_belong_together(tmp_path):
    """Other people in the .fam, no .fam, a folder that is no zarr, HDF5 that AnnData has not written."""
    data, train = genotypes(tmp_path / "a.bed"), ("train", "--save", tmp_path / "m.safetensors")
    (tmp_path / "a.fam").write_text((tmp_path / "a.fam").read_text() * 2)
    assert "it was cut off" in refused(*train, data)
    (tmp_path / "a.fam").unlink()
    assert "a.fam" in refused(*train, data)
    (tmp_path / "b.zarr").mkdir()
    assert "b.zarr is no zarr array or group" in refused(*train, tmp_path / "b.zarr")
    (tmp_path / "c.h5ad").mkdir()
    assert "c.h5ad is a folder" in refused(*train, tmp_path / "c.h5ad")
    with h5py.File(tmp_path / "d.h5ad", "w") as file:
        file["X"] = np.ones((3, 4))
    assert "was not written by AnnData" in refused(*train, tmp_path / "d.h5ad")


def test_pipes(tmp_path):
    """These files are read several times, which a pipe cannot be; the format is known from the first bytes."""
    data, _ = write("h5", tmp_path)
    result = run("train", "-", "--save", tmp_path / "m.safetensors", content=data.read_bytes())
    assert result.exit_code == 2
    assert "standard input is a pipe, but .h5 files are read more than once" in result.stderr


def test_file_that_changes(tmp_path, monkeypatch):
    """A file that is written while it is read: one line that names it, and no model file."""
    data = genotypes(tmp_path / "a.bed")
    fit = FrontClassifier.fit

    def meanwhile(*arguments, **named):
        os.utime(data, (1, 1))
        return fit(*arguments, **named)

    monkeypatch.setattr(FrontClassifier, "fit", meanwhile)
    message = refused("train", data, "--save", tmp_path / "m.safetensors", *QUICK)
    assert "a.bed was changed while it was in use" in message
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_interrupt_writes_nothing(tmp_path):
    """Ctrl-C while blocks are read: one line, no file."""
    genotypes(tmp_path / "a.bed")
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import fcfast.cli, fcfast.sources.bed as bed\n"
        "read = bed.PlinkBed.read_rows\n"
        "def slowly(*arguments):\n"
        "    print('reading', flush=True); signal.pause(); return read(*arguments)\n"
        "bed.PlinkBed.read_rows = slowly\n"
        "sys.argv[1:] = ['train', 'a.bed', '--save', 'm.safetensors']; fcfast.cli.run()"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, **pipes) as process:
        assert process.stdout.readline() == "reading\n", process.stderr.read()
        process.send_signal(2)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert (output, "interrupted" in errors, "Traceback" in errors) == ("", True, False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bed", "a.bim", "a.fam"]


# ----------------------------------------------------------------------------------------------------------------------
# plan, compare


@pytest.mark.parametrize("kind", KINDS)
def test_plan_of_a_file(tmp_path, kind):
    """The numbers come from the file: the plan is the one that the estimator makes for training."""
    data, options = write(kind, tmp_path)
    result = run("plan", data, "--json", "--hidden", 8, "--epochs", 5, "--test", 0, *options)
    assert result.exit_code == 0, result.output
    assert f"{data.name}: 60 samples; " in result.stderr
    planned = json.loads(result.stdout)["costs"]
    # forms with weights need a copy of a file, as of an array by columns
    dense = np.asfortranarray(DOSAGES.astype("float32" if "h5ad" in kind else "int8"))
    X = sparse.csr_array(DOSAGES) if kind == "mtx" else dense
    fitted = FrontClassifier((8,), max_epochs=5, standardize=True, random_state=0).fit(X, CODES)
    assert {name: cost["n_bytes"] for name, cost in planned.items()} == {
        name: cost.n_bytes for name, cost in fitted.plan_.costs.items()
    }


def test_plan_of_tables_and_numbers(tmp_path):
    """Any data file can be planned, with its target left out of the features; numbers are as before."""

    def n_bytes(*arguments):
        result = run("plan", *arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)["costs"]["contributions"]["n_bytes"]

    pd.DataFrame(DOSAGES, columns=VARIANTS).assign(dx=LABELS).to_csv(tmp_path / "a.csv", index=False)
    assert n_bytes(tmp_path / "a.csv", "--target", "dx", "--test", 0) == n_bytes(N_SAMPLES, N_FEATURES, "--outputs", 2)
    X = sparse.random(50, 2000, 0.01, format="csr", random_state=0)
    sparse.save_npz(tmp_path / "s.npz", X)
    assert n_bytes(tmp_path / "s.npz", "--test", 0) == n_bytes(50, 2000, "--density", X.nnz / 100_000)
    assert "leave out FEATURES and --density" in refused("plan", tmp_path / "a.csv", 10)
    assert n_bytes(tmp_path / "s.npz") < n_bytes(tmp_path / "s.npz", "--test", 0)
    assert "--layer is for a data file" in refused("plan", 10, 10, "--layer", "counts")
    assert "--test is for a data file" in refused("plan", 10, 10, "--test", 0)
    assert "does not exist" in refused("plan", tmp_path / "none.bed")
    result = run("plan", 10)
    assert result.exit_code == 2
    assert "the number of features is missing" in " ".join(result.stderr.split())


def test_compare(tmp_path):
    """It loads the samples, and finds the same as for the array."""
    options = ("--rules", "frozen", "--epochs", 2, "--seeds", 1, "--tune", 1, "--hidden", "4,4", "--json")
    np.savez(tmp_path / "same.npz", X=DOSAGES, y=CODES + 1)
    results = []
    for data in (tmp_path / "same.npz", genotypes(tmp_path / "a.bed")):
        result = run("compare", data, *options)
        assert result.exit_code == 0, result.output
        results.append([[run["losses"] for run in rule["runs"]] for rule in json.loads(result.stdout)["results"]])
    np.testing.assert_allclose(*results, rtol=1e-5)
    X = DOSAGES.copy()
    X[3, 4] = np.nan
    data = genotypes(tmp_path / "b.bed", X)
    assert "--impute mean" in refused("compare", data, *options)
    assert run("compare", data, *options, "--impute", "mean").exit_code == 0
    assert run("compare", cells(tmp_path / "c.h5ad"), "--target", "cell_type", *options).exit_code == 0


def test_the_installed_command_reads_anndata(tmp_path):
    """It hides pandas from scikit-learn, to start faster, but not from AnnData."""
    path, options = write("h5ad", tmp_path)
    run = subprocess.run(
        [sys.executable, "-m", "fcfast", "plan", str(path), *options, "--json"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_plan_has_the_epochs_of_the_task(tmp_path):
    """Those of a regression where the target is numbers; without a target it says whose they are."""
    frame = pd.DataFrame(DOSAGES, columns=VARIANTS)
    frame.assign(dx=LABELS).to_csv(tmp_path / "classes.csv", index=False)
    frame.assign(dx=np.linspace(0.5, 9.7, len(DOSAGES))).to_csv(tmp_path / "numbers.csv", index=False)
    frame.to_csv(tmp_path / "none.csv", index=False)
    note = "planned for the 200 epochs of a classification; a regression has 1000 (--epochs)"
    for arguments, epochs, is_told in (
        (("classes.csv", "--target", "dx"), "200 epochs", False),
        (("numbers.csv", "--target", "dx"), "1,000 epochs", False),
        (("none.csv",), "200 epochs", True),
    ):
        result = run("plan", tmp_path / arguments[0], *arguments[1:])
        assert epochs in " ".join(result.stdout.split()), result.output
        assert (note in " ".join(result.stderr.split())) == is_told
    assert note in " ".join(run("plan", 60, 100).stderr.split())
    assert note not in " ".join(run("plan", 60, 100, "--epochs", 5).stderr.split())
