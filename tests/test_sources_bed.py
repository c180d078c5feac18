"""Genotypes in PLINK files."""

import os
import pickle

import numpy as np
import pytest
from source_checks import check_changes, check_copies, check_reads, same

from fcfast.sources import PlinkBed, as_source, open_source, protocol

bed_reader = pytest.importorskip("bed_reader", reason="PLINK files need fcfast[bed]")


def genotypes(n_samples, n_variants, seed=0):
    """Make dosages."""
    return np.random.default_rng(seed).integers(0, 3, (n_samples, n_variants), np.int8)


def write(path, array, **properties):
    """Write files with bed-reader."""
    names = {"iid": [f"i{i}" for i in range(len(array))], "sid": [f"rs{j}" for j in range(array.shape[1])]}
    bed_reader.to_bed(path, array, properties=names | properties)
    return path


@pytest.mark.parametrize("n_samples", [8, 9, 11])
def test_reads_the_same(tmp_path, n_samples):
    """Complete calls are int8, whatever the number of samples modulo 4."""
    array = genotypes(n_samples, 37)
    path = write(tmp_path / "x.bed", array)
    source = open_source(path)
    assert isinstance(source, PlinkBed)
    assert as_source(source) is source
    check_reads(source, array)
    check_copies(source, array)
    check_reads(PlinkBed(path, count_A1=False), 2 - array)
    assert pickle.loads(pickle.dumps(PlinkBed(path, count_A1=False))).read(slice(0, 1)).tolist() == (2 - array[:, :1]).tolist()


def test_places_of_variants(tmp_path):
    """Chromosomes and positions are those of the .bim file."""
    places = {"chromosome": ["1", "1", "X"], "bp_position": [100, 250, 7]}
    source = PlinkBed(write(tmp_path / "x.bed", genotypes(4, 3), **places))
    assert source.chromosomes == places["chromosome"]
    np.testing.assert_array_equal(source.positions, places["bp_position"])
    assert not {"chromosomes", "positions"} & vars(pickle.loads(pickle.dumps(source))).keys()


def test_by_samples(tmp_path):
    """The layout by samples, which old versions of PLINK write."""
    array = genotypes(9, 37)
    path = write(tmp_path / "x.bed", array)
    turned = write(tmp_path / "turned.bed", array.T).read_bytes()
    path.write_bytes(turned[:2] + b"\0" + turned[3:])
    check_reads(PlinkBed(path), array)


def test_missing_calls(tmp_path):
    """Blocks with missing calls are float32 with NaN; others, of the same columns in other rows, too, stay int8."""
    array = genotypes(9, 37).astype(np.float32)
    array[2, 5] = array[7, 30] = np.nan
    source = PlinkBed(write(tmp_path / "x.bed", array))
    for start in range(0, 37, 5):
        block, expected = source.read(slice(start, start + 5)), array[:, start : start + 5]
        same(block, expected if np.isnan(expected).any() else expected.astype(np.int8), source)
    rows = np.array([4, 0, 8, 4])
    same(source.read(slice(0, 37), rows), array[rows].astype(np.int8), source)
    same(source[[7, 2, 7]].read(slice(0, 37)), array[[7, 2, 7]], source)
    assert source.dense("float32").tobytes() == array.tobytes()


def test_names(tmp_path):
    """Names are read when they are asked for."""
    array = genotypes(5, 6)
    path = write(tmp_path / "x.bed", array)
    source = PlinkBed(path)
    assert source.feature_names == [f"rs{j}" for j in range(6)]
    assert source[[3, 1]].sample_names == ["i3", "i1"]
    assert "_names" not in "".join(pickle.loads(pickle.dumps(source)).__dict__)
    other = PlinkBed(path)
    os.utime(tmp_path / "x.bim", ns=(0, 0))
    with pytest.raises(RuntimeError, match=r"x\.bim was changed while it was in use"):
        _ = other.feature_names


def test_selection_reads_no_names(tmp_path):
    """Selecting rows of a million variants does not read their names."""
    source = PlinkBed(write(tmp_path / "x.bed", genotypes(5, 6)))
    source[[1, 2]].read(slice(0, 3))
    assert "feature_names" not in source.__dict__


def test_small_reads(tmp_path, monkeypatch):
    """Only the selected rows are decoded, in one block."""
    monkeypatch.setattr(protocol, "READ_BYTES", 20)
    array = genotypes(9, 37)
    check_reads(PlinkBed(write(tmp_path / "x.bed", array)), array)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["1", "2", "1", "2"], [1, 2, 1, 2]),
        (["1.5", "0", "2", "-3"], [1.5, 0, 2, -3]),
        (["case", "control", "case", "case"], ["case", "control", "case", "case"]),
        (["0", "0", "0", "0"], [0, 0, 0, 0]),
    ],
)
def test_phenotypes(tmp_path, found, expected):
    """Cases and controls, numbers, and names."""
    y = PlinkBed(write(tmp_path / "x.bed", genotypes(4, 3), pheno=found)).phenotype()
    assert y.tolist() == expected
    assert y.dtype.kind == {int: "i", float: "f", str: "O"}[type(expected[0])] if found[0] != "0" else True


@pytest.mark.parametrize(
    ("found", "expected", "text"),
    [
        (["1", "-9", "0", "2"], [1, np.nan, np.nan, 2], r"\(-9, NA, 0\) for 2 of 4"),
        (["NA", "0", "2.5", "-9"], [np.nan, 0, 2.5, np.nan], r"\(-9, NA\) for 2 of 4"),
        (["case", "NA", "case", "control"], ["case", None, "case", "control"], r"\(-9, NA\) for 1 of 4"),
    ],
)
def test_missing_phenotypes(tmp_path, found, expected, text):
    """Missing phenotypes are refused with their number, or given as such on request."""
    source = PlinkBed(write(tmp_path / "x.bed", genotypes(4, 3), pheno=found))
    with pytest.raises(ValueError, match=rf"no phenotype {text} samples, 'i\d' is the first"):
        source.phenotype()
    np.testing.assert_array_equal(source.phenotype(missing="nan"), np.array(expected))
    with pytest.raises(ValueError, match="missing must be 'error' or 'nan', got 'mean'"):
        source.phenotype(missing="mean")


# ----------------------------------------------------------------------------------------------------------------------
# damaged files


def test_truncated(tmp_path):
    """A .bed file of another size is refused with the figures."""
    path = write(tmp_path / "x.bed", genotypes(9, 37))
    content = path.read_bytes()
    assert len(content) == 3 + 3 * 37
    for wrong, reason in ((content[:-1], "113 bytes"), (content[:3], "3 bytes"), (content + b"\0", "115 bytes")):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=f"has {reason}, but 9 samples .* 37 variants .* take 114; "):
            open_source(path)
    path.write_bytes(b"PK" + content[2:])
    with pytest.raises(ValueError, match=r"x\.bed is no PLINK 1 \.bed file: it begins with b'PK"):
        open_source(path)


def test_other_files_beside(tmp_path):
    """A .fam file of other samples, and one that is absent or short."""
    path = write(tmp_path / "x.bed", genotypes(9, 37))
    fam = (tmp_path / "x.fam").read_text()
    (tmp_path / "x.fam").write_text(fam.rstrip("\n"))  # the last line may lack its end
    assert PlinkBed(path).shape == (9, 37)
    (tmp_path / "x.fam").write_text(fam + fam)
    with pytest.raises(ValueError, match=r"but 18 samples .* take 188; it was cut off"):
        PlinkBed(path)
    (tmp_path / "x.fam").write_text("\n".join(["f i"] * 9))
    with pytest.raises(ValueError, match=r"x\.fam has no column 6 in line 1"):
        PlinkBed(path).phenotype()
    (tmp_path / "x.fam").unlink()
    with pytest.raises(FileNotFoundError, match=r"x\.fam"):
        PlinkBed(path)


def test_changes(tmp_path):
    """A file that changes, ends or disappears while it is in use is named."""
    path = write(tmp_path / "x.bed", genotypes(9, 37))
    source = PlinkBed(path)
    check_changes(source, path)
    os.truncate(path, 50)
    for part in (slice(0, 37), slice(30, 31)):
        with pytest.raises(RuntimeError, match=r"x\.bed was changed while it was in use: 114 bytes .* 50 bytes"):
            source.read(part)
    path.unlink()
    with pytest.raises(RuntimeError, match=r"x\.bed can no longer be read"):
        source.read(slice(0, 1))


@pytest.mark.parametrize("end", [".fam", ".bim"])
def test_a_file_that_is_missing(tmp_path, end):
    """The message says which one, and why it is needed."""
    path = write(tmp_path / "x.bed", genotypes(8, 5))
    os.remove(path.with_suffix(end))
    with pytest.raises(FileNotFoundError, match=rf"x\{end} does not exist, but PLINK files come in three: .*x\.bed needs"):
        PlinkBed(path)
