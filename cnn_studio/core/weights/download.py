"""Downloading a backbone's weights: asked for, shown, resumed, checked, and only then put into place."""

from __future__ import annotations

import http.client
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from cnn_studio.core.atomic_file import storage_error
from cnn_studio.core.errors import StorageError, WeightsError
from cnn_studio.core.experiment.backbones import Backbone, find_backbone
from cnn_studio.core.job.events import Message, Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext
from cnn_studio.core.paths import cache_dir
from cnn_studio.core.weights.check import CheckedWeights, check_weights
from cnn_studio.core.weights.weights import MEGABYTE, other_ways, part_path, weights_path, weights_status

MIRROR_VARIABLE = "CNN_STUDIO_WEIGHTS_URL"
"""Environment variable: a folder on the web that holds the files under Keras's names, such as a classroom's server."""

SECONDS_OF_SILENCE = 20.0
"""A server that sends nothing for so long has gone."""

_CHUNK = 2**18
_SPARE = 50 * MEGABYTE


def download_weights(name: str, context: JobContext) -> CheckedWeights:
    """Download a backbone's weights to where Keras looks for them.

    What a broken connection or *stop* leaves is kept and gone on with the next time; *cancel* removes it. The file
    takes its place only when its checksum is the one that Keras publishes.

    Args:
        name: of the backbone.
        context: ``report`` is told how far it is, in MB. ``cancel`` ends it.

    Raises:
        ExperimentError: there is no such backbone.
        WeightsError: there is no connection, the server does not give the file, gives another one, or *stop*.
        StorageError: the disk is full or the folder cannot be written to.
        JobCancelled: the user cancelled.
    """
    backbone = find_backbone(name)
    status = weights_status(name)
    if status.usable:
        context.report(Message(f"The weights of {backbone.title} are here already: {status.path}."))
        return check_weights(status.path, backbone)
    part, target = part_path(backbone), weights_path(backbone)
    with _alone(backbone), _in_words(backbone, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            resumed = _fetch(backbone, part, context)
            whole = _is_right(backbone, part, context.cancel)
            if resumed and not whole:
                # The first half may be of another day's file.
                context.report(Message("The two parts of the download do not fit together; it starts anew."))
                part.unlink()
                _fetch(backbone, part, context)
                whole = _is_right(backbone, part, context.cancel)
        except JobCancelled:
            part.unlink(missing_ok=True)
            raise
        if not whole:
            part.unlink()
            raise _wrong_file(backbone, target)
        part.replace(target)
    return check_weights(target, backbone)


def _is_right(backbone: Backbone, part: Path, cancel: CancelToken) -> bool:
    """Whether a download is the published file; where Keras publishes no checksum, whether it fits."""
    try:
        checked = check_weights(part, backbone, lambda _: cancel.raise_if_cancelled())
    except WeightsError:
        return False
    return checked.published or not backbone.weights_hash


def source_url(backbone: Backbone) -> str:
    """Where the file comes from: Keras's address, or the mirror that ``CNN_STUDIO_WEIGHTS_URL`` names."""
    mirror = os.environ.get(MIRROR_VARIABLE)
    url = f"{mirror.rstrip('/')}/{backbone.weights_file}" if mirror else backbone.weights_url
    if urlsplit(url).scheme not in {"http", "https"}:
        raise WeightsError(
            f"{MIRROR_VARIABLE} is no web address: {mirror}.", hint="It begins with https:// or http://."
        )
    return url


@contextmanager
def _alone(backbone: Backbone) -> Iterator[None]:
    """One download of a file at a time, over all processes of this user."""
    folder = cache_dir() / "weights"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{backbone.name}.lock", timeout=0):
            yield
    except Timeout:
        raise WeightsError(
            f"The weights of {backbone.title} are being downloaded by another window or command.",
            hint="Wait until it has ended.",
        ) from None


@contextmanager
def _in_words(backbone: Backbone, target: Path) -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        raise WeightsError(
            f"{urlsplit(error.url or '').netloc or 'The server'} does not give {backbone.weights_file}: "
            f"{error.code} {error.reason}.",
            hint=other_ways(backbone),
            path=target,
        ) from error
    except (urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise WeightsError(
            f"The weights of {backbone.title} could not be downloaded from {urlsplit(source_url(backbone)).netloc}: "
            f"{str(reason) or type(error).__name__}.",
            hint=f"{'What has come so far is kept; try' if part_path(backbone).exists() else 'Try'} again later. "
            f"{other_ways(backbone)}",
            path=target,
        ) from error
    except OSError as error:
        raise storage_error(target, error) from error


def _fetch(backbone: Backbone, part: Path, context: JobContext) -> bool:
    """Bring ``part`` to its full length; whether it went on with something that was there before."""
    have = part.stat().st_size if part.exists() else 0
    if have:
        context.cancel.mark_something_to_keep()
    try:
        answer = _open(source_url(backbone), have)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
            raise
        # There is nothing after what we have: either it is whole, which the checksum tells, or it is too long.
        return True
    with answer:
        resumed = have > 0 and answer.status == http.client.PARTIAL_CONTENT
        have = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else backbone.weights_bytes
        _check_space(part, total - have)
        _write(answer, part, have, total, context, backbone)
    return resumed


def _open(url: str, start: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "cnn_studio", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    answer: http.client.HTTPResponse = urllib.request.urlopen(
        urllib.request.Request(url, headers=headers), timeout=SECONDS_OF_SILENCE
    )
    if start and answer.status == http.client.PARTIAL_CONTENT:
        given = answer.headers.get("Content-Range", "")
        if not given.startswith(f"bytes {start}-"):
            answer.close()
            return _open(url, 0)
    return answer


def _write(
    answer: http.client.HTTPResponse,
    part: Path,
    done: int,
    total: int,
    context: JobContext,
    backbone: Backbone,
) -> None:
    whole = -(-total // MEGABYTE)
    context.report(StageStarted(Stage.DOWNLOAD, whole))
    started, at_start, last = time.monotonic(), done, -1
    with part.open("ab" if done else "wb") as file:
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            context.cancel.mark_something_to_keep()
            if context.cancel.stop_requested:
                raise WeightsError(
                    f"Stopped after {done // MEGABYTE} of {whole} MB.",
                    hint=f"cnn-studio weights get {backbone.name} goes on from there.",
                )
            if done // MEGABYTE != last:
                last = done // MEGABYTE
                rate = (done - at_start) / MEGABYTE / max(time.monotonic() - started, 1e-3)
                context.report(Progress(Stage.DOWNLOAD, last, whole, "MB", rate))
    if done < total and answer.headers.get("Content-Length"):
        raise ConnectionError(f"the connection ended after {done // MEGABYTE} of {whole} MB")


def _check_space(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < needed + _SPARE:
        raise StorageError(
            f"There is no room for the weights in {part.parent}: {needed / MEGABYTE:.0f} MB are needed and "
            f"{free / MEGABYTE:.0f} MB are free.",
            hint="Free some space there, or set KERAS_HOME to a folder on another disk.",
            path=part.parent,
        )


def _wrong_file(backbone: Backbone, target: Path) -> WeightsError:
    return WeightsError(
        f"What {urlsplit(source_url(backbone)).netloc} gave is not {backbone.weights_file} (its checksum is another), "
        "so it was removed.",
        hint=f"A proxy may have answered in its place; try again. {other_ways(backbone)}",
        path=target,
    )
