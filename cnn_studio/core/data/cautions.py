"""What is to be said of a data set before anybody trains on it: what would mislead, and what is left out."""

from __future__ import annotations

from collections import Counter

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.events import Caution
from cnn_studio.core.data.findings import FindingKind, examine, similar_groups
from cnn_studio.core.data.split import split_dataset
from cnn_studio.core.experiment.settings import ImageSettings, SplitSettings
from cnn_studio.core.image.issues import ISSUE_TEXT, IssueKind

LEFT_OUT = "left_out"
"""Kind of the caution about files and folders that are not used."""


def cautions_of(dataset: Dataset, split: SplitSettings, image: ImageSettings) -> tuple[Caution, ...]:
    """Every serious finding, what a drawn split tears apart, and how much is left out.

    Args:
        dataset: with the user's decisions applied.
        split: how images are shared out; where it does not keep together what looks alike, that is looked for.
        image: the network's image size.
    """
    found = [
        Caution(finding.kind.value, finding.title, finding.advice)
        for finding in examine(dataset, image)
        if finding.serious
    ]
    if not split.keep_similar_together and (torn := _torn_apart(dataset, split)):
        pictures = "1 picture has" if torn == 1 else f"{torn:,} pictures have"
        text = f"{pictures} versions in more than one of training, validation and test images."
        advice = "The network is then tested on what it has seen: keep together what looks alike."
        found.append(Caution(FindingKind.DUPLICATE_ACROSS_SPLITS.value, text, advice))
    kinds = Counter(issue.kind for issue in dataset.issues if issue.kind is not IssueKind.LEFT_OUT_BY_YOU)
    if kinds:
        items = "1 item is" if kinds.total() == 1 else f"{kinds.total():,} items are"
        reasons = ", ".join(f"{ISSUE_TEXT[kind]} ({count:,})" for kind, count in kinds.most_common())
        found.append(Caution(LEFT_OUT, f"{items} left out: {reasons}.", "A scan lists them, with the reason for each."))
    return tuple(found)


def _torn_apart(dataset: Dataset, settings: SplitSettings) -> int:
    """How many pictures have versions in several splits that no folder has named."""
    splits = split_dataset(dataset, settings).splits
    given = [file.given_split for file in dataset.files]
    return sum(
        len({splits[place] for place in group}) > 1 and len({given[place] for place in group}) == 1
        for group in similar_groups(dataset)
    )
