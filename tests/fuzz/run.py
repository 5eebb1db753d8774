"""Looks for inputs that break a law, by coverage: `make fuzz`. Each target in a process of its own, some at once.

New inputs are kept in ``.fuzz/<target>/``, and whatever broke a law in ``.fuzz/found/``: put it into
``tests/fuzz/corpus/<target>/``, where the ordinary tests try it again.
"""

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SLOWEST = 2
"""Seconds for one input; the longest documents are a thousandth of what is taken."""
MEMORY = 1024
"""MiB of one process."""
_INSTRUMENTED = ["apprproxy", "aiohttp.http_parser", "json", "urllib", "email", "semantic_version", "yaml"]


def main() -> int:
    asked = _asked()
    if asked.one:
        return _one(asked)
    wanted = asked.targets or sorted(folder.name for folder in (HERE / "corpus").iterdir())
    with ThreadPoolExecutor(asked.at_once) as pool:
        ended = dict(zip(wanted, pool.map(lambda name: _apart(name, asked), wanted), strict=True))
    for name, status in ended.items():
        print(f"{name}: {'nothing found' if status == 0 else f'FOUND SOMETHING, see {asked.work}/{name}.log'}")
    return int(any(ended.values()))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help="all without any")
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    parser.add_argument("--at-once", type=int, default=2, help="targets at a time")
    parser.add_argument("--work", type=Path, default=ROOT / ".fuzz", help="where inputs and logs go")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _apart(name: str, asked: argparse.Namespace) -> int:
    (asked.work / name).mkdir(parents=True, exist_ok=True)
    (asked.work / "found").mkdir(exist_ok=True)
    print(f"{name}: {asked.seconds} s", file=sys.stderr)
    command = [sys.executable, "-m", "tests.fuzz.run", "--one", f"--seconds={asked.seconds}", f"--work={asked.work}"]
    with (asked.work / f"{name}.log").open("w") as log:
        return subprocess.run([*command, name], cwd=ROOT, stdout=log, stderr=log).returncode


def _one(asked: argparse.Namespace) -> int:
    try:
        import atheris
    except ImportError:
        print("atheris is missing here: `make fuzz` makes an environment that has it", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=_INSTRUMENTED):
        from tests.fuzz.targets import TARGETS
    (name,) = asked.targets
    target = TARGETS[name]
    options = [
        f"-max_total_time={asked.seconds}",
        f"-timeout={SLOWEST}",
        f"-rss_limit_mb={MEMORY}",
        f"-max_len={target.longest}",
        f"-artifact_prefix={asked.work}/found/{name}-",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(asked.work / name), str(HERE / "corpus" / name)], target.run)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
