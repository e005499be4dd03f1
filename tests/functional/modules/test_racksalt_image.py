"""A node's look at signed images: what is not exactly what the site signed is not used."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import subprocess
import threading

import pytest
from salt.exceptions import CommandExecutionError

from racksalt.images import manifest as manifests
from racksalt.images.manifest import FileEntry
from tests.support.images import Shelf
from tests.support.needs import need
from tests.support.salt_node import SaltNode

SOURCE, FILE = "os/tiny/3", "root.ext4.zst"
RAW = b"a file system" * 400_000


class _Server(http.server.SimpleHTTPRequestHandler):
    """Serves the catalogue; on demand breaks off, or forgets what ranges are."""

    breaks: list = []  # noqa: RUF012 - one list for all requests: that is its use

    def do_GET(self):
        """Serve a file, or a part of it."""
        path = self.translate_path(self.path.removeprefix("/images"))
        try:
            with open(path, "rb") as file:  # noqa: PTH123
                content = file.read()
        except OSError:
            self.send_error(404)
            return
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if path.endswith(FILE) and self.breaks:
            content = content[: self.breaks.pop()]
            self.close_connection = True
        self.wfile.write(content[start:])

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A catalogue with one image of a system."""
    need("zstd")
    folder = tmp_path_factory.mktemp("shelf")
    made = Shelf(folder)
    (folder / "raw").write_bytes(RAW)
    zstd = ["zstd", "-q", "-1", "-c", str(folder / "raw")]
    packed = subprocess.run(zstd, capture_output=True, check=True).stdout
    made.place = made.put("os/tiny", "3", {FILE: packed})
    made.packed = packed
    return made


@pytest.fixture(scope="module")
def served(shelf, tmp_path_factory):
    """A node whose boot API serves the catalogue."""
    handler = functools.partial(_Server, directory=str(shelf.folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    key = str(shelf.folder / "images.pub")
    url = f"http://127.0.0.1:{server.server_port}/"
    folder = tmp_path_factory.mktemp("node")
    yield SaltNode(folder, url=url, virtual=False, more={"images_key": key})
    server.shutdown()
    server.server_close()


@pytest.fixture
def image(served, shelf):
    """The module, with the image as it was signed."""
    _Server.breaks.clear()
    before = {path.name: path.read_bytes() for path in shelf.place.iterdir()}
    yield served.modules.racksalt_image
    for name, content in before.items():
        (shelf.place / name).write_bytes(content)


def _sign(shelf, **changes):
    """Sign another manifest in the image's place, as its owner could."""
    plain = json.loads((shelf.place / "manifest.json").read_text()) | changes
    text = json.dumps(plain).encode()
    (shelf.place / "manifest.json").write_bytes(text)
    (shelf.place / "manifest.json.sig").write_bytes(base64.b64encode(shelf.key.sign(text)))


@pytest.mark.parametrize("source", [SOURCE, "os/tiny/current"])
def test_a_signed_manifest_is_returned(image, shelf, source):
    """By its version, or as the one that the site uses."""
    found = image.manifest(source)
    assert (found["name"], found["version"]) == ("tiny", "3")
    assert found["files"][FILE]["bytes"] == len(shelf.packed)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.json.sig"])
def test_one_wrong_byte_in_what_is_signed_is_refused(image, shelf, name):
    """In the manifest or in its signature."""
    path = shelf.place / name
    text = path.read_bytes()
    at = text.index(b"3") if name == "manifest.json" else 5
    path.write_bytes(text[:at] + (b"4" if text[at : at + 1] != b"4" else b"5") + text[at + 1 :])
    with pytest.raises(CommandExecutionError, match=r"not signed by the key in .*images\.pub"):
        image.manifest(SOURCE)


def test_another_site_s_key_is_refused(image, served, tmp_path):
    """A signature alone says nothing; it must be this site's."""
    stranger = tmp_path / "images.pub"
    stranger.write_bytes(Shelf(tmp_path).key.public().pem)
    settings = served.loaders._original_opts["racksalt"]
    own, settings["images_key"] = settings["images_key"], str(stranger)
    served.loaders.reload_all()
    try:
        with pytest.raises(CommandExecutionError, match="not signed by the key"):
            served.modules.racksalt_image.manifest(SOURCE)
        settings["images_key"] = str(tmp_path / "none")
        served.loaders.reload_all()
        with pytest.raises(CommandExecutionError, match=r"no image can be checked: .*No such file"):
            served.modules.racksalt_image.manifest(SOURCE)
    finally:
        settings["images_key"] = own
        served.loaders.reload_all()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "other"}, "is that of other 3"),
        ({"version": "2"}, "is that of tiny 2"),
        ({"format": 0}, "has format 0, this system reads 1"),
        ({"format": 2}, "has format 2"),
    ],
)
def test_a_signed_manifest_of_something_else_is_refused(image, shelf, changes, told):
    """An old version with a good signature is no answer to a question for a new one."""
    _sign(shelf, **changes)
    with pytest.raises(CommandExecutionError, match=told):
        image.manifest(SOURCE)


@pytest.mark.parametrize(
    "source", ["", "live/x", "os/tiny", "os/../x", "os/tiny/../../etc", "/os/a/b"]
)
def test_what_names_no_image_is_not_asked_for(image, source):
    """A name is no path."""
    with pytest.raises(CommandExecutionError, match="is no image"):
        image.manifest(source)


def test_a_missing_image_and_file_are_told(image):
    """With what was looked for."""
    with pytest.raises(CommandExecutionError, match=r"os/none/1/manifest\.json cannot be fetched"):
        image.manifest("os/none/1")
    with pytest.raises(CommandExecutionError, match=r"has no file boot\.img"):
        image.fetch(SOURCE, "boot.img", "/nonexistent/x")


def test_an_image_is_written_unpacked(image, shelf, tmp_path):
    """Byte for byte, onto what is there already; what follows it on the disk stays."""
    device = tmp_path / "disk"
    device.write_bytes(bytes(len(RAW)) + b"behind it")
    told = image.write(SOURCE, FILE, str(device))
    assert device.read_bytes() == RAW + b"behind it"
    assert told["device"] == str(device)


def test_one_wrong_byte_in_a_file_is_refused(image, shelf, tmp_path):
    """Fetched or written, it is told; a wrong file is not left under its name."""
    packed = bytearray(shelf.packed)
    packed[-1] ^= 1
    (shelf.place / FILE).write_bytes(packed)
    with pytest.raises(
        CommandExecutionError, match=r"is not what was signed|could not be unpacked"
    ):
        image.write(SOURCE, FILE, str(_disk(tmp_path)))
    with pytest.raises(CommandExecutionError, match="is not what was signed"):
        image.fetch(SOURCE, FILE, str(tmp_path / "file"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk"]


@pytest.mark.parametrize("change", [-10, 10])
def test_a_file_of_another_length_is_refused(image, shelf, tmp_path, change):
    """Cut short, or with something after it."""
    packed = shelf.packed[:change] if change < 0 else shelf.packed + bytes(change)
    (shelf.place / FILE).write_bytes(packed)
    with pytest.raises(CommandExecutionError, match="is not what was signed: it has"):
        image.fetch(SOURCE, FILE, str(tmp_path / "file"))


def test_a_broken_connection_goes_on_where_it_broke(image, shelf, tmp_path):
    """A reboot of the master costs an install nothing."""
    _Server.breaks.extend([len(shelf.packed) - 3, len(shelf.packed) // 2])
    device = _disk(tmp_path)
    image.write(SOURCE, FILE, str(device))
    assert device.read_bytes() == RAW
    assert not _Server.breaks


def test_a_disk_that_takes_no_more_is_told_as_such(image):
    """The message is about the disk, not about a pipe."""
    with pytest.raises(CommandExecutionError, match=r"could not be unpacked.*No space left"):
        image.write(SOURCE, FILE, "/dev/full")


def test_nodes_and_the_site_know_the_same_manifest(image, shelf):
    """What the site's own reader says of the image is what the node says."""
    own = manifests.read(shelf.place, shelf.catalogue.key())
    assert FileEntry(**image.manifest(SOURCE)["files"][FILE]) == own.files[FILE]


def _disk(folder):
    device = folder / "disk"
    device.touch()
    return device
