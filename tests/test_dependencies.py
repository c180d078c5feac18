"""The declared dependencies of the package."""

from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

OLDEST = Path(__file__).parent / "oldest.txt"
# The extras that the job with the oldest dependencies installs.
TESTED = ("", "cli", "plots", "parquet", "hdf5", "zarr", "anndata", "bed", "onnx", "test")


def test_oldest_dependencies_are_the_floors():
    """The constraints of that job name each declared dependency, at exactly the lowest version that is allowed."""
    floors = {}
    for requirement in map(Requirement, metadata.requires("fcfast")):
        if requirement.name != "fcfast" and any(
            requirement.marker is None or requirement.marker.evaluate({"extra": extra}) for extra in TESTED
        ):
            (floor,) = (specifier.version for specifier in requirement.specifier if specifier.operator == ">=")
            floors[requirement.name] = Version(floor)
    lines = [line for line in OLDEST.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert {name: Version(version) for name, version in (line.split("==") for line in lines)} == floors
