"""The shape of the store, version by version.

A migration, once released, is never edited: what changes comes as a new one at the end of the list. Views and
descriptions follow from the newest shape, so they are made again whenever a migration ran.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb

from blindspot.storage.clock import now
from blindspot.storage.database import literal, transaction
from blindspot.storage.errors import StoreError
from blindspot.storage.schema.comments import COMMENTS
from blindspot.storage.schema.views import VIEWS

Migration = Callable[[duckdb.DuckDBPyConnection], None]

NOTES = """
CREATE TABLE IF NOT EXISTS _migrations (number BIGINT PRIMARY KEY, name VARCHAR NOT NULL, applied_at TIMESTAMP NOT NULL)
"""


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of blindspot 0.1. No foreign keys: rows of both sides come in one transaction."""
    connection.execute("""
CREATE TABLE runs (
    run_id VARCHAR PRIMARY KEY, name VARCHAR NOT NULL, status VARCHAR NOT NULL, settings JSON NOT NULL,
    seed BIGINT NOT NULL, teacher VARCHAR NOT NULL, dataset_id VARCHAR NOT NULL, tau DOUBLE NOT NULL,
    versions JSON NOT NULL, started_at TIMESTAMP NOT NULL, finished_at TIMESTAMP, stop_reason VARCHAR,
    original_model_id VARCHAR, final_model_id VARCHAR
);
CREATE TABLE rounds (
    run_id VARCHAR NOT NULL, round BIGINT NOT NULL, model_id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL,
    new_model_id VARCHAR, accepted BOOLEAN, verdict VARCHAR, finished_at TIMESTAMP, PRIMARY KEY (run_id, round)
);
CREATE TABLE datasets (
    dataset_id VARCHAR PRIMARY KEY, name VARCHAR NOT NULL, source VARCHAR NOT NULL, fields VARCHAR[] NOT NULL,
    labels VARCHAR[] NOT NULL, task VARCHAR NOT NULL, rows JSON NOT NULL
);
CREATE TABLE samples (
    sample_id VARCHAR PRIMARY KEY, dataset_id VARCHAR NOT NULL, split VARCHAR NOT NULL, row BIGINT NOT NULL,
    fields JSON NOT NULL, label VARCHAR NOT NULL
);
CREATE TABLE model_versions (
    model_id VARCHAR PRIMARY KEY, run_id VARCHAR NOT NULL, round BIGINT NOT NULL, parent_id VARCHAR,
    kind VARCHAR NOT NULL, folder VARCHAR NOT NULL, rows_train BIGINT NOT NULL, rows_synthetic BIGINT NOT NULL,
    settings JSON NOT NULL, final_loss DOUBLE, seconds DOUBLE NOT NULL, created_at TIMESTAMP NOT NULL
);
CREATE TABLE predictions (
    model_id VARCHAR NOT NULL, subject_id VARCHAR NOT NULL, subject_kind VARCHAR NOT NULL, label VARCHAR NOT NULL,
    predicted VARCHAR NOT NULL, confidence DOUBLE NOT NULL, probabilities FLOAT[] NOT NULL,
    PRIMARY KEY (model_id, subject_id)
);
CREATE TABLE attacks (
    attack_id VARCHAR PRIMARY KEY, run_id VARCHAR NOT NULL, model_id VARCHAR NOT NULL, sample_id VARCHAR NOT NULL,
    split VARCHAR NOT NULL, recipe VARCHAR NOT NULL, status VARCHAR NOT NULL, fields JSON, label VARCHAR NOT NULL,
    predicted VARCHAR, confidence DOUBLE, original_predicted VARCHAR, original_confidence DOUBLE,
    queries BIGINT NOT NULL, words BIGINT NOT NULL, perturbed_words BIGINT, error VARCHAR, seconds DOUBLE NOT NULL
);
CREATE TABLE uus (
    uu_id VARCHAR PRIMARY KEY, run_id VARCHAR NOT NULL, round BIGINT NOT NULL, model_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL, recipe VARCHAR, sample_id VARCHAR NOT NULL, attack_id VARCHAR, fields JSON NOT NULL,
    label VARCHAR NOT NULL, predicted VARCHAR NOT NULL, confidence DOUBLE NOT NULL, selected BOOLEAN NOT NULL
);
CREATE TABLE hypotheses (
    hypothesis_id VARCHAR PRIMARY KEY, run_id VARCHAR NOT NULL, round BIGINT NOT NULL, uu_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL, parent_id VARCHAR, text VARCHAR NOT NULL, reasoning VARCHAR NOT NULL,
    teacher VARCHAR NOT NULL, call_id VARCHAR, created_at TIMESTAMP NOT NULL
);
CREATE TABLE synthetic_samples (
    synthetic_id VARCHAR PRIMARY KEY, run_id VARCHAR NOT NULL, round BIGINT NOT NULL, hypothesis_id VARCHAR NOT NULL,
    position BIGINT NOT NULL, fields JSON NOT NULL, label VARCHAR NOT NULL, reasoning VARCHAR NOT NULL,
    call_id VARCHAR, accepted BOOLEAN, rejected_by VARCHAR, verdicts JSON, scores JSON
);
CREATE TABLE teacher_calls (
    call_id VARCHAR PRIMARY KEY, run_id VARCHAR NOT NULL, round BIGINT NOT NULL, phase VARCHAR NOT NULL,
    uu_id VARCHAR NOT NULL, cache_key VARCHAR NOT NULL, teacher VARCHAR NOT NULL, prompt VARCHAR NOT NULL,
    prompt_hash VARCHAR NOT NULL, reply VARCHAR, model VARCHAR, tokens_in BIGINT NOT NULL, tokens_out BIGINT NOT NULL,
    cost_usd DOUBLE, latency_s DOUBLE NOT NULL, attempts BIGINT NOT NULL, cache_hit BOOLEAN NOT NULL, error VARCHAR,
    created_at TIMESTAMP NOT NULL
);
CREATE TABLE tool_calls (
    tool_call_id VARCHAR PRIMARY KEY, run_id VARCHAR NOT NULL, round BIGINT NOT NULL, tool VARCHAR NOT NULL,
    caller VARCHAR NOT NULL, arguments JSON NOT NULL, result JSON NOT NULL, seconds DOUBLE NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE TABLE evaluations (
    evaluation_id VARCHAR PRIMARY KEY, run_id VARCHAR NOT NULL, round BIGINT NOT NULL, model_id VARCHAR NOT NULL,
    baseline_id VARCHAR, metric VARCHAR NOT NULL, value DOUBLE NOT NULL, low DOUBLE, high DOUBLE, p_value DOUBLE,
    split VARCHAR NOT NULL, recipe VARCHAR, threshold DOUBLE, n BIGINT NOT NULL
);
CREATE TABLE events (
    event_id VARCHAR PRIMARY KEY, run_id VARCHAR NOT NULL, round BIGINT NOT NULL, "at" TIMESTAMP NOT NULL,
    phase VARCHAR NOT NULL, level VARCHAR NOT NULL, message VARCHAR NOT NULL
);
""")


def add_run_kind(connection: duckdb.DuckDBPyConnection) -> None:
    """Tell runs of `blindspot attack` from mitigation runs, which all runs were before there was one."""
    connection.execute("""
ALTER TABLE runs ADD COLUMN kind VARCHAR DEFAULT 'mitigation';
ALTER TABLE runs ALTER COLUMN kind SET NOT NULL;
""")


def add_teacher_tools(connection: duckdb.DuckDBPyConnection) -> None:
    """Make room for what a teacher does with tools of its own, and for comparisons of teachers."""
    connection.execute("""
ALTER TABLE hypotheses ADD COLUMN evidence JSON;
ALTER TABLE teacher_calls ADD COLUMN tool_uses JSON;
ALTER TABLE tool_calls ADD COLUMN uu_id VARCHAR;
CREATE TABLE teacher_comparisons (
    run_id VARCHAR NOT NULL, teacher VARCHAR NOT NULL, uus BIGINT NOT NULL, uus_skipped BIGINT NOT NULL,
    calls BIGINT NOT NULL, written BIGINT NOT NULL, accepted BIGINT NOT NULL, fooling BIGINT NOT NULL,
    near_duplicates BIGINT NOT NULL, tokens_in BIGINT NOT NULL, tokens_out BIGINT NOT NULL, cost_usd DOUBLE,
    latency_s DOUBLE, PRIMARY KEY (run_id, teacher)
);
""")


def add_cleared(connection: duckdb.DuckDBPyConnection) -> None:
    """Let answers be taken out of the cache that stay as history."""
    connection.execute("""
ALTER TABLE teacher_calls ADD COLUMN cleared BOOLEAN DEFAULT false;
ALTER TABLE teacher_calls ALTER COLUMN cleared SET NOT NULL;
""")


def add_studies(connection: duckdb.DuckDBPyConnection) -> None:
    """Make room for baselines, for studies that compare them, and for blind spots that close or open."""
    connection.execute("""
ALTER TABLE runs ADD COLUMN method VARCHAR DEFAULT 'teacher';
ALTER TABLE runs ALTER COLUMN method SET NOT NULL;
ALTER TABLE runs ADD COLUMN study_id VARCHAR;
ALTER TABLE runs ADD COLUMN origin_id VARCHAR;
ALTER TABLE model_versions ADD COLUMN temperature DOUBLE DEFAULT 1;
ALTER TABLE model_versions ALTER COLUMN temperature SET NOT NULL;
ALTER TABLE synthetic_samples ALTER COLUMN hypothesis_id DROP NOT NULL;
ALTER TABLE synthetic_samples ADD COLUMN origin VARCHAR DEFAULT 'teacher';
ALTER TABLE synthetic_samples ALTER COLUMN origin SET NOT NULL;
ALTER TABLE synthetic_samples ADD COLUMN source_id VARCHAR;
CREATE TABLE blind_spots (
    run_id VARCHAR NOT NULL, round BIGINT NOT NULL, number BIGINT NOT NULL, words VARCHAR[] NOT NULL,
    uus_before BIGINT NOT NULL, uus_after BIGINT NOT NULL, fixed BIGINT NOT NULL, "new" BIGINT NOT NULL,
    status VARCHAR NOT NULL, p_value DOUBLE NOT NULL, PRIMARY KEY (run_id, round, number)
);
CREATE TABLE studies (
    study_id VARCHAR PRIMARY KEY, name VARCHAR NOT NULL, status VARCHAR NOT NULL, settings JSON NOT NULL,
    started_at TIMESTAMP NOT NULL, finished_at TIMESTAMP
);
CREATE TABLE study_figures (
    study_id VARCHAR NOT NULL, dataset VARCHAR NOT NULL, classifier VARCHAR NOT NULL, recipe VARCHAR NOT NULL,
    method VARCHAR NOT NULL, metric VARCHAR NOT NULL, threshold DOUBLE NOT NULL, baseline VARCHAR NOT NULL,
    value DOUBLE NOT NULL, std DOUBLE, low DOUBLE, high DOUBLE, seeds BIGINT NOT NULL, n BIGINT NOT NULL,
    PRIMARY KEY (study_id, dataset, classifier, recipe, method, metric, threshold, baseline)
);
""")


def add_changed_words(connection: duckdb.DuckDBPyConnection) -> None:
    """Make room for the words that attacks changed, with their parts of speech."""
    connection.execute("""
CREATE TABLE changed_words (
    attack_id VARCHAR NOT NULL, number BIGINT NOT NULL, run_id VARCHAR NOT NULL, field VARCHAR NOT NULL,
    position BIGINT NOT NULL, before VARCHAR NOT NULL, "after" VARCHAR NOT NULL, part_of_speech VARCHAR,
    PRIMARY KEY (attack_id, number)
);
""")


def mend_run_cost(connection: duckdb.DuckDBPyConnection) -> None:
    """Change no table: the views are made again after the last migration, and `run_cost` counted runs under way."""


def rename_event_time(connection: duckdb.DuckDBPyConnection) -> None:
    """Name the time of an event by no word of SQL's own; the view `event_log` keeps the old name."""
    connection.execute('ALTER TABLE events RENAME COLUMN "at" TO happened_at')


def add_distinct_hypotheses(connection: duckdb.DuckDBPyConnection) -> None:
    """Change no table: with the views made anew comes `distinct_hypotheses`."""


def add_programs(connection: duckdb.DuckDBPyConnection) -> None:
    """Make room for hypotheses as programs, and for the tests of them."""
    connection.execute("""
CREATE TABLE programs (
    program_id VARCHAR PRIMARY KEY, run_id VARCHAR NOT NULL, round BIGINT NOT NULL, hypothesis_id VARCHAR,
    position BIGINT NOT NULL, origin VARCHAR NOT NULL, text VARCHAR NOT NULL, program JSON, problem VARCHAR,
    same_as_id VARCHAR, revised_from_id VARCHAR, call_id VARCHAR
);
CREATE TABLE program_tests (
    program_id VARCHAR NOT NULL, model_id VARCHAR NOT NULL, run_id VARCHAR NOT NULL, round BIGINT NOT NULL,
    rows BIGINT NOT NULL, applied BIGINT NOT NULL, uus_without BIGINT NOT NULL, uus_with BIGINT NOT NULL,
    effect DOUBLE NOT NULL, low DOUBLE NOT NULL, high DOUBLE NOT NULL, p_value DOUBLE NOT NULL,
    p_adjusted DOUBLE NOT NULL, verdict VARCHAR NOT NULL, elsewhere BIGINT NOT NULL, right_elsewhere BIGINT NOT NULL,
    PRIMARY KEY (program_id, model_id)
);
ALTER TABLE synthetic_samples ADD COLUMN program_id VARCHAR;
""")


def add_judgements(connection: duckdb.DuckDBPyConnection) -> None:
    """Make room for the labels of a second judge."""
    connection.execute("""
CREATE TABLE judgements (
    judgement_id VARCHAR PRIMARY KEY, run_id VARCHAR NOT NULL, round BIGINT NOT NULL, judge VARCHAR NOT NULL,
    kind VARCHAR NOT NULL, subject_id VARCHAR NOT NULL, fields JSON NOT NULL, label VARCHAR NOT NULL,
    judged VARCHAR, call_id VARCHAR, created_at TIMESTAMP NOT NULL
);
""")


MIGRATIONS: Sequence[Migration] = (
    create_tables,
    add_run_kind,
    add_teacher_tools,
    add_cleared,
    add_studies,
    add_changed_words,
    mend_run_cost,
    rename_event_time,
    add_distinct_hypotheses,
    add_programs,
    add_judgements,
)


def migrate(connection: duckdb.DuckDBPyConnection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring a store up to the newest version, each step in a transaction together with the note of it.

    Raises: StoreError, when a newer blindspot has written the store.
    """
    with transaction(connection):
        connection.execute(NOTES)
        ((version,),) = connection.execute("SELECT coalesce(max(number), 0) FROM _migrations").fetchall()
    if version > len(migrations):
        raise StoreError(
            f"{path} has version {version}, written by a newer blindspot; this one knows versions up to "
            f"{len(migrations)}: upgrade blindspot, or choose another workspace"
        )
    for number, migration in enumerate(migrations[version:], start=version + 1):
        with transaction(connection):
            migration(connection)
            if number == len(migrations):
                describe_schema(connection)
            connection.execute("INSERT INTO _migrations VALUES (?, ?, ?)", [number, migration.__name__, now()])


def describe_schema(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the views again, and say of every table, view and column what it holds."""
    statements = []
    for table, (comment, columns) in COMMENTS.items():
        statements += comments_on("TABLE", table, comment, columns)
    for view in VIEWS:
        statements.append(f"CREATE OR REPLACE VIEW {view.name} AS {view.sql}")
        statements += comments_on("VIEW", view.name, view.comment, view.columns)
    connection.execute(";\n".join(statements))


def comments_on(kind: str, name: str, comment: str, columns: dict[str, str]) -> list[str]:
    """The statements that describe a table or view and its columns."""
    return [f"COMMENT ON {kind} {name} IS {literal(comment)}"] + [
        f'COMMENT ON COLUMN {name}."{column}" IS {literal(text)}' for column, text in columns.items()
    ]
