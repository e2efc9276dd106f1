"""Model versions of a run: training one, loading one, remembering what it predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from blindspot.graphs.context import Context
from blindspot.graphs.versions.identity import fingerprint, trained_on, version_id
from blindspot.storage.clock import now
from blindspot.storage.errors import Cancelled, ModelError
from blindspot.storage.records import Attack, ModelVersion, Prediction, Sample, SyntheticSample
from blindspot.storage.words import SubjectKind
from blindspot.tools.progress import Report, silent

if TYPE_CHECKING:
    from blindspot.tools.classifier.classifier import Classifier, Text
    from blindspot.tools.training.retrain import Score, Training


def remove_rejected(context: Context, round_number: int, model_id: str) -> None:
    """Remove the weights of a version that was not accepted, where the settings ask for it; its rows stay.

    Weights that another version has in common with it stay too.
    """
    if context.settings.accept.keep_rejected:
        return
    folder = context.workspace.weights(context.model(model_id).folder)
    shared = folder and any(
        context.workspace.weights(version.folder) == folder
        for version in context.store.rows(ModelVersion)
        if version.model_id != model_id
    )
    if folder is None or shared:
        return
    context.workspace.remove_weights(folder)
    context.tell(
        round_number,
        "close_round",
        f"the weights of {model_id} are removed, as it was not accepted (accept.keep_rejected = false)",
    )


Subject = Sample | Attack | SyntheticSample
"""What holds a text that can be predicted."""

KEPT_EVERY = 256  # predictions that are written together; a kill loses at most these


@dataclass(frozen=True, slots=True)
class Levers:
    """What a retraining learns by, beside the labels of its samples; an original version has none of it."""

    twins: Mapping[str, Text] = field(default_factory=dict)  # training sample's id -> the sample perturbed
    score: Score | None = None  # what the epoch to keep is chosen by; None: the last one is kept


NO_LEVERS = Levers()


def load_version(context: Context, version: ModelVersion) -> Classifier:
    """Load a version's weights.

    Raises: ModelError.
    """
    from blindspot.tools.classifier.classifier import load_classifier

    return load_classifier(
        weights_location(context, version),
        model_id=version.model_id,
        labels=context.dataset.labels,
        max_tokens=context.settings.classifier.max_tokens,
        device=context.settings.classifier.device,
        temperature=version.temperature,
    )


def weights_location(context: Context, version: ModelVersion) -> str:
    """Where a version's weights are: a folder, or a hub's id.

    Raises: ModelError, when they are a folder's and no longer there.
    """
    place = context.workspace.locate(version.folder)
    if Path(place).is_absolute() and not any(Path(place).glob("*.safetensors")):
        raise ModelError(
            f"{place}: the weights of model version {version.model_id} are gone; put them back, or start a new run"
        )
    return place


class OnDemand:
    """A model version, whose weights are loaded when it is first asked what the store does not know yet."""

    def __init__(self, context: Context, model_id: str) -> None:
        self._context, self.model_id = context, model_id

    @cached_property
    def classifier(self) -> Classifier:
        """Raises: ModelError, as `load_version`."""
        return load_version(self._context, self._context.model(self.model_id))


def train_version(
    context: Context,
    round_number: int,
    *,
    parent: ModelVersion | None,
    synthetic: Sequence[SyntheticSample],
    report: Report,
    levers: Levers = NO_LEVERS,
) -> ModelVersion:
    """Train on the training samples and the synthetic ones, and record the version.

    Args:
        parent: the version to go on from; None starts from the base model.
    """
    from blindspot.tools.classifier.classifier import locate_model, texts_of
    from blindspot.tools.training.retrain import Example, Weights, retrain

    classifier, settings = context.settings.classifier, context.settings.retrain
    again = round_number > 0
    rows = context.samples("train")
    names, labels = context.dataset.fields, context.dataset.labels
    examples = [
        Example(text, labels.index(row.label), twin=levers.twins.get(row.sample_id))
        for text, row in zip(texts_of(rows, names), rows, strict=True)
    ]
    examples += [
        Example(
            text,
            labels.index(row.label),
            settings.synthetic_weight,
            smoothing=settings.label_smoothing,
            twin=levers.twins.get(row.synthetic_id),
        )
        for text, row in zip(texts_of(synthetic, names), synthetic, strict=True)
    ]
    training = training_of(context, round_number, adds=bool(synthetic))
    causes = trained_on(context, locate_model(classifier.model), parent, examples, training)
    model_id = version_id(context, round_number, *causes)
    brought = context.original_id() if again and not classifier.fine_tune else None
    trained = retrain(
        Weights(
            source=weights_location(context, parent) if parent else classifier.model,
            fine_tuned=parent is not None or not classifier.fine_tune,
            labels=labels,
            max_tokens=classifier.max_tokens,
            device=classifier.device,
        ),
        examples,
        training,
        context.workspace.model(model_id),
        score=levers.score,
        report=report,
        cancelled=context.cancelled,
    )
    chosen = {"epoch": trained.epoch, "scores": trained.scores} if trained.scores else {}
    version = ModelVersion(
        model_id=model_id,
        run_id=context.run_id,
        round=round_number,
        parent_id=parent.model_id if parent else brought,
        kind="retrained" if again else "original",
        folder=str(trained.folder.relative_to(context.workspace.folder)),
        rows_train=len(rows),
        rows_synthetic=len(synthetic),
        settings={**trained.settings, **chosen},
        final_loss=trained.final_loss,
        seconds=trained.seconds,
        created_at=now(),
    )
    context.store.put(version)  # in place of a row whose weights are gone
    return version


def training_of(context: Context, round_number: int, *, adds: bool) -> Training:
    """How a round trains, by the settings; round 0 is the original, which knows no levers.

    Args:
        adds: whether there is a row beside the training samples.
    """
    from blindspot.tools.training.retrain import choose_training

    classifier, settings = context.settings.classifier, context.settings.retrain
    again = round_number > 0
    training = choose_training(
        classifier.preset,
        epochs=(settings.epochs if again else None) or classifier.epochs,
        batch_size=classifier.batch_size,
        learning_rate=(settings.learning_rate if again else None) or classifier.learning_rate,
        seed=context.settings.run.seed,
    )
    if not again:
        return training
    # Any added row changes the order of samples; without one, a start from the base model would train it once more.
    order = 0 if adds else round_number
    return replace(training, consistency=settings.consistency, patience=settings.patience, order=order)


def bring_version(context: Context) -> ModelVersion:
    """Record a classifier that was fine-tuned elsewhere as the original version, after a look that it loads."""
    from blindspot.tools.classifier.classifier import locate_model

    folder = locate_model(context.settings.classifier.model)
    version = ModelVersion(
        model_id=version_id(context, 0, fingerprint(folder)),
        run_id=context.run_id,
        round=0,
        parent_id=None,
        kind="original",
        folder=folder,
        rows_train=0,
        rows_synthetic=0,
        settings={},
        final_loss=None,
        seconds=0.0,
        created_at=now(),
    )
    load_version(context, version)
    context.store.add([version])
    return version


def has_weights(context: Context, version: ModelVersion) -> bool:
    """Whether a recorded version's weights are still where they were left; those on a hub count as there."""
    return Path(context.workspace.locate(version.folder)).is_dir() or version.rows_train == 0


def predict_once(
    context: Context,
    version: OnDemand,
    subjects: Sequence[Subject],
    *,
    kind: SubjectKind,
    report: Report = silent,
) -> dict[str, Prediction]:
    """Predict what is not in the store yet, and add it bit by bit.

    Args:
        subjects: samples, attacks that flipped (their perturbed texts are predicted), or synthetic samples.
    Returns: subject's id -> prediction, for all subjects.
    Raises: Cancelled.
    """
    ids = [id_of(subject) for subject in subjects]
    known = {row.subject_id: row for row in context.store.rows(Prediction, model_id=version.model_id)}
    missing = [(key, subject) for key, subject in zip(ids, subjects, strict=True) if key not in known]
    for start in range(0, len(missing), KEPT_EVERY):
        if context.cancelled():
            raise Cancelled("stopped while predicting")
        batch = missing[start : start + KEPT_EVERY]
        texts = [tuple(subject_fields(subject)[name] for name in context.dataset.fields) for _, subject in batch]
        predicted, confidences, probabilities = version.classifier.predict_labels(texts)
        new = [
            Prediction(
                model_id=version.model_id,
                subject_id=key,
                subject_kind=kind,
                label=subject.label,
                predicted=predicted[index],
                confidence=float(confidences[index]),
                probabilities=tuple(float(value) for value in probabilities[index]),
            )
            for index, (key, subject) in enumerate(batch)
        ]
        context.store.add(new)
        known |= {row.subject_id: row for row in new}
        report(start + len(batch), len(missing))
    return {key: known[key] for key in ids}


def id_of(subject: Subject) -> str:
    if isinstance(subject, SyntheticSample):
        return subject.synthetic_id
    return subject.attack_id if isinstance(subject, Attack) else subject.sample_id


def subject_fields(subject: Subject) -> Mapping[str, str]:
    assert subject.fields is not None, subject
    return subject.fields
