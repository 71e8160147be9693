"""Downloads from a server on this machine: whole, broken off, resumed, stopped, cancelled, wrong, refused."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from filelock import FileLock

from cnn_studio.core.errors import ExperimentError, StorageError, WeightsError
from cnn_studio.core.experiment.backbones import BACKBONES
from cnn_studio.core.job.events import Message, Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext
from cnn_studio.core.paths import cache_dir
from cnn_studio.core.weights import download as weights_download
from cnn_studio.core.weights.download import MIRROR_VARIABLE, download_weights, source_url
from cnn_studio.core.weights.weights import WeightsState, part_path, weights_folder, weights_path, weights_status


class Server(ThreadingHTTPServer):
    """Gives ``content``; ``breaks_after`` bytes it hangs up, once."""

    content = b""
    breaks_after = None
    knows_ranges = True
    status = None

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append((self.path, wanted))
        if server.status:
            self.send_error(server.status)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.knows_ranges else 0
        if start >= len(server.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(server.content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.end_headers()
        end, server.breaks_after = server.breaks_after, None
        try:
            self.wfile.write(server.content[start:end])
        except ConnectionError:  # a download that was cancelled
            self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tiny_backbone, monkeypatch):
    _, file = tiny_backbone
    with Server() as server:
        server.content = file.read_bytes()
        monkeypatch.setenv(MIRROR_VARIABLE, f"http://127.0.0.1:{server.server_port}/models/")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def tiny(tiny_backbone):
    return tiny_backbone[0]


def only(path):
    """Whether nothing else lies beside ``path``."""
    return [found.name for found in weights_folder().glob("*")] == [path.name]


def test_a_download_is_shown_checked_and_put_into_place(server, tiny):
    told = []
    found = download_weights("tiny", JobContext(told.append))
    assert found.published
    assert found.path == weights_path(tiny)
    assert found.path.read_bytes() == server.content
    assert only(found.path)
    assert server.asked == [("/models/tiny_notop.h5", None)]
    assert told[0] == StageStarted(Stage.DOWNLOAD, 2)
    steps = [event for event in told if isinstance(event, Progress)]
    assert [step.done for step in steps] == [0, 1]
    assert all(step.total == 2 and step.unit == "MB" and step.rate > 0 for step in steps)
    # It is not downloaded twice.
    download_weights("tiny", JobContext(told.append))
    assert len(server.asked) == 1
    assert "here already" in told[-1].text


def test_a_broken_download_is_gone_on_with(server, tiny):
    server.breaks_after = 700_000
    with pytest.raises(WeightsError, match=r"connection ended after 0 of 2 MB.*is kept; try again later"):
        download_weights("tiny", JobContext())
    assert only(part_path(tiny))
    status = weights_status("tiny")
    assert (status.state, status.bytes) == (WeightsState.PARTIAL, 700_000)
    assert download_weights("tiny", JobContext()).published
    assert server.asked[1] == ("/models/tiny_notop.h5", "bytes=700000-")
    assert only(weights_path(tiny))


def test_a_server_that_cannot_resume_starts_anew(server, tiny):
    server.knows_ranges = False
    server.breaks_after = 700_000
    with pytest.raises(WeightsError):
        download_weights("tiny", JobContext())
    assert download_weights("tiny", JobContext()).published


def test_two_halves_that_do_not_fit_are_fetched_again(server, tiny):
    part = part_path(tiny)
    part.parent.mkdir(parents=True)
    for left in (b"x" * 1000, b"x" * len(server.content), b"x" * (len(server.content) + 5)):
        part.write_bytes(left)
        told = []
        assert download_weights("tiny", JobContext(told.append)).published
        assert any(isinstance(event, Message) and "starts anew" in event.text for event in told)
        weights_path(tiny).unlink()


def test_a_part_that_is_whole_is_taken(server, tiny):
    part = part_path(tiny)
    part.parent.mkdir(parents=True)
    part.write_bytes(server.content)
    assert download_weights("tiny", JobContext()).published
    assert only(weights_path(tiny))


@pytest.mark.parametrize("content", [b"<html>Please log in to this network.</html>", None])
def test_another_file_is_refused_and_removed(content, server, tiny, write_weights, tmp_path):
    """A page of a hotel's network; or weights that fit but are not those that Keras publishes."""
    server.content = content or write_weights(tmp_path / "fits.h5", seed=9).read_bytes()
    with pytest.raises(WeightsError, match=r"is not tiny_notop\.h5.*removed.*proxy"):
        download_weights("tiny", JobContext())
    assert not list(weights_folder().glob("*"))


def after_some(token_method):
    def report(event):
        if isinstance(event, Progress):
            token_method()

    return report


def test_stop_keeps_what_has_come(server, tiny):
    token = CancelToken()
    with pytest.raises(WeightsError, match=r"Stopped after 0 of 2 MB.*weights get tiny goes on"):
        download_weights("tiny", JobContext(after_some(token.stop), token))
    kept = part_path(tiny).stat().st_size
    assert 0 < kept < len(server.content)
    assert download_weights("tiny", JobContext()).published
    assert server.asked[1][1] == f"bytes={kept}-"


def test_cancel_leaves_nothing(server, tiny):
    token = CancelToken()
    with pytest.raises(JobCancelled):
        download_weights("tiny", JobContext(after_some(token.cancel), token))
    assert not list(weights_folder().glob("*"))


def test_no_network(server, tiny):
    server.shutdown()
    server.server_close()
    with pytest.raises(WeightsError) as caught:
        download_weights("tiny", JobContext())
    told = str(caught.value)
    assert "could not be downloaded from 127.0.0.1" in told
    assert f"puts it into {weights_folder()}" in told
    assert "from scratch" in told
    assert not list(weights_folder().glob("*"))


def test_a_server_without_the_file(server, tiny):
    server.status = 404
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1:\d+ does not give tiny_notop\.h5: 404"):
        download_weights("tiny", JobContext())


def test_too_little_room_is_told_before_the_download(server, tiny, monkeypatch):
    usage = weights_download.shutil.disk_usage(cache_dir().parent)
    monkeypatch.setattr(weights_download.shutil, "disk_usage", lambda _: usage._replace(free=10_000_000))
    with pytest.raises(StorageError, match=r"no room for the weights.*10 MB are free"):
        download_weights("tiny", JobContext())
    assert not list(weights_folder().glob("*"))


def test_one_download_at_a_time(server, tiny):
    folder = cache_dir() / "weights"
    folder.mkdir(parents=True)
    with (
        FileLock(folder / "tiny.lock"),
        pytest.raises(WeightsError, match="being downloaded by another window or command"),
    ):
        download_weights("tiny", JobContext())
    assert not server.asked


def test_addresses(monkeypatch):
    monkeypatch.delenv(MIRROR_VARIABLE, raising=False)
    resnet = BACKBONES["resnet50"]
    assert source_url(resnet) == resnet.weights_url
    monkeypatch.setenv(MIRROR_VARIABLE, "file:///etc")
    with pytest.raises(WeightsError, match="no web address"):
        source_url(resnet)
    with pytest.raises(ExperimentError):
        download_weights("alexnet", JobContext())
