"""Small made-up images, signed like real ones."""

from __future__ import annotations

from racksalt.images.catalogue import Catalogue
from racksalt.images.manifest import FORMAT, Manifest, entry
from racksalt.images.signing import open_key


class Shelf:
    """A catalogue with a key of its own, below one folder."""

    def __init__(self, folder):
        self.catalogue = Catalogue(folder / "images")
        self.key = open_key(folder / "secrets")
        self.folder = self.catalogue.folder

    def draft(self, image, version, files, name=None):
        """Write files into a draft and return it with its manifest."""
        draft = self.catalogue.draft(image)
        for file, content in files.items():
            (draft / file).write_bytes(content)
        entries = {file: entry(draft / file) for file in files}
        kind, _, last = image.partition("/")
        manifest = Manifest(
            format=FORMAT,
            name=name or ("live" if kind == "live" else last),
            version=version,
            arch="x86_64",
            files=entries,
        )
        return draft, manifest

    def put(self, image, version, files, name=None):
        """Publish an image and return its folder."""
        draft, manifest = self.draft(image, version, files, name)
        return self.catalogue.publish(image, draft, manifest, self.key)

    def live(self, version, system=b"system"):
        """Publish a live image."""
        files = {"vmlinuz": b"kernel", "live.img": b"init", "live.squashfs": system}
        return self.put("live/x86_64", version, files)
