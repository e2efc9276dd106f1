"""The ready queries about attacks: which words they change, which texts they succeed on."""

from __future__ import annotations

from blindspot.storage.analysts.ready_query import ReadyQuery
from blindspot.storage.schema.uu import is_adversarial_uu
from blindspot.storage.schema.view import RUN

UUS_BY_PART_OF_SPEECH = ReadyQuery(
    "uus-by-part-of-speech",
    "Which parts of speech did attacks change to make UUs?",
    {
        "run_id": RUN,
        "recipe": "The attack.",
        "part_of_speech": "Of the changed word; inserted, where none was before; unknown, where none is recorded.",
        "uus": "UUs with at least one such word changed.",
        "share_of_uus": "The same as a share of the recipe's UUs; shares add up to more than 1.",
        "changed_words": "Such words that were changed in them.",
        "mean_confidence": "Confidence in the wrong label, on average over those UUs.",
        "example": "Two of the changes.",
    },
    """
WITH adversarial AS (
    SELECT run_id, recipe, uu_id, attack_id, confidence FROM uus
    WHERE kind = 'adversarial' AND run_id = coalesce($run, run_id)
), counts AS (
    SELECT run_id, recipe, count(*) AS uus FROM adversarial GROUP BY run_id, recipe
), changes AS (
    SELECT u.run_id, u.recipe, u.uu_id, any_value(u.confidence) AS confidence, count(w.attack_id) AS changed_words,
           CASE WHEN w.before = '' THEN 'inserted' ELSE coalesce(w.part_of_speech, 'unknown') END AS part_of_speech,
           min(w.before || ' > ' || w.after) AS change
    FROM adversarial u LEFT JOIN changed_words w ON w.attack_id = u.attack_id
    GROUP BY ALL
)
SELECT w.run_id, w.recipe, w.part_of_speech, count(*) AS uus, count(*) / any_value(c.uus) AS share_of_uus,
       CAST(sum(w.changed_words) AS BIGINT) AS changed_words, avg(w.confidence) AS mean_confidence,
       array_to_string(min(w.change, 2), ', ') AS example
FROM changes w JOIN counts c ON c.run_id = w.run_id AND c.recipe IS NOT DISTINCT FROM w.recipe
GROUP BY w.run_id, w.recipe, w.part_of_speech
ORDER BY w.run_id, w.recipe, uus DESC, w.part_of_speech
""",
)

# Wilson's interval of a share, as tools/metrics/statistics.py has it; 1.96 is the normal distribution's 97.5 % point.
ATTACK_SUCCESS_BY_LENGTH = ReadyQuery(
    "attack-success-by-length",
    "Do attacks succeed more on short texts or on long ones?",
    {
        "run_id": RUN,
        "split": "The split the samples are from.",
        "recipe": "The attack.",
        "round": "The round that made the model version under attack, 0 for the original.",
        "words_from": "Fewest words of a text in the row.",
        "words_to": "Most words; each row's texts are twice as long as those of the row before.",
        "attacked": "Samples of such a length that were right before the attack.",
        "flipped": "Samples whose label it flipped.",
        "success_rate": "Flipped ones as a share of the attacked.",
        "low": "Lower end of the rate's 95 % interval (Wilson).",
        "high": "Upper end of it.",
        "uus": "Flipped ones with a confidence of at least the run's tau.",
        "queries_per_sample": "Queries to the model version for an attacked sample, on average.",
    },
    f"""
WITH bins AS (
    SELECT a.run_id, a.split, a.recipe, m.round, CAST(floor(log2(greatest(a.words, 1))) AS INTEGER) AS bin,
           a.status = 'flipped' AS flipped, {is_adversarial_uu("a", "r.tau")} AS is_uu, a.queries
    FROM attacks a
    JOIN runs r ON r.run_id = a.run_id
    LEFT JOIN model_versions m ON m.model_id = a.model_id
    WHERE a.status IN ('flipped', 'failed') AND a.run_id = coalesce($run, a.run_id)
), counts AS (
    SELECT run_id, split, recipe, round, bin, count(*) AS n, count(*) FILTER (flipped) AS flipped,
           count(*) FILTER (is_uu) AS uus, avg(queries) AS queries,
           count(*) FILTER (flipped) / count(*) AS rate, 1.96 * 1.96 / count(*) AS z2n
    FROM bins GROUP BY ALL
)
SELECT run_id, split, recipe, round, CAST(2 ** bin AS BIGINT) AS words_from,
       CAST(2 ** (bin + 1) AS BIGINT) - 1 AS words_to, n AS attacked, flipped, rate AS success_rate,
       greatest(0, (rate + z2n / 2 - sqrt(z2n * (rate * (1 - rate) + z2n / 4))) / (1 + z2n)) AS low,
       least(1, (rate + z2n / 2 + sqrt(z2n * (rate * (1 - rate) + z2n / 4))) / (1 + z2n)) AS high,
       uus, queries AS queries_per_sample
FROM counts ORDER BY run_id, split, recipe, round, bin
""",
)
