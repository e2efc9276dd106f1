"""The figures of the storage benchmark that need no run: one function each, one printed line a number."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from parts.store_rows import BEGAN, SEED, Size, attacks_of, batches, predictions_of, samples_of

from blindspot.storage.analysts.ready_queries import QUERIES
from blindspot.storage.analysts.results import Results
from blindspot.storage.records import Attack, Event, Prediction
from blindspot.storage.schema.tables import TABLES
from blindspot.storage.schema.views import VIEWS
from blindspot.storage.store.store import Store

INSERT_GOAL, PUBLISH_GOAL_S, QUERY_GOAL_MS = 100_000, 2, 100
TURNS = 5
BATCH = 256  # predictions that a run adds at once

Seconds = tuple[float, float]
"""Of a piece of work: (wall clock, CPU time of this process)."""


def inserts(folder: Path, size: Size) -> None:
    """Fill a store, and time what predictions and attacks take of that; then a few batches as small as a run's."""
    rows: defaultdict[str, int] = defaultdict(int)
    seconds: defaultdict[str, list[Seconds]] = defaultdict(list)
    with Store.open(folder) as store:
        store.add(
            [Event(f"evt-{n}", "busy", 0, BEGAN, "prepare", "info", "first") for n in range(5000)]
        )  # imports Arrow
        for batch in batches(size):
            name = TABLES[type(batch[-1])].name
            rows[name] += len(batch)
            seconds[name].append(timed(partial(store.add, batch)))
        for name in ("predictions", "attacks"):
            wall, cpu = np.sum(seconds[name], axis=0)
            say(
                f"insert_rows_per_s_{name}",
                f"{rows[name] / wall:,.0f} (goal {INSERT_GOAL:,}; {rows[name] / cpu:,.0f} by CPU time; n "
                f"{rows[name]:,}, {rows[name] // len(seconds[name]):,} at a time)",
            )
        samples = samples_of(size)
        few = predictions_of("mod-few", samples, [], np.random.default_rng(SEED))
        starts = range(0, min(len(few), 40 * BATCH), BATCH)
        took = [timed(partial(store.add, few[start : start + BATCH])) for start in starts]
        say(
            "insert_batch_ms",
            f"{in_ms(took, 0):.1f} ({in_ms(took, 1):.1f} of CPU; {BATCH} predictions and their commit, after "
            f"{rows['predictions']:,}; median of {len(took)})",
        )


def publishes(folder: Path, size: Size) -> None:
    """Publish after each of some changes as large as a run makes in a second, and after one large change."""
    samples, rng = samples_of(size), np.random.default_rng(SEED)
    with Store.open(folder) as store:
        counts = f"{store.count(Prediction):,} predictions, {store.count(Attack):,} attacks"
        for name, count in (("publish_s", BATCH), ("publish_large_s", len(samples))):
            took = []
            for turn in range(TURNS):
                model_id = f"mod-{name}-{turn}"
                store.add(predictions_of(model_id, samples[:count], [], rng))
                store.add(attacks_of("busy-1", model_id, samples[: count // 10], rng))
                took.append(timed(store.publish))
            wall, cpu = (median(seconds[kind] for seconds in took) for kind in (0, 1))
            goal = f"goal {PUBLISH_GOAL_S}; " if name == "publish_s" else ""
            say(
                name,
                f"{wall:.2f} ({goal}{cpu:.2f} of CPU; {counts}, of them {count:,} and {count // 10:,} new; median of "
                f"{TURNS}, slowest {max(took)[0]:.2f})",
            )
        rows = sum(store.count(kind) for kind in TABLES)
        megabytes = store.workspace.results.stat().st_size / 1e6
        say(
            "bytes_per_row",
            f"{1e6 * megabytes / rows:.0f} ({megabytes:.0f} MB for {rows:,} rows, keys and text included)",
        )


def queries(folder: Path) -> None:
    """Ask every view for all its rows and every ready query about all runs, as `blindspot query` does."""
    asked: dict[str, tuple[str, dict[str, Any]]] = {view.name: (f"FROM {view.name}", {}) for view in VIEWS}
    asked |= {query.name: (query.sql, query.values({})) for query in QUERIES}
    took: dict[str, list[Seconds]] = {name: [] for name in asked}
    rows: dict[str, int] = {}
    with Results.open(folder) as results:

        def ask(name: str, sql: str, values: dict[str, Any]) -> None:
            rows[name] = len(results.query(sql, values)[1])

        for _ in range(TURNS):
            for name, (sql, values) in asked.items():
                took[name].append(timed(partial(ask, name, sql, values)))
    slowest = sorted(asked, key=lambda name: -in_ms(took[name], 0))
    runners_up = ", ".join(f"{name} {in_ms(took[name], 0):.0f}" for name in slowest[1:5])
    first = slowest[0]
    say(
        "query_ms",
        f"{in_ms(took[first], 0):.0f} (goal {QUERY_GOAL_MS}; {in_ms(took[first], 1):.0f} of CPU; {first}, "
        f"{rows[first]:,} rows; median of {TURNS}, the first {1000 * took[first][0][0]:.0f}; then {runners_up}; "
        f"{len(asked)} in all)",
    )


def timed(work: Callable[[], object]) -> Seconds:
    """Do the work and tell how long it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def in_ms(took: list[Seconds], kind: int) -> float:
    return 1000 * median(seconds[kind] for seconds in took)


def say(name: str, value: str) -> None:
    print(f"{name}: {value}", flush=True)
