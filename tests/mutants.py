"""How many small changes of the code the tests notice: `make mutants SAMPLE=200 SEED=0`, a random sample with a seed.

mutmut changes one place of a function at a time (`pyproject.toml` says in which files) and runs the tests that go
through it. It knows source roots named `src` alone, so that it works in a copy of the tree where `archs` has that name;
a second run in the same folder spares the search for the tests of each function. Survivors are looked at with
`mutmut show NAME` in that folder. Code that tests reach in other processes alone, such as a whole training, counts as
without tests.
"""

import argparse
import collections
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("README.md", "docs", "options", "tests")
STATES = {0: "survived", 1: "caught", 3: "caught", 5: "without tests", 33: "without tests"}
"""By the exit code of a mutant's tests; anything else is an end by a signal, for an endless loop is stopped."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the copied tree")
    parser.add_argument("--sample", type=int, default=200, help="number of mutants (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: 0)")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time (default: 1)")
    args = parser.parse_args()
    copy_tree(args.folder)
    # The names of all mutants are known after a first run, which may be of any of them.
    run(args.folder, args.jobs, ["aethernet.files.*__mutmut_1"])
    names = sorted(results(args.folder))
    chosen = random.Random(args.seed).sample(names, min(args.sample, len(names)))
    run(args.folder, args.jobs, chosen)
    report(len(names), {name: results(args.folder)[name] for name in chosen})


def copy_tree(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
        else:
            shutil.copy2(ROOT / name, folder / name)
    shutil.copytree(ROOT / "archs", folder / "src", dirs_exist_ok=True)
    for name in ("pyproject.toml", "setup.py"):
        settings = (ROOT / name).read_text(encoding="utf-8")
        (folder / name).write_text(settings.replace('"archs', '"src'), encoding="utf-8")


def run(folder: Path, jobs: int, names: list[str]) -> None:
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs), *names]
    subprocess.run(command, cwd=folder, check=True)


def results(folder: Path) -> dict[str, int | None]:
    """The exit code of the tests for each mutant, None where they did not run."""
    found: dict[str, int | None] = {}
    for file in (folder / "mutants").rglob("*.meta"):
        found |= json.loads(file.read_text(encoding="utf-8"))["exit_code_by_key"]
    return found


def report(known: int, codes: dict[str, int | None]) -> None:
    """Prints a table by file, and the names of those that survived."""
    table: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for name, code in codes.items():
        table[name.rpartition(".")[0]][STATES.get(code, "stopped")] += 1  # type: ignore[call-overload]
    columns = ("caught", "stopped", "survived", "without tests")
    print(f"\n{'':<56}" + "".join(f"{column:>15}" for column in columns))
    for module in sorted(table):
        print(f"{module:<56}" + "".join(f"{table[module][column] or '':>15}" for column in columns))
    total = sum(table.values(), collections.Counter())
    noticed, tested = total["caught"] + total["stopped"], len(codes) - total["without tests"]
    print(f"\n{noticed} of {tested} were noticed, of a sample of {len(codes)} out of {known}")
    print("\n".join(["survived:", *sorted(name for name, code in codes.items() if code == 0)]))


if __name__ == "__main__":
    main()
