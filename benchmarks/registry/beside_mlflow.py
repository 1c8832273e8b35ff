"""The same steps on MLflow's registry and on ours: what each says, and how long each takes.

make bench-registry                   write docs/benchmarks/registry.md
make bench-registry ARGS="--print"    print it

Both on SQLite and local files in fresh folders, in one process, one after the other; a time is
the median of its rounds. MLflow runs as it is installed, nothing turned off but its usage reports.
"""

from __future__ import annotations

import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import mlflow.sklearn
import numpy as np
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

import palio
from palio.errors import PalioError
from palio.registry.domain import VersionDraft

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "registry.md"
ROWS = np.random.default_rng(20261121).normal(size=(200, 5))
LABELS = (ROWS[:, 0] > 0).astype(int)
MODELS = [LogisticRegression().fit(ROWS, labels) for labels in (LABELS, 1 - LABELS)]
PROBE = ROWS[:5]
FILLED = 1_000  # versions of one model before pages are timed
ROUNDS = 15


class Mlflow:
    """MLflow's registry, by its client and its fluent functions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        mlflow.set_experiment("bench")
        self.client = mlflow.MlflowClient()

    def register(self, number: int, auc: float) -> str:
        with mlflow.start_run():
            mlflow.log_metric("auc", auc)
            mlflow.sklearn.log_model(
                MODELS[number % 2],
                name="m",
                registered_model_name="credit",
                signature=infer_signature(ROWS, LABELS),
                pip_requirements=["scikit-learn"],  # looking for them takes two seconds
            )
        [newest, *_] = self.client.search_model_versions("name='credit'", max_results=1)
        return str(newest.version)

    def point(self, name: str) -> None:
        self.client.set_registered_model_alias("credit", "champion", name)

    def pointed(self) -> str:
        return str(self.client.get_model_version_by_alias("credit", "champion").version)

    def predict(self, name: str) -> list[int]:
        return list(mlflow.sklearn.load_model(f"models:/credit/{name}").predict(PROBE))

    def files(self) -> list[Path]:
        return sorted(self.folder.rglob("model.skops"), key=lambda path: path.stat().st_mtime_ns)

    def production_at(self, _: datetime) -> str:
        raise NotImplementedError("no method or field gives an alias's past")

    def above(self, auc: float) -> list[str]:
        found = self.client.search_model_versions(f"metrics.auc > {auc}")
        return [str(one.version) for one in found]

    def delete(self, name: str) -> None:
        self.client.delete_model_version("credit", name)

    def restore(self, _: str) -> None:
        raise NotImplementedError("no method restores a deleted version")

    def fill(self, count: int) -> None:
        source = self.client.get_model_version("credit", "1").source
        for number in range(count):
            self.client.create_model_version("credit", source, tags={"team": f"t{number % 10}"})

    def page(self) -> int:
        found = self.client.search_model_versions("name='credit' and tags.team = 't3'", 50)
        return len(found)


class Ours:
    """Palio's registry, by what `connect` returns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.palio = palio.connect(folder / "palio.db")
        self.count = 0

    def register(self, number: int, auc: float) -> str:
        self.count += 1
        made = self.palio.register(
            "credit",
            MODELS[number % 2],
            version=str(self.count),
            sample=ROWS,
            metrics={"auc": auc},
        )
        return made.version

    def point(self, name: str) -> None:
        self.palio.versions.promote(f"credit:{name}")

    def pointed(self) -> str:
        return self.palio.versions.get("credit@champion").version

    def predict(self, name: str) -> list[int]:
        return list(self.palio.load(f"credit:{name}").predict(PROBE.tolist()).values)

    def files(self) -> list[Path]:
        return sorted(self.folder.rglob("model.skops"), key=lambda path: path.stat().st_mtime_ns)

    def production_at(self, moment: datetime) -> str:
        return str(self.palio.models.at("credit", moment).version)

    def above(self, auc: float) -> list[str]:
        return [one.version for one in self.palio.versions.search(f"metrics.auc > {auc}").versions]

    def delete(self, name: str) -> None:
        self.palio.versions.delete(f"credit:{name}")

    def restore(self, name: str) -> None:
        self.palio.versions.restore(f"credit:{name}")

    def fill(self, count: int) -> None:
        files = {"model.skops": self.files()[0]}
        for number in range(count):
            self.count += 1
            draft = VersionDraft(
                version=str(self.count), flavor="plain", tags={"team": f"t{number % 10}"}
            )
            self.palio.versions.register("credit", draft, files)

    def page(self) -> int:
        found = self.palio.versions.search("model = 'credit' and tags.team = 't3'", limit=50)
        return len(found.versions)


def said(step: Callable[[], Any]) -> str:
    """Return what a step answered, or how it refused, in one line for a table."""
    try:
        return str(step())
    except NotImplementedError as lacking:
        return f"no answer: {lacking}"
    except (PalioError, mlflow.exceptions.MlflowException) as refused:
        return f"refused: {str(refused).splitlines()[0].split(';')[0].split(': expected')[0]}"


def swap(registry: Any) -> str:
    """Put the file of version 2 in the place of version 1's and load version 1."""
    first, second = registry.files()[:2]
    own, kept = registry.predict("1"), first.read_bytes()
    shutil.copyfile(second, first)
    try:
        loaded = registry.predict("1")
    finally:
        first.write_bytes(kept)
    return "the same answers" if loaded == own else "loaded: it answers as version 2 does"


def deleted_champion(registry: Any) -> str:
    """Delete the version that the champion alias points at."""
    registry.delete("2")
    return f"deleted; the alias: {said(registry.pointed)}"


def taken_back(registry: Any) -> str:
    """Delete a version that nothing points at, and have it back."""
    registry.delete("1")
    registry.restore("1")
    return "restored"


def answers(registry: Any) -> dict[str, str]:
    """Ask the questions that a registry is kept for."""
    registry.register(0, 0.9)
    registry.register(1, 0.6)
    registry.point("1")
    before = datetime.now(UTC)
    registry.point("2")
    return {
        "a version's file is swapped on disk, then the version is loaded": said(
            lambda: swap(registry)
        ),
        "which version was champion before the last move": said(
            lambda: f"version {registry.production_at(before)}"
        ),
        "versions with `metrics.auc > 0.8`": said(lambda: registry.above(0.8)),
        "the champion is deleted": said(lambda: deleted_champion(registry)),
        "another version is deleted, and wanted back": said(lambda: taken_back(registry)),
    }


def median_ms(step: Callable[[], Any]) -> float:
    """Return the median time of a step, after one that is not counted."""
    step()
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        step()
        taken.append(time.perf_counter() - start)
    return 1e3 * statistics.median(taken)


def times(registry: Any) -> dict[str, float]:
    """Time what is done every day."""
    found = {
        "register a logistic regression, with its metric and signature": median_ms(
            lambda: registry.register(0, 0.9)
        ),
    }
    registry.point("1")
    found["what does @champion point at"] = median_ms(registry.pointed)
    found["load a version and answer 5 rows"] = median_ms(lambda: registry.predict("1"))
    registry.fill(FILLED)
    found[f"first 50 of {FILLED:,} versions with a tag"] = median_ms(registry.page)
    return found


def fresh(kind: Callable[[Path], Any], root: Path, name: str) -> Any:
    """Return a registry in a folder of its own, which is also the present one."""
    folder = root / f"{kind.__name__}-{name}"
    folder.mkdir()
    os.chdir(folder)
    return kind(folder)


def page() -> str:
    """Measure, and return the page."""
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as root, redirect_stdout(sys.stderr):
        said_by = [answers(fresh(kind, Path(root), "answers")) for kind in (Mlflow, Ours)]
        took = [times(fresh(kind, Path(root), "times")) for kind in (Mlflow, Ours)]
    lines = [
        "# The registry beside MLflow's",
        (
            f"Written by `make bench-registry`: MLflow {version('mlflow')} and Palio "
            f"{palio.__version__}, both on SQLite and local files, one process, two cores."
        ),
        "## The same steps",
        "\n".join(
            [
                "| step | MLflow | Palio |",
                "| --- | --- | --- |",
                *(f"| {step} | {said_by[0][step]} | {said_by[1][step]} |" for step in said_by[0]),
            ]
        ),
        "## The same work, ms (median)",
        "\n".join(
            [
                "| work | MLflow | Palio | MLflow / Palio |",
                "| --- | --- | --- | --- |",
                *(
                    f"| {work} | {took[0][work]:.1f} | {took[1][work]:.1f} "
                    f"| {took[0][work] / took[1][work]:.1f} |"
                    for work in took[0]
                ),
            ]
        ),
    ]
    return "\n\n".join(lines) + "\n"


if __name__ == "__main__":
    written = page()
    if "--print" in sys.argv:
        print(written)
    else:
        PAGE.write_text(written, encoding="utf-8")
        print(f"wrote {PAGE.name}")
