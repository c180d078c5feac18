"""Tools of the benchmarks: the comparison of result files, the cases of the smoke test, the content of result files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bench import smoke
from bench.compare import Limits, Results, Time, app, verdicts
from fcfast import backend

compiled_only = pytest.mark.skipif(backend.NAME != "compiled", reason="the benchmarks measure the compiled kernels")
ROOT = Path(__file__).parents[1]

# ----------------------------------------------------------------------------------------------------------------------
# comparison of two files


def write(path, times, units=None, fastest=None, cores=2, torch="2.0", cpu="some CPU"):
    """A result file: seconds of each contender, or of the whole benchmark, by benchmark."""
    benchmarks = []
    for name, seconds in times.items():
        extra, stats = {}, {"median": 1.0, "min": 1.0, "rounds": 3}
        if isinstance(seconds, dict):
            extra = {"seconds_per_unit": seconds, "units_per_call": units or {}} | (
                {"fastest_seconds_per_unit": fastest} if fastest else {}
            )
        else:
            stats |= {"median": seconds, "min": seconds}
        benchmarks.append({"fullname": name, "extra_info": extra, "stats": stats})
    machine = {"cpu": {"brand_raw": cpu}, "cores": cores, "python_version": "3.11.1", "versions": {"torch": torch}}
    path.write_text(json.dumps({"machine_info": machine, "benchmarks": benchmarks}))
    return path


@pytest.fixture
def compare(tmp_path):
    """``compare(before, after, *options)``: exit code and output of a comparison; times or (times, what else is written)."""

    def run(before, after, *options):
        paths = []
        for name, content in ("before", before), ("after", after):
            times, others = content if isinstance(content, tuple) else (content, {})
            paths.append(write(tmp_path / f"{name}.json", times, **others))
        result = CliRunner().invoke(app, [*map(str, paths), *options])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    return run


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        (1e-3, 1.2e-3, 1),  # both limits
        (1e-3, 1.1e-3, 0),  # the absolute one only
        (1e-5, 2e-5, 0),  # the relative one only
        (1e-3, 0.5e-3, 0),
        (1e-3, 1e-3, 0),
    ],
)
def test_slower_by_both_limits(compare, before, after, code):
    """More than 15 % and 20 us fail, one of them does not; be it a contender or a benchmark's only time."""
    assert compare({"a": before}, {"a": after})[0] == code
    assert compare({"a": {"fcfast": before}}, {"a": {"fcfast": after}})[0] == code


def test_limits_are_options(compare):
    """Looser limits pass what the usual ones do not, tighter ones fail what they let through."""
    before, after = {"a": 1e-3}, {"a": 1.2e-3}
    assert compare(before, after, "--relative", "0.25")[0] == 0
    assert compare(before, after, "--absolute", "300us")[0] == 0
    assert compare({"a": 1e-5}, {"a": 2e-5}, "--absolute", "9us")[0] == 1
    assert compare({"a": 1e-3}, {"a": 1.1e-3}, "--relative", "0.05")[0] == 1


def test_absolute_limit_is_of_a_call(compare):
    """Nanoseconds a unit are milliseconds in a call of a million units."""
    before, after = {"a": {"fcfast": 5e-9}}, {"a": {"fcfast": 7e-9}}
    assert compare(before, after)[0] == 0
    units = {"units": {"fcfast": 1e6}}
    assert compare((before, units), (after, units))[0] == 1


def test_fastest_round_counts_too(compare):
    """A median that grew while the fastest round did not is other work on the machine."""
    before = {"a": {"fcfast": 1e-3}}, {"fastest": {"fcfast": 0.9e-3}}
    assert compare(before, ({"a": {"fcfast": 1.5e-3}}, {"fastest": {"fcfast": 0.95e-3}}))[0] == 0
    assert compare(before, ({"a": {"fcfast": 1.5e-3}}, {"fastest": {"fcfast": 1.4e-3}}))[0] == 1


def test_verdicts_are_told(compare):
    """The table says who is slower and faster, the end who is slower; a name with brackets is printed as it is."""
    before = {"f.py::slow[N=1]": 1e-3, "f.py::fast": 1e-3, "f.py::same": 1e-3}
    code, output = compare(before, {"f.py::slow[N=1]": 2e-3, "f.py::fast": 0.5e-3, "f.py::same": 1e-3})
    assert code == 1
    lines = {line.split()[0]: line.split() for line in output.splitlines() if line.startswith(" f.py")}
    assert lines["f.py::slow[N=1]"] == ["f.py::slow[N=1]", "1", "ms", "2", "ms", "2.00", "slower"]
    assert lines["f.py::fast"][-2:] == ["0.50", "faster"]
    assert lines["f.py::same"][-1] == "1.00"
    assert "slower: f.py::slow[N=1]: 2.00 times as long\n1 of 3 times of ours slower" in output


def test_new_and_gone(compare):
    """What only one file has is told and fails nothing: a whole benchmark by its name, a contender by both."""
    code, output = compare({"a": {"x": 1, "y": 1}, "old": {"x": 1}}, {"a": {"x": 1, "z": 9}, "new": {"x": 9, "y": 9}})
    assert code == 0
    told = [line for line in output.splitlines() if line.startswith(("new", "gone"))]
    assert told == ["new: a: z", "new: new", "gone: a: y", "gone: old"]


def test_a_single_round_is_no_time(compare, tmp_path):
    """A benchmark of one round, as those of memory are, is not compared."""
    path = write(tmp_path / "one.json", {"a": 1, "b": 1})
    content = json.loads(path.read_text())
    content["benchmarks"][0]["stats"]["rounds"] = 1
    path.write_text(json.dumps(content))
    after = write(tmp_path / "after.json", {"a": 9, "b": 1})
    result = CliRunner().invoke(app, [str(path), str(after)])
    assert result.exit_code == 0
    assert "0 of 1 times" in result.output


def test_peers_never_fail(compare):
    """Times of others may grow."""
    names = "PyTorch, 2 threads", "NumPy", "pure", "products", "autograd and torch.optim.SGD"
    code, output = compare({"a": dict.fromkeys(("fcfast", *names), 1)}, {"a": {"fcfast": 1} | dict.fromkeys(names, 2)})
    assert code == 0
    assert "peers take 2.00 times as long as before: that is the machine, not the code" in output


def test_a_slower_machine_is_forgiven(compare):
    """As much as peers of the same benchmark, or else of all, became slower, ours may, and no more."""
    before = {"a": {"fcfast": 1, "PyTorch": 1}, "b": {"fcfast": 1}}
    assert compare(before, {"a": {"fcfast": 1.5, "PyTorch": 1.5}, "b": {"fcfast": 1.5}})[0] == 0
    code, output = compare(before, {"a": {"fcfast": 1.5, "PyTorch": 1.0}, "b": {"fcfast": 1.1}})
    assert (code, "slower: a: fcfast" in output) == (1, True)
    code, output = compare(before, {"a": {"fcfast": 1.5, "PyTorch": 1.5}, "b": {"fcfast": 1.8}})
    assert (code, "slower: b: fcfast" in output) == (1, True)


def test_a_faster_machine_accuses_nobody(compare):
    """Peers that became faster are told, and times are compared as they are."""
    before = {"a": {"fcfast": 1, "PyTorch": 1}}
    code, output = compare(before, {"a": {"fcfast": 1, "PyTorch": 0.5}})
    assert code == 0
    assert "may hide what became slower" in output


def test_other_versions_of_peers_say_nothing(compare):
    """Peers of another version may be slower by themselves: nothing is forgiven; and the difference is told."""
    before, after = {"a": {"fcfast": 1, "PyTorch": 1}}, {"a": {"fcfast": 2, "PyTorch": 2}}
    assert compare(before, after)[0] == 0
    code, output = compare(before, (after, {"torch": "2.1"}))
    assert code == 1
    assert "warning: not the same machine: torch 2.0 -> 2.1" in output


@pytest.mark.parametrize(
    ("facts", "told"), [({"cores": 4}, "cores 2 -> 4"), ({"cpu": "other"}, "CPU some CPU -> other"), ({}, None)]
)
def test_other_machines(compare, facts, told):
    """Another processor or number of cores is told; the same machine is not."""
    code, output = compare({"a": 1}, ({"a": 1}, facts))
    assert code == 0
    assert (f"warning: not the same machine: {told}" in output) if told else "warning" not in output


@given(st.dictionaries(st.text(max_size=3), st.floats(1e-6, 10), min_size=1, max_size=5), st.floats(1, 100), st.floats(0.01, 1))
def test_the_same_slowdown_of_all_fails_nothing(ours, factor, relative):
    """If every time, peers' too, is multiplied by the same number, only the machine changed."""
    keys = {("benchmark", f"ours {name}"): seconds for name, seconds in ours.items()} | {("benchmark", "pure"): 1.0}

    def results(factor):
        return Results({key: Time(seconds * factor, seconds * factor) for key, seconds in keys.items()}, {}, {})

    said = verdicts(results(1.0), results(factor), Limits(relative, 0.0))
    assert len(said) == len(ours)
    assert "slower" not in said.values()


def test_rounds_that_a_peer_lost_excuse_nothing():
    """Its median grew and its fastest round did not: that was other work, not the machine."""
    before = Results({("a", ""): Time(1, 1), ("a", "pure"): Time(1, 1)}, {}, {})
    after = Results({("a", ""): Time(2.5, 2.5), ("a", "pure"): Time(3, 1)}, {}, {})
    assert verdicts(before, after, Limits(0.15, 0.0)) == {("a", ""): "slower"}


@pytest.mark.parametrize(
    "content",
    ["", "no JSON", "[]", "{}", '{"benchmarks": [], "machine_info": {}}', '{"benchmarks": [{"fullname": "a"}]}', "\x80"],
)
def test_a_file_that_is_none(tmp_path, content):
    """Anything but a result file is refused by name, with what writes one."""
    good, bad = write(tmp_path / "good.json", {"a": 1}), tmp_path / "bad.json"
    bad.write_bytes(content.encode("latin-1"))
    for files in (good, bad), (bad, good):
        result = CliRunner().invoke(app, [*map(str, files)])
        assert result.exit_code == 2
        assert f"{bad}: not a result file of pytest-benchmark" in result.output
        assert "pytest bench --benchmark-json=FILE" in result.output


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "1", None])
def test_a_time_that_is_none(compare, seconds):
    """Only positive numbers are times."""
    code, output = compare({"a": {"fcfast": 1}}, {"a": {"fcfast": seconds}})
    assert (code, "after.json: not a result file" in output) == (2, True)


def test_an_absent_file(tmp_path):
    """A file that is not there, or is a folder, is named."""
    good = write(tmp_path / "good.json", {"a": 1})
    for path in tmp_path / "absent.json", tmp_path:
        result = CliRunner().invoke(app, [str(good), str(path)])
        assert (result.exit_code, f"{path}: cannot be read" in result.output) == (2, True)


def test_nothing_in_common(compare):
    """To compare nothing is no success."""
    code, output = compare({"a": 1}, {"b": 1})
    assert (code, "no benchmark in common" in output) == (2, True)


@pytest.mark.parametrize(
    "options", [("--relative", "-0.1"), ("--relative", "nan"), ("--absolute", "20"), ("--absolute", "x us")]
)
def test_limits_that_are_none(compare, options):
    """A limit is a finite number from 0, or a number and a unit."""
    code, output = compare({"a": 1}, {"a": 1}, *options)
    assert (code, options[0] in output) == (2, True)


# ----------------------------------------------------------------------------------------------------------------------
# smoke test


@compiled_only
@pytest.mark.parametrize("name", smoke.CASES)
def test_smoke_case(name):
    """Compiled and pure kernels leave the same results, and something but zeros."""
    works = smoke.checked(smoke.CASES[name][0])
    assert any(result.any() for result in works["_core"].results)


@compiled_only
def test_smoke_cases_use_every_kernel(monkeypatch):
    """A module of kernels without a case would go unnoticed; that of OpenMP has nothing to time."""
    used = set()

    class Spy:
        def __init__(self, name, module):
            self.name, self.module = name, module

        def __getattr__(self, function):
            used.add(self.name)
            return getattr(self.module, function)

    for name in backend.KERNELS:
        monkeypatch.setattr(backend, name, Spy(name, getattr(backend, name)))
    for make, _ in smoke.CASES.values():
        make(package="_core").call()
    assert used >= set(backend.KERNELS) - {"openmp"}


@compiled_only
@pytest.mark.skipif(sys.platform == "win32", reason="processor time counts in steps of 16 ms there")
def test_smoke_fails_below_a_third(capsys):
    """A case whose ratio is expected to be out of reach fails by name, one that is expected to be nothing does not."""
    make, _ = smoke.CASES["noise"]
    assert smoke.failures({"impossible": (make, 1e9), "easy": (make, 1e-9)}) == ["impossible"]
    assert [("TOO SLOW" in line) for line in capsys.readouterr().out.splitlines()] == [True, False]


@compiled_only
def test_smoke_compares_results_first():
    """Kernels that disagree are not timed."""

    def make(package):
        out = np.zeros(3)
        return smoke.Work(lambda: out.fill(1.0 if package == "_core" else 1.0 + 1e-6), (out,))

    with pytest.raises(AssertionError):
        smoke.failures({"wrong": (make, 1)})


# ----------------------------------------------------------------------------------------------------------------------
# result files


@compiled_only
def test_result_file(tmp_path):
    """A benchmark's file has what it told, how to repeat it and the machine; it compares equal to itself."""
    path = tmp_path / "result.json"
    command = [sys.executable, "-m", "pytest", str(ROOT / "bench" / "bench_kernels.py"), "-q", "-p", "no:cacheprovider"]
    # benchmarks refuse to run beside others, as those of pytest-xdist's workers would
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    command += ["-k", "largest_difference", f"--benchmark-json={path}"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    content = json.loads(path.read_text())
    ((heading, lines),) = content["summary"].items()
    assert heading == "Kernels, compiled against their pure twins"
    assert lines[0].startswith("largest_difference: ")
    assert all(line in run.stdout for line in lines)
    assert content["reproduce"] == {heading: "pytest bench/bench_kernels.py"}
    machine = content["machine_info"]
    assert machine["cpu"]["brand_raw"]
    assert machine["versions"].keys() >= {"numpy", "scipy", "scikit-learn", "torch"}
    result = CliRunner().invoke(app, [str(path), str(path)])
    assert (result.exit_code, "0 of 1 times of ours slower" in result.output) == (0, True)
