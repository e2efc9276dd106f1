"""The views: the questions analysts ask most, answered in SQL."""

from __future__ import annotations

from dataclasses import dataclass

RUN = "The run."
ROUND = "The round, from 1."


@dataclass(frozen=True, slots=True)
class View:
    """A view with what it and its columns (in order) hold, in plain words."""

    name: str
    comment: str
    columns: dict[str, str]
    sql: str


HYPOTHESIS_LOG = View(
    "hypothesis_log",
    "Every hypothesis with the UU it explains and what was written after it.",
    {
        "run_id": RUN,
        "round": ROUND,
        "hypothesis_id": "The hypothesis (hypotheses).",
        "kind": "abstraction (of this blind spot) or extrapolation (to an unseen one).",
        "text": "The hypothesis in the teacher's words.",
        "reasoning": "How the teacher came to it.",
        "teacher": "Who stated it, as a spec.",
        "uu_id": "The UU it explains (uus).",
        "uu_kind": "natural or adversarial.",
        "recipe": "The attack that found the UU; empty for natural UUs.",
        "original": "The sample before any attack, as JSON: field name -> text.",
        "perturbed": "The text after the attack, as JSON; empty for natural UUs.",
        "label": "The true label.",
        "predicted": "The wrong label that was predicted.",
        "confidence": "How confident the model version was of it, in [0, 1].",
        "samples_written": "Synthetic samples written after the hypothesis.",
        "samples_accepted": "How many of them passed the filter.",
    },
    """
SELECT h.run_id, h.round, h.hypothesis_id, h.kind, h.text, h.reasoning, h.teacher, h.uu_id, u.kind AS uu_kind,
       u.recipe, s.fields AS original, CASE WHEN u.kind = 'adversarial' THEN u.fields END AS perturbed,
       u.label, u.predicted, u.confidence,
       coalesce(w.written, 0) AS samples_written, coalesce(w.accepted, 0) AS samples_accepted
FROM hypotheses h
LEFT JOIN uus u ON u.uu_id = h.uu_id
LEFT JOIN samples s ON s.sample_id = u.sample_id
LEFT JOIN (
    SELECT hypothesis_id, count(*) AS written, count(*) FILTER (accepted) AS accepted
    FROM synthetic_samples GROUP BY hypothesis_id
) w ON w.hypothesis_id = h.hypothesis_id
ORDER BY h.run_id, h.round, h.uu_id, h.kind
""",
)

# A model version that is kept is measured again in later rounds, with the same outcome: the latest figure stands.
FIGURES = """
WITH figures AS (
    SELECT run_id, model_id, metric, recipe, threshold, arg_max(value, round) AS value, arg_max(n, round) AS n
    FROM evaluations WHERE baseline_id IS NULL AND split = 'test'
    GROUP BY run_id, model_id, metric, recipe, threshold
)"""

ROUND_SUMMARY = View(
    "round_summary",
    "Every round in one row: what it measured before and after, what the teacher wrote, what it cost.",
    {
        "run_id": RUN,
        "round": ROUND,
        "model_id": "The model version the round started with (model_versions).",
        "new_model_id": "The model version it trained (model_versions).",
        "accepted": "Whether the new model version replaces the old one; empty until decided.",
        "verdict": "Why, in words and numbers.",
        "accuracy_before": "Accuracy on the clean test split of the model version the round started with.",
        "accuracy_after": "The same of the new model version.",
        "uus_before": "UUs on the test split at the run's tau of the starting model version: recipe -> count.",
        "uus_after": "The same of the new model version.",
        "hypotheses": "Hypotheses stated.",
        "samples_written": "Synthetic samples written.",
        "samples_accepted": "Synthetic samples that passed the filter.",
        "teacher_calls": "Questions to the teacher, answers out of the cache included.",
        "tokens_in": "Tokens of the questions that were paid for.",
        "tokens_out": "Tokens of the answers that were paid for.",
        "cost_usd": "What the round's calls cost, US dollars; calls without a known price are left out.",
    },
    f"""{FIGURES}, uus_at_tau AS (
    SELECT f.run_id, f.model_id, map(list(f.recipe ORDER BY f.recipe),
                                     list(CAST(f.value AS BIGINT) ORDER BY f.recipe)) AS uus
    FROM figures f JOIN runs r ON r.run_id = f.run_id
    WHERE f.metric = 'uus' AND f.recipe IS NOT NULL AND abs(f.threshold - r.tau) < 1e-9
    GROUP BY f.run_id, f.model_id
), accuracies AS (
    SELECT run_id, model_id, value FROM figures WHERE metric = 'accuracy' AND recipe IS NULL
), stated AS (
    SELECT run_id, round, count(*) AS hypotheses FROM hypotheses GROUP BY run_id, round
), written AS (
    SELECT run_id, round, count(*) AS written, count(*) FILTER (accepted) AS accepted
    FROM synthetic_samples GROUP BY run_id, round
), spent AS (
    SELECT run_id, round, count(*) AS calls, coalesce(sum(tokens_in) FILTER (NOT cache_hit), 0) AS tokens_in,
           coalesce(sum(tokens_out) FILTER (NOT cache_hit), 0) AS tokens_out,
           sum(CASE WHEN cache_hit THEN 0 ELSE cost_usd END) AS cost_usd
    FROM teacher_calls GROUP BY run_id, round
)
SELECT r.run_id, r.round, r.model_id, r.new_model_id, r.accepted, r.verdict,
       a.value AS accuracy_before, b.value AS accuracy_after, u.uus AS uus_before, v.uus AS uus_after,
       coalesce(h.hypotheses, 0) AS hypotheses, coalesce(w.written, 0) AS samples_written,
       coalesce(w.accepted, 0) AS samples_accepted, coalesce(s.calls, 0) AS teacher_calls,
       CAST(coalesce(s.tokens_in, 0) AS BIGINT) AS tokens_in, CAST(coalesce(s.tokens_out, 0) AS BIGINT) AS tokens_out,
       CASE WHEN s.calls IS NULL THEN 0 ELSE s.cost_usd END AS cost_usd
FROM rounds r
LEFT JOIN accuracies a ON a.run_id = r.run_id AND a.model_id = r.model_id
LEFT JOIN accuracies b ON b.run_id = r.run_id AND b.model_id = r.new_model_id
LEFT JOIN uus_at_tau u ON u.run_id = r.run_id AND u.model_id = r.model_id
LEFT JOIN uus_at_tau v ON v.run_id = r.run_id AND v.model_id = r.new_model_id
LEFT JOIN stated h ON h.run_id = r.run_id AND h.round = r.round
LEFT JOIN written w ON w.run_id = r.run_id AND w.round = r.round
LEFT JOIN spent s ON s.run_id = r.run_id AND s.round = r.round
ORDER BY r.run_id, r.round
""",
)

UU_REDUCTION = View(
    "uu_reduction",
    "UUs on the test split before and after every round, for each attack and each threshold.",
    {
        "run_id": RUN,
        "round": ROUND,
        "recipe": "The attack the texts went through.",
        "threshold": "Confidence from which a wrong prediction counts.",
        "model_id": "The model version the round started with (model_versions).",
        "new_model_id": "The model version it trained; empty until then.",
        "uus_before": "UUs of the starting model version.",
        "uus_after": "UUs of the new model version.",
        "difference": "After minus before: below zero is better.",
        "difference_low": "Lower end of the difference's 95 % interval.",
        "difference_high": "Upper end of the difference's 95 % interval.",
        "reduction_percent": "By how much UUs fell, as a percentage of before; below zero where they rose.",
        "n": "How many texts were counted over.",
    },
    f"""{FIGURES}, uu_figures AS (
    SELECT run_id, model_id, recipe, threshold, CAST(value AS BIGINT) AS uus, n FROM figures WHERE metric = 'uus'
), differences AS (
    SELECT run_id, model_id, baseline_id, recipe, threshold, arg_max(low, round) AS low, arg_max(high, round) AS high
    FROM evaluations WHERE baseline_id IS NOT NULL AND metric = 'uus' AND split = 'test'
    GROUP BY run_id, model_id, baseline_id, recipe, threshold
)
SELECT r.run_id, r.round, b.recipe, b.threshold, r.model_id, r.new_model_id, b.uus AS uus_before, a.uus AS uus_after,
       a.uus - b.uus AS difference, d.low AS difference_low, d.high AS difference_high,
       100 * (b.uus - a.uus) / nullif(b.uus, 0) AS reduction_percent, b.n
FROM rounds r
JOIN uu_figures b ON b.run_id = r.run_id AND b.model_id = r.model_id
LEFT JOIN uu_figures a ON a.run_id = r.run_id AND a.model_id = r.new_model_id
    AND a.recipe IS NOT DISTINCT FROM b.recipe AND a.threshold IS NOT DISTINCT FROM b.threshold
LEFT JOIN differences d ON d.run_id = r.run_id AND d.model_id = r.new_model_id AND d.baseline_id = r.model_id
    AND d.recipe IS NOT DISTINCT FROM b.recipe AND d.threshold IS NOT DISTINCT FROM b.threshold
ORDER BY r.run_id, r.round, b.recipe NULLS FIRST, b.threshold
""",
)

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
    """
SELECT m.run_id, p.model_id, m.round, p.subject_kind, coalesce(s.split, a.split) AS split, a.recipe,
       p.bin / 20 AS bin_low, (p.bin + 1) / 20 AS bin_high, count(*) AS predictions,
       count(*) FILTER (p.predicted = p.label) AS correct, count(*) FILTER (p.predicted <> p.label) AS wrong
FROM (SELECT *, least(floor(confidence * 20), 19) AS bin FROM predictions) p
LEFT JOIN model_versions m ON m.model_id = p.model_id
LEFT JOIN samples s ON p.subject_kind = 'sample' AND s.sample_id = p.subject_id
LEFT JOIN attacks a ON p.subject_kind = 'attack' AND a.attack_id = p.subject_id
GROUP BY ALL
""",
)

ATTACK_STATISTICS = View(
    "attack_statistics",
    "Every attack on every model version: how it went, and the usual statistics once they are computed.",
    {
        "run_id": RUN,
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
    """
WITH counts AS (
    SELECT run_id, model_id, split, recipe, count(*) AS samples, count(*) FILTER (status = 'flipped') AS flipped,
           count(*) FILTER (status = 'failed') AS failed, count(*) FILTER (status = 'skipped') AS skipped,
           count(*) FILTER (status = 'error') AS errors, CAST(sum(queries) AS BIGINT) AS queries,
           sum(seconds) AS seconds,
           count(*) FILTER (status = 'flipped' AND confidence >= tau) AS uus,
           count(*) FILTER (status = 'skipped' AND original_confidence >= tau) AS natural_uus
    FROM (SELECT a.*, r.tau FROM attacks a LEFT JOIN runs r ON r.run_id = a.run_id)
    GROUP BY run_id, model_id, split, recipe
), figures AS (
    SELECT run_id, model_id, split, recipe,
           arg_max(value, round) FILTER (metric = 'original_accuracy') AS original_accuracy,
           arg_max(value, round) FILTER (metric = 'accuracy_under_attack') AS accuracy_under_attack,
           arg_max(value, round) FILTER (metric = 'attack_success_rate') AS attack_success_rate,
           arg_max(value, round) FILTER (metric = 'perturbed_words') AS perturbed_words,
           arg_max(value, round) FILTER (metric = 'words_per_input') AS words_per_input,
           arg_max(value, round) FILTER (metric = 'queries_per_sample') AS queries_per_sample
    FROM evaluations WHERE baseline_id IS NULL AND recipe IS NOT NULL
    GROUP BY run_id, model_id, split, recipe
)
SELECT c.*, f.* EXCLUDE (run_id, model_id, split, recipe)
FROM counts c LEFT JOIN figures f
    ON f.run_id = c.run_id AND f.model_id = c.model_id AND f.split = c.split AND f.recipe = c.recipe
""",
)

TEACHER_SPEND = View(
    "teacher_spend",
    "What the teacher was asked and what it cost, for each round and phase.",
    {
        "run_id": RUN,
        "round": ROUND,
        "phase": "abstract, extrapolate, generate or decide.",
        "teacher": "Who was asked, as a spec.",
        "model": "The model that answered, as its provider names it.",
        "calls": "Questions, answers out of the cache included.",
        "cache_hits": "Answers that came from the cache and cost nothing.",
        "failed": "Questions without an answer.",
        "tokens_in": "Tokens of the questions that were paid for.",
        "tokens_out": "Tokens of the answers that were paid for.",
        "cost_usd": "US dollars; calls without a known price are left out.",
        "unpriced": "Calls that were made and whose price is not known.",
        "mean_latency_s": "Seconds from question to answer, on average, without those out of the cache.",
    },
    """
SELECT run_id, round, phase, teacher, model, count(*) AS calls, count(*) FILTER (cache_hit) AS cache_hits,
       count(*) FILTER (error IS NOT NULL) AS failed,
       CAST(coalesce(sum(tokens_in) FILTER (NOT cache_hit), 0) AS BIGINT) AS tokens_in,
       CAST(coalesce(sum(tokens_out) FILTER (NOT cache_hit), 0) AS BIGINT) AS tokens_out,
       sum(CASE WHEN cache_hit THEN 0 ELSE cost_usd END) AS cost_usd,
       count(*) FILTER (NOT cache_hit AND cost_usd IS NULL) AS unpriced,
       avg(latency_s) FILTER (NOT cache_hit) AS mean_latency_s
FROM teacher_calls GROUP BY run_id, round, phase, teacher, model
""",
)

RUN_COST = View(
    "run_cost",
    "Every run with a teacher: what it paid in all, and for each UU that its final model version has less.",
    {
        "run_id": RUN,
        "teacher": "The run's teacher, as a spec.",
        "calls": "Questions that were put to it, answers out of the cache left out.",
        "cache_hits": "Answers that came from the cache and cost nothing.",
        "tokens_in": "Tokens of the questions.",
        "tokens_out": "Tokens of the answers.",
        "cost_usd": "US dollars; calls without a known price are left out, requests that may have been billed are in.",
        "unpriced": "Answers whose price is not known.",
        "uus_before": "UUs on the test split at the run's tau of the original model version, all attacks together.",
        "uus_after": "The same of the final model version.",
        "uus_removed": "How many fewer that is; empty until both are measured.",
        "usd_per_uu_removed": "US dollars for each of them; empty where there are none or a price is not known.",
        "calls_per_uu_removed": "Calls for each of them; empty where there are none.",
    },
    f"""{FIGURES}, at_tau AS (
    SELECT r.run_id, f.model_id, arg_min(f.value, f.recipe IS NULL) AS uus
    FROM figures f JOIN runs r ON r.run_id = f.run_id
    WHERE f.metric = 'uus' AND (f.recipe = 'all' OR f.recipe IS NULL) AND abs(f.threshold - r.tau) < 1e-9
    GROUP BY r.run_id, f.model_id
), spent AS (
    SELECT run_id, count(*) FILTER (NOT cache_hit) AS calls, count(*) FILTER (cache_hit) AS cache_hits,
           CAST(coalesce(sum(tokens_in) FILTER (NOT cache_hit), 0) AS BIGINT) AS tokens_in,
           CAST(coalesce(sum(tokens_out) FILTER (NOT cache_hit), 0) AS BIGINT) AS tokens_out,
           sum(cost_usd) FILTER (NOT cache_hit) AS cost_usd,
           count(*) FILTER (NOT cache_hit AND reply IS NOT NULL AND cost_usd IS NULL) AS unpriced
    FROM teacher_calls GROUP BY run_id
), removed AS (
    SELECT r.run_id, CAST(a.uus AS BIGINT) AS uus_before, CAST(b.uus AS BIGINT) AS uus_after,
           CAST(a.uus - b.uus AS BIGINT) AS uus_removed
    FROM runs r JOIN at_tau a ON a.run_id = r.run_id AND a.model_id = r.original_model_id
    LEFT JOIN at_tau b ON b.run_id = r.run_id AND b.model_id = r.final_model_id
)
SELECT r.run_id, r.teacher, coalesce(s.calls, 0) AS calls, coalesce(s.cache_hits, 0) AS cache_hits,
       coalesce(s.tokens_in, 0) AS tokens_in, coalesce(s.tokens_out, 0) AS tokens_out, s.cost_usd,
       coalesce(s.unpriced, 0) AS unpriced, u.uus_before, u.uus_after, u.uus_removed,
       CASE WHEN u.uus_removed > 0 AND s.unpriced = 0 THEN s.cost_usd / u.uus_removed END AS usd_per_uu_removed,
       CASE WHEN u.uus_removed > 0 THEN coalesce(s.calls, 0) / u.uus_removed END AS calls_per_uu_removed
FROM runs r
LEFT JOIN spent s ON s.run_id = r.run_id
LEFT JOIN removed u ON u.run_id = r.run_id
WHERE r.teacher <> 'none'
""",
)

LINEAGE = View(
    "lineage",
    "From every UU to the hypotheses about it, the samples written after them, and whether training fixed it.",
    {
        "run_id": RUN,
        "round": "The round that found the UU.",
        "uu_id": "The UU (uus).",
        "uu_kind": "natural or adversarial.",
        "recipe": "The attack that found it; empty for natural UUs.",
        "sample_id": "The sample it is, or was made from (samples).",
        "attack_id": "The attack that made it (attacks); empty for natural UUs.",
        "selected": "Whether it was shown to the teacher.",
        "hypothesis_id": "A hypothesis about it (hypotheses); empty where there is none.",
        "hypothesis_kind": "abstraction or extrapolation.",
        "synthetic_id": "A synthetic sample written after the hypothesis (synthetic_samples).",
        "accepted": "Whether that sample passed the filter.",
        "new_model_id": "The model version the round trained (model_versions).",
        "predicted_after": "What the new model version says of the UU's text; empty where it was not asked.",
        "confidence_after": "How confident it is of that, in [0, 1].",
        "fixed": "Whether the new model version gets the UU's text right; empty where it was not asked.",
    },
    """
SELECT u.run_id, u.round, u.uu_id, u.kind AS uu_kind, u.recipe, u.sample_id, u.attack_id, u.selected,
       h.hypothesis_id, h.kind AS hypothesis_kind, y.synthetic_id, y.accepted, r.new_model_id,
       p.predicted AS predicted_after, p.confidence AS confidence_after, p.predicted = u.label AS fixed
FROM uus u
LEFT JOIN hypotheses h ON h.uu_id = u.uu_id
LEFT JOIN synthetic_samples y ON y.hypothesis_id = h.hypothesis_id
LEFT JOIN rounds r ON r.run_id = u.run_id AND r.round = u.round
LEFT JOIN predictions p ON p.model_id = r.new_model_id AND p.subject_id = coalesce(u.attack_id, u.sample_id)
""",
)

VIEWS = (
    HYPOTHESIS_LOG,
    ROUND_SUMMARY,
    UU_REDUCTION,
    CONFIDENCE_HISTOGRAM,
    ATTACK_STATISTICS,
    TEACHER_SPEND,
    RUN_COST,
    LINEAGE,
)
