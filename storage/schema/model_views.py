"""The views of what model versions say, and of how attacks on them went."""

from __future__ import annotations

from blindspot.storage.schema.uu import is_adversarial_uu, is_uu
from blindspot.storage.schema.view import View

# Each table of texts is joined to the predictions of its own kind alone: two thirds of the work of joins to all.
BINNED = """least(floor(p.confidence * 20), 19) AS bin, count(*) AS predictions,
           count(*) FILTER (p.predicted = p.label) AS correct"""

CONFIDENCE_HISTOGRAM = View(
    "confidence_histogram",
    "How confident each model version is, right and wrong, in 20 bins of equal width.",
    {
        "run_id": "The run that made the model version.",
        "model_id": "The model version (model_versions).",
        "round": "The round that made it, 0 for the original.",
        "subject_kind": "Which texts: sample, attack (perturbed) or synthetic.",
        "split": "Their split; empty for synthetic samples.",
        "recipe": "The attack that perturbed them; empty for others.",
        "bin_low": "Lower end of the bin of confidence, in the bin.",
        "bin_high": "Upper end of the bin, not in it, save for 1.",
        "predictions": "Predictions in the bin.",
        "correct": "How many of them are right.",
        "wrong": "How many of them are wrong.",
    },
    f"""
WITH counted AS (
    SELECT p.model_id, 'sample' AS subject_kind, s.split, CAST(NULL AS VARCHAR) AS recipe, {BINNED}
    FROM predictions p LEFT JOIN samples s ON s.sample_id = p.subject_id
    WHERE p.subject_kind = 'sample' GROUP BY ALL
    UNION ALL
    SELECT p.model_id, 'attack', a.split, a.recipe, {BINNED}
    FROM predictions p LEFT JOIN attacks a ON a.attack_id = p.subject_id
    WHERE p.subject_kind = 'attack' GROUP BY ALL
    UNION ALL
    SELECT p.model_id, p.subject_kind, NULL, NULL, {BINNED}
    FROM predictions p WHERE p.subject_kind NOT IN ('sample', 'attack') GROUP BY ALL
)
SELECT m.run_id, c.model_id, m.round, c.subject_kind, c.split, c.recipe, c.bin / 20 AS bin_low,
       (c.bin + 1) / 20 AS bin_high, c.predictions, c.correct, c.predictions - c.correct AS wrong
FROM counted c LEFT JOIN model_versions m ON m.model_id = c.model_id
""",
)

ATTACK_STATISTICS = View(
    "attack_statistics",
    "Every attack on every model version: how it went, and the usual statistics once they are computed.",
    {
        "run_id": "The run that made the model version; others that begin with it attack it no second time.",
        "model_id": "The model version under attack (model_versions).",
        "split": "The split the samples are from.",
        "recipe": "Which attack.",
        "samples": "Samples it was run on.",
        "flipped": "Samples whose predicted label it flipped.",
        "failed": "Samples that stood firm.",
        "skipped": "Samples that were wrong before the attack.",
        "errors": "Samples it could not be run on.",
        "queries": "Queries to the model version, all samples together.",
        "seconds": "Seconds of work, all samples together.",
        "uus": "Adversarial UUs: samples flipped with a confidence of at least the run's tau.",
        "natural_uus": "Natural UUs among the samples: skipped, as they were wrong with that confidence already.",
        "original_accuracy": "Accuracy before the attack.",
        "accuracy_under_attack": "Accuracy after it.",
        "attack_success_rate": "Flipped samples as a share of those that were right before.",
        "perturbed_words": "Changed words as a share of a flipped sample's words, on average.",
        "words_per_input": "Words in a sample, on average.",
        "queries_per_sample": "Queries for a sample, on average.",
    },
    f"""
WITH counts AS (
    SELECT run_id, model_id, split, recipe, count(*) AS samples, count(*) FILTER (status = 'flipped') AS flipped,
           count(*) FILTER (status = 'failed') AS failed, count(*) FILTER (status = 'skipped') AS skipped,
           count(*) FILTER (status = 'error') AS errors, CAST(sum(queries) AS BIGINT) AS queries,
           sum(seconds) AS seconds,
           count(*) FILTER ({is_adversarial_uu("t", "tau")}) AS uus,
           count(*) FILTER (status = 'skipped' AND {is_uu("t", "tau", before="original_")}) AS natural_uus
    FROM (SELECT a.*, r.tau FROM attacks a LEFT JOIN runs r ON r.run_id = a.run_id) t
    GROUP BY run_id, model_id, split, recipe
), figures AS (
    SELECT model_id, split, recipe,
           arg_max(value, round) FILTER (metric = 'original_accuracy') AS original_accuracy,
           arg_max(value, round) FILTER (metric = 'accuracy_under_attack') AS accuracy_under_attack,
           arg_max(value, round) FILTER (metric = 'attack_success_rate') AS attack_success_rate,
           arg_max(value, round) FILTER (metric = 'perturbed_words') AS perturbed_words,
           arg_max(value, round) FILTER (metric = 'words_per_input') AS words_per_input,
           arg_max(value, round) FILTER (metric = 'queries_per_sample') AS queries_per_sample
    FROM evaluations WHERE baseline_id IS NULL AND recipe IS NOT NULL
    GROUP BY model_id, split, recipe
)
SELECT c.*, f.* EXCLUDE (model_id, split, recipe)
FROM counts c LEFT JOIN figures f ON f.model_id = c.model_id AND f.split = c.split AND f.recipe = c.recipe
""",
)
