"""What every table and column holds, in plain words: the one place where it is said.

Analysts read it in the database (COMMENT ON); the records (`storage/records.py`) have the types.
"""

from __future__ import annotations

from blindspot.storage.schema.teaching_comments import ROUND, RUN, TEACHING, TEXT_FIELDS, WHEN, Comments

COMMENTS: Comments = {
    "_migrations": (
        "Versions of this database's schema, each with the time it was applied.",
        {
            "number": "Version, from 1; the largest is the schema that the database has.",
            "name": "What the step did.",
            "applied_at": "When it was applied, UTC.",
        },
    ),
    "runs": (
        "Runs: rounds with one configuration, or attacks on one model version.",
        {
            "run_id": "Name and number of the run.",
            "name": "Name given in the settings.",
            "status": "running, waiting (for answers in files), stopped, finished or failed.",
            "settings": "All settings of the run, as JSON.",
            "seed": "The seed of every random choice.",
            "teacher": "Who explains, as a spec, e.g. openai:MODEL or rules; none in an attack run.",
            "dataset_id": "The data set under test (datasets).",
            "tau": "A wrong prediction with at least this confidence is a UU, in [0, 1].",
            "versions": "Versions of the software that ran, as JSON: package -> version.",
            "started_at": "When the run began, UTC.",
            "finished_at": "When it ended, UTC; empty while it goes on.",
            "stop_reason": "Why it ended.",
            "original_model_id": "The model version it began with (model_versions).",
            "final_model_id": "The model version it recommends at its end (model_versions).",
            "kind": "mitigation (rounds that repair a model), attack (attacks alone), comparison (of teachers) or "
            "original (a model version that several runs of a study repair).",
            "method": "Where its added rows come from: teacher, or a baseline: none, random, typos, relabel, "
            "adversarial, recorded, temperature; in a study, its name in the study's file.",
            "study_id": "The study it is part of (studies); empty where it is part of none.",
            "origin_id": "The run (runs) that trained the original model version; empty where this run trained it.",
        },
    ),
    "rounds": (
        "Rounds: passes of the loop of attack, select, teach, filter, retrain and evaluate.",
        {
            "run_id": RUN,
            "round": "Number of the round in its run, from 1.",
            "model_id": "The model version the round started with (model_versions).",
            "started_at": "When the round began, UTC.",
            "new_model_id": "The model version the round trained (model_versions); empty until then.",
            "accepted": "Whether the new model version replaces the old one; empty until decided.",
            "verdict": "Why it was accepted or not, in words and numbers.",
            "finished_at": "When the round ended, UTC.",
        },
    ),
    "datasets": (
        "Data sets: where samples come from and what they look like.",
        {
            "dataset_id": "Identifies the data set.",
            "name": "Short name.",
            "source": "Where it was read from: a folder, files or an id on a hub.",
            "fields": "Names of a sample's text fields, in the classifier's order.",
            "labels": "The labels, in the order of predictions.probabilities.",
            "task": "What is classified, in one sentence; teachers are told this.",
            "rows": "How many rows are used, as JSON: split -> rows.",
        },
    ),
    "samples": (
        "Samples: the labelled inputs of the data sets.",
        {
            "sample_id": "Identifies the sample.",
            "dataset_id": "The data set it belongs to (datasets).",
            "split": "train, validation or test; logged for an error of a deployed model's log.",
            "row": "Position in the source of its split, from 0.",
            "fields": f"The text, {TEXT_FIELDS}",
            "label": "The true label.",
        },
    ),
    "model_versions": (
        "Model versions: each one set of weights of the classifier.",
        {
            "model_id": "Identifies the model version.",
            "run_id": "The run that made it.",
            "round": "The round that made it, 0 for the original.",
            "parent_id": "The model version its training started from; empty where that was a base model.",
            "kind": "original, retrained or calibrated (the weights of its parent, at another temperature).",
            "folder": "The folder with the weights.",
            "rows_train": "Samples of the training split it was trained on.",
            "rows_synthetic": "Synthetic samples it was trained on.",
            "settings": "How it was trained, as JSON.",
            "final_loss": "Training loss at the end; empty where it was not trained here.",
            "seconds": "How long training took, seconds.",
            "created_at": WHEN,
            "temperature": "What its logits are divided by; 1 unless calibration was all that was done.",
        },
    ),
    "predictions": (
        "Predictions: what a model version says of a text.",
        {
            "model_id": "The model version that predicts (model_versions).",
            "subject_id": "The text: a sample_id, attack_id or synthetic_id.",
            "subject_kind": "sample, attack or synthetic: which table the text is in.",
            "label": "The true label.",
            "predicted": "The label the model version gives.",
            "confidence": "The largest softmax probability, in [0, 1].",
            "probabilities": "Probability of each label, in the order of datasets.labels.",
        },
    ),
    "attacks": (
        "Attacks: each one recipe run against one model version on one sample.",
        {
            "attack_id": "Identifies the attack.",
            "run_id": RUN,
            "model_id": "The model version under attack (model_versions).",
            "sample_id": "The sample that was changed (samples).",
            "split": "The split of the sample.",
            "recipe": "Which attack, e.g. textfooler.",
            "status": "flipped (it worked), failed, skipped (wrong before the attack) or error.",
            "fields": f"The perturbed text where the label flipped, {TEXT_FIELDS}",
            "label": "The true label.",
            "predicted": "What the model version says of the perturbed text.",
            "confidence": "How confident it is of that, in [0, 1].",
            "original_predicted": "What it says of the sample as it is.",
            "original_confidence": "How confident it is of that, in [0, 1].",
            "queries": "How many times the attack queried the model version.",
            "words": "Words in the sample.",
            "perturbed_words": "How many of them were changed.",
            "error": "What went wrong, where status is error.",
            "seconds": "How long the attack took, seconds.",
        },
    ),
    "changed_words": (
        "Changed words: each one word that an attack changed in a sample whose label it flipped.",
        {
            "attack_id": "The attack (attacks).",
            "number": "Number of the word among those that the attack changed, from 0.",
            "run_id": RUN,
            "field": "The text field it is in.",
            "position": "Position among the words of the original field, from 0; of an inserted word, that of the "
            "word it stands before.",
            "before": "The word in the original; empty text where a word was inserted.",
            "after": "The word in the perturbed text; empty text where it was deleted.",
            "part_of_speech": "Of the word before, in its sentence, by NLTK's English tagger: noun, verb, adjective, "
            "adverb, pronoun, determiner, adposition, conjunction, particle, numeral, punctuation or other; empty for "
            "an inserted word, or where the tagger was missing.",
        },
    ),
    "uus": (
        "UUs (unknown unknowns): wrong predictions with a confidence of at least tau.",
        {
            "uu_id": "Identifies the UU.",
            "run_id": RUN,
            "round": "The round that found it.",
            "model_id": "The model version that is fooled (model_versions).",
            "kind": "natural (the sample as it is) or adversarial (after an attack).",
            "recipe": "The attack that found it; empty for natural UUs.",
            "sample_id": "The sample it is, or was made from (samples).",
            "attack_id": "The attack that made it (attacks); empty for natural UUs.",
            "fields": f"The text that fools the model version, {TEXT_FIELDS}",
            "label": "The true label.",
            "predicted": "The wrong label that was predicted.",
            "confidence": "How confident the model version was of it, in [0, 1].",
            "selected": "Whether it was shown to the teacher.",
        },
    ),
    **TEACHING,
    "evaluations": (
        "Evaluations: one figure a row, either of a model version or the difference between two.",
        {
            "evaluation_id": "Identifies the figure.",
            "run_id": RUN,
            "round": "The round that made the model version, 0 for the original.",
            "model_id": "The model version that was measured (model_versions).",
            "baseline_id": "Set where the value is a difference: model_id's figure minus that of this model version; "
            "for the counts of UUs that came and went, the earlier version.",
            "metric": "What was measured, e.g. accuracy, uus, ece; recall: LABEL, one for each class; uus_fixed: UUs "
            "that no longer are, of them uus_less_confident: still wrong, below tau; uus_new: UUs that were right "
            "before, uus_more_confident: that were wrong before, below tau; uus_calibrated: UUs that temperature "
            "scaling alone would leave, with a baseline_id the new version's minus those of that version so scaled; "
            "…_matched: at matched coverage.",
            "value": "The figure, or the difference.",
            "low": "Lower end of the 95 % interval.",
            "high": "Upper end of the 95 % interval.",
            "p_value": "Chance of a difference this large if there were none.",
            "split": "The split it was measured on; logged for the log's errors that the teacher was never shown, "
            "repaired for the texts that earlier rounds repaired.",
            "recipe": "The attack the texts went through; empty for texts as they are.",
            "threshold": "The confidence threshold (tau) it was measured at, where it needs one.",
            "n": "How many texts it was measured on.",
        },
    ),
    "blind_spots": (
        "Blind spots: clusters of UUs of the test split, of the model version a round began with and of the new one.",
        {
            "run_id": RUN,
            "round": ROUND,
            "number": "Number of the blind spot in its round, from 1, the largest first.",
            "words": "Words that tell its texts from other samples.",
            "uus_before": "UUs in it of the model version the round began with.",
            "uus_after": "UUs in it of the new model version.",
            "fixed": "UUs before that no longer are.",
            "new": "UUs now that were right before.",
            "status": "closed (a tenth of its UUs or less is left), shrunk, grown or opened (from a tenth or less): "
            "each beyond chance, p below 0.05; else open.",
            "p_value": "Exact sign test over its samples, before and after, adjusted for the number of blind spots in "
            "the round (Benjamini, Hochberg).",
        },
    ),
    "studies": (
        "Studies: matrices of runs, data sets x classifiers x recipes x methods x seeds.",
        {
            "study_id": "Name and number of the study.",
            "name": "Name given in its settings.",
            "status": "running, stopped, finished, or failed where some of its runs did.",
            "settings": "All its settings, as JSON.",
            "started_at": "When it began, UTC.",
            "finished_at": "When it ended, UTC; empty while it goes on.",
        },
    ),
    "study_figures": (
        "Study figures: what a study measured over its seeds, one figure a row.",
        {
            "study_id": "The study (studies).",
            "dataset": "Name of the data set.",
            "classifier": "Name of the classifier.",
            "recipe": "Which attack; of runs with several: a+b for all of them, a+b: a for one; '' without any.",
            "method": "Name of the method, with its dose where there are several; original: before any method.",
            "metric": "What was measured, as in evaluations; uus_clean: natural UUs of the clean split; …_reduction: "
            "the share of the baseline's that are gone; accepted: the share of seeds whose verdict took the model.",
            "threshold": "Confidence from which a wrong prediction counts; -1 where the metric has none.",
            "baseline": "The method that the value is compared with; '' for a figure by itself.",
            "value": "Mean over the seeds.",
            "std": "Standard deviation over the seeds (n - 1); empty for a single seed.",
            "low": "Lower end of the 95 % interval, paired over samples and seeds.",
            "high": "Upper end of the 95 % interval.",
            "seeds": "How many seeds.",
            "n": "How many rows it was measured on in one seed.",
        },
    ),
    "events": (
        "Events: what is worth knowing about a run, in order of time.",
        {
            "event_id": "Identifies the event.",
            "run_id": RUN,
            "round": ROUND,
            "happened_at": "When it happened, UTC.",
            "phase": "The phase it happened in, e.g. attack.",
            "level": "info, warning or error.",
            "message": "What happened.",
        },
    ),
}
