"""The views of what teachers wrote, what came of it and what it cost."""

from __future__ import annotations

from blindspot.storage.schema.statement import examples_of, statement_of
from blindspot.storage.schema.view import FIGURES, ROUND, RUN, View

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
        "programs": "Programs that state it, including those that could not be run.",
        "verdict": "What testing them on the round's model version showed: confirmed where one was confirmed, else "
        "invalid, else refuted, else not applicable; empty where none was tested.",
        "effect": "The largest difference that one of them made: share of UUs with it minus without it, in [-1, 1].",
        "after": "The same hypothesis on the retrained model version: closed, half closed or open; empty where it was "
        "not confirmed.",
    },
    """
SELECT h.run_id, h.round, h.hypothesis_id, h.kind, h.text, h.reasoning, h.teacher, h.uu_id, u.kind AS uu_kind,
       u.recipe, s.fields AS original, CASE WHEN u.kind = 'adversarial' THEN u.fields END AS perturbed,
       u.label, u.predicted, u.confidence,
       coalesce(w.written, 0) AS samples_written, coalesce(w.accepted, 0) AS samples_accepted,
       coalesce(p.programs, 0) AS programs, p.verdict, p.effect, p.after
FROM hypotheses h
LEFT JOIN uus u ON u.uu_id = h.uu_id
LEFT JOIN samples s ON s.sample_id = u.sample_id
LEFT JOIN (
    SELECT hypothesis_id, count(*) AS written, count(*) FILTER (accepted) AS accepted
    FROM synthetic_samples GROUP BY hypothesis_id
) w ON w.hypothesis_id = h.hypothesis_id
LEFT JOIN (
    SELECT g.hypothesis_id, count(DISTINCT g.program_id) AS programs,
           CASE WHEN count(*) FILTER (t.verdict = 'confirmed') > 0 THEN 'confirmed'
                WHEN count(*) FILTER (t.verdict = 'invalid') > 0 THEN 'invalid'
                WHEN count(*) FILTER (t.verdict = 'refuted') > 0 THEN 'refuted'
                WHEN count(*) FILTER (t.verdict = 'not applicable') > 0 THEN 'not applicable' END AS verdict,
           max(t.effect) FILTER (t.verdict IN ('confirmed', 'invalid', 'refuted')) AS effect,
           CASE WHEN count(*) FILTER (t.verdict = 'open') > 0 THEN 'open'
                WHEN count(*) FILTER (t.verdict = 'half closed') > 0 THEN 'half closed'
                WHEN count(*) FILTER (t.verdict = 'closed') > 0 THEN 'closed' END AS after
    FROM programs g LEFT JOIN program_tests t ON t.program_id = coalesce(g.same_as_id, g.program_id)
    GROUP BY g.hypothesis_id
) p ON p.hypothesis_id = h.hypothesis_id
ORDER BY h.run_id, h.round, h.uu_id, h.kind
""",
)

DISTINCT_HYPOTHESES = View(
    "distinct_hypotheses",
    "What a run's teacher stated, each statement once: hypotheses that differ only in what they quote are merged.",
    {
        "run_id": RUN,
        "teacher": "Who stated it, as a spec.",
        "kind": "abstraction (of a blind spot) or extrapolation (to an unseen one).",
        "statement": "What all of them say, in lower case, without punctuation, quotations replaced by ….",
        "text": "One of them, the first, in the teacher's words.",
        "examples": "What they quote as examples, the most frequent first.",
        "hypotheses": "How many hypotheses say this (hypotheses).",
        "uus": "UUs that they explain.",
        "uus_fixed": "How many of these the new model version of their round gets right; empty where it was not asked.",
        "samples_written": "Synthetic samples written after them.",
        "samples_accepted": "How many of them passed the filter.",
        "rounds": "The rounds in which it was stated.",
        "uu_ids": "The UUs (uus).",
    },
    f"""
WITH stated AS (
    SELECT h.run_id, h.teacher, h.kind, {statement_of("h.text")} AS statement, h.text,
           {examples_of("h.text")} AS quoted, h.round, h.uu_id, p.predicted = u.label AS fixed, w.written, w.accepted
    FROM hypotheses h
    LEFT JOIN uus u ON u.uu_id = h.uu_id
    LEFT JOIN rounds r ON r.run_id = h.run_id AND r.round = h.round
    LEFT JOIN predictions p ON p.model_id = r.new_model_id AND p.subject_id = coalesce(u.attack_id, u.sample_id)
    LEFT JOIN (
        SELECT hypothesis_id, count(*) AS written, count(*) FILTER (accepted) AS accepted
        FROM synthetic_samples GROUP BY hypothesis_id
    ) w ON w.hypothesis_id = h.hypothesis_id
), examples AS (
    SELECT run_id, teacher, kind, statement, list(example ORDER BY times DESC, example) AS examples
    FROM (
        SELECT run_id, teacher, kind, statement, example, count(*) AS times
        FROM (SELECT run_id, teacher, kind, statement, unnest(quoted) AS example FROM stated) GROUP BY ALL
    ) GROUP BY ALL
)
SELECT s.run_id, s.teacher, s.kind, s.statement, arg_min(s.text, (s.round, s.uu_id)) AS text,
       coalesce(any_value(e.examples), []) AS examples, count(*) AS hypotheses, count(DISTINCT s.uu_id) AS uus,
       CASE WHEN count(s.fixed) > 0 THEN count(DISTINCT s.uu_id) FILTER (s.fixed) END AS uus_fixed,
       CAST(coalesce(sum(s.written), 0) AS BIGINT) AS samples_written,
       CAST(coalesce(sum(s.accepted), 0) AS BIGINT) AS samples_accepted,
       list(DISTINCT s.round ORDER BY s.round) AS rounds, list(DISTINCT s.uu_id ORDER BY s.uu_id) AS uu_ids
FROM stated s LEFT JOIN examples e USING (run_id, teacher, kind, statement)
GROUP BY s.run_id, s.teacher, s.kind, s.statement
ORDER BY s.run_id, s.teacher, uus DESC, s.kind, s.statement
""",
)

PROGRAM_LOG = View(
    "program_log",
    "Every program with the hypothesis it states, its test before and after retraining, and the rows it gave.",
    {
        "run_id": RUN,
        "round": ROUND,
        "program_id": "The program (programs).",
        "origin": "Who wrote it: teacher, rules, file (a person) or random.",
        "text": "What it does, in words.",
        "hypothesis": "The hypothesis it states, in the teacher's words; empty where there is none.",
        "problem": "Why it could not be run; empty where it could.",
        "verdict": "On the round's model version: confirmed, refuted, not applicable or invalid (a second judge labels "
        "its texts differently); empty where it was not tested.",
        "judged": "Texts of it that a second judge labelled.",
        "agreed": "How many of them the judge gave the label that the program gives.",
        "applied": "Samples that it changes.",
        "uus_without": "UUs among these samples as they are.",
        "uus_with": "UUs among them after the program has changed them.",
        "effect": "Difference of the two shares, in [-1, 1].",
        "low": "Lower end of its 95 % interval.",
        "high": "Upper end of its 95 % interval.",
        "p_adjusted": "p-value, corrected for the number of programs that were tested together.",
        "rows_added": "Rows that it gave to training.",
        "after": "On the retrained model version: closed, half closed or open; empty where it was not tested again.",
        "uus_with_after": "UUs among the samples after the program has changed them, of the retrained model version.",
        "elsewhere_before": "Of validation samples it does not apply to, the share the old model version gets right.",
        "elsewhere_after": "The same of the retrained model version: what the repair costs elsewhere.",
    },
    """
SELECT g.run_id, g.round, g.program_id, g.origin, g.text, h.text AS hypothesis, g.problem, b.verdict,
       coalesce(j.judged, 0) AS judged, coalesce(j.agreed, 0) AS agreed, b.applied, b.uus_without, b.uus_with,
       b.effect, b.low, b.high, b.p_adjusted, coalesce(y.rows_added, 0) AS rows_added,
       a.verdict AS after, a.uus_with AS uus_with_after,
       b.right_elsewhere / nullif(b.elsewhere, 0) AS elsewhere_before,
       a.right_elsewhere / nullif(a.elsewhere, 0) AS elsewhere_after
FROM programs g
LEFT JOIN hypotheses h ON h.hypothesis_id = g.hypothesis_id
LEFT JOIN program_tests b ON b.program_id = coalesce(g.same_as_id, g.program_id)
    AND b.verdict IN ('confirmed', 'refuted', 'not applicable', 'invalid')
LEFT JOIN program_tests a ON a.program_id = coalesce(g.same_as_id, g.program_id)
    AND a.round = g.round AND a.verdict IN ('closed', 'half closed', 'open')
LEFT JOIN (
    SELECT program_id, count(*) FILTER (accepted) AS rows_added FROM synthetic_samples GROUP BY program_id
) y ON y.program_id = g.program_id
LEFT JOIN (
    SELECT subject_id, count(*) AS judged, count(*) FILTER (judged = label) AS agreed
    FROM judgements WHERE kind = 'program' GROUP BY subject_id
) j ON j.subject_id = g.program_id
ORDER BY g.run_id, g.round, b.effect DESC NULLS LAST, g.program_id
""",
)

JUDGEMENT_SUMMARY = View(
    "judgement_summary",
    "How far a second judge agrees with the labels that programs and attacks give their texts, for each round.",
    {
        "run_id": RUN,
        "round": ROUND,
        "judge": "Who judged, as a spec.",
        "kind": "program or attack.",
        "recipe": "The attack's recipe; empty for programs.",
        "judged": "Texts that the judge was shown.",
        "agreed": "How many of them the judge gave the same label.",
        "differed": "How many of them the judge gave another label: the text or its label is not valid.",
        "unclear": "How many of them the judge could not label.",
        "agreement": "Share of the texts with the same label, in [0, 1].",
    },
    """
SELECT j.run_id, j.round, j.judge, j.kind, a.recipe, count(*) AS judged,
       count(*) FILTER (j.judged = j.label) AS agreed, count(*) FILTER (j.judged <> j.label) AS differed,
       count(*) FILTER (j.judged IS NULL) AS unclear, count(*) FILTER (j.judged = j.label) / count(*) AS agreement
FROM judgements j LEFT JOIN attacks a ON j.kind = 'attack' AND a.attack_id = j.subject_id
GROUP BY ALL ORDER BY ALL
""",
)

TEACHER_SPEND = View(
    "teacher_spend",
    "What the teacher was asked and what it cost, for each round and phase.",
    {
        "run_id": RUN,
        "round": ROUND,
        "phase": "abstract, extrapolate, generate, formalise, revise, judge or decide.",
        "teacher": "Who was asked, as a spec.",
        "model": "The model that answered, as its provider names it.",
        "calls": "Questions, including those answered from the cache.",
        "cache_hits": "Answers that came from the cache and cost nothing.",
        "failed": "Questions without an answer.",
        "tokens_in": "Tokens of the questions that were paid for.",
        "tokens_out": "Tokens of the answers that were paid for.",
        "cost_usd": "US dollars; calls without a known price are left out.",
        "unpriced": "Calls that were made and whose price is not known.",
        "mean_latency_s": "Seconds from question to answer, on average, without answers from the cache.",
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
    "Every run with a teacher: what it paid in all, and for each UU that its final model version no longer has.",
    {
        "run_id": RUN,
        "teacher": "The run's teacher, as a spec.",
        "calls": "Questions that it was asked, without those answered from the cache.",
        "cache_hits": "Answers that came from the cache and cost nothing.",
        "tokens_in": "Tokens of the questions.",
        "tokens_out": "Tokens of the answers.",
        "cost_usd": "US dollars; without calls of unknown price, with requests that may have been billed.",
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
    LEFT JOIN at_tau b ON b.run_id = r.run_id AND b.model_id = r.final_model_id AND (
        r.final_model_id <> r.original_model_id OR r.run_id IN (SELECT run_id FROM rounds WHERE finished_at IS NOT NULL)
    )
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
    "From every UU to the hypotheses about it, the samples added because of it, and whether training fixed it.",
    {
        "run_id": RUN,
        "round": "The round that found the UU.",
        "uu_id": "The UU (uus).",
        "uu_kind": "natural or adversarial.",
        "recipe": "The attack that found it; empty for natural UUs.",
        "sample_id": "The sample it is, or was made from (samples).",
        "attack_id": "The attack that made it (attacks); empty for natural UUs.",
        "model_id": "The model version that it fools (model_versions).",
        "selected": "Whether it was shown to the teacher.",
        "hypothesis_id": "A hypothesis about it (hypotheses); empty where there is none.",
        "hypothesis_kind": "abstraction or extrapolation.",
        "synthetic_id": "A sample written after it, or taken from the UU by a baseline (synthetic_samples).",
        "accepted": "Whether that sample passed the filter.",
        "new_model_id": "The model version the round trained (model_versions).",
        "predicted_after": "What the new model version says of the UU's text; empty where it was not asked.",
        "confidence_after": "How confident it is of that, in [0, 1].",
        "fixed": "Whether the new model version gets the UU's text right; empty where it was not asked.",
    },
    """
WITH added AS (
    SELECT h.uu_id, h.hypothesis_id, h.kind AS hypothesis_kind, y.synthetic_id, y.accepted
    FROM hypotheses h LEFT JOIN synthetic_samples y ON y.hypothesis_id = h.hypothesis_id
    UNION ALL
    SELECT source_id, NULL, NULL, synthetic_id, accepted FROM synthetic_samples WHERE hypothesis_id IS NULL
)
SELECT u.run_id, u.round, u.uu_id, u.kind AS uu_kind, u.recipe, u.sample_id, u.attack_id, u.model_id, u.selected,
       a.hypothesis_id, a.hypothesis_kind, a.synthetic_id, a.accepted, r.new_model_id,
       p.predicted AS predicted_after, p.confidence AS confidence_after, p.predicted = u.label AS fixed
FROM uus u
LEFT JOIN added a ON a.uu_id = u.uu_id
LEFT JOIN rounds r ON r.run_id = u.run_id AND r.round = u.round
LEFT JOIN predictions p ON p.model_id = r.new_model_id AND p.subject_id = coalesce(u.attack_id, u.sample_id)
""",
)
