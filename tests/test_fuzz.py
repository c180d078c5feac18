"""A short fuzz of every public function with fixed cases, and a few rounds of each trial; `tests.fuzz` has the long versions.

FCFAST_FUZZ_CASES=1000 runs about 1000 cases instead of 400.
"""

import math
import os
import signal

import hypothesis
import pytest
from fuzz import all_cases, trials
from fuzz.law import BrokenLaw, limited_memory, obey
from hypothesis import strategies as st

N_CASES = int(os.environ.get("FCFAST_FUZZ_CASES", "400"))
CASES = all_cases()
SHARES = sum(share for _, share in CASES.values())

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("default")  # of the cases' own; those of the calls are looked at by the law
def test_cases(name):
    """Each call gives finite numbers, or a documented error that names the argument."""
    case, share = CASES[name]
    settings = hypothesis.settings(
        max_examples=math.ceil(N_CASES * share / SHARES), suppress_health_check=list(hypothesis.HealthCheck)
    )
    with limited_memory():
        settings(hypothesis.given(st.data())(case))()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: [][1], "IndexError is not documented"),
        (lambda: float("nan"), "silent NaN"),
        (lambda: __import__("warnings").warn("careless", RuntimeWarning, stacklevel=1), "stray warning"),
        (lambda: b"\xff".decode(), "UnicodeDecodeError is not documented"),
        (lambda: 1 + "a", "TypeError from"),
    ],
)
def test_the_law_is_one(call, message):
    """A call that breaks it is found."""
    with pytest.raises(BrokenLaw, match=message):
        obey(call)


# ----------------------------------------------------------------------------------------------------------------------
# processes


@posix
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM] if hasattr(os, "fork") else [None])
def test_killed_in_save_a_whole_file_stays(number):
    """Whenever a process is killed, the old model or the new one stands there."""
    found = trials.kills_in_save(4, number)
    assert (found["killed"], found["whole"]) == (4, 4)


@posix
def test_a_file_that_may_not_grow():
    """The error names the file; the old one stays as it was, and nothing is left beside it."""
    found = trials.full_disks(4)
    assert {what: count for what, count in found.items() if count} == {
        "OSError that names the file": 4, "old file as it was": 4, "nothing beside it": 4,
    }  # fmt: skip


@posix
def test_forked_children_train_the_same_bits():
    """A process that has trained with threads forks; its children train and predict the same bits, and do not hang."""
    assert {what: count for what, count in trials.forks(3).items() if count} == {"same bits": 3}


@posix
def test_interrupted_at_any_moment():
    """Ctrl-C keeps the last whole epoch, or leaves the estimator as it was; it can be fitted again."""
    found = trials.interrupts(6)
    assert found["kept the last whole epoch"] + found["nothing fitted"] == found["fits again"] == 6
