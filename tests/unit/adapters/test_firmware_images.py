from __future__ import annotations

import pytest

from racksalt.adapters.firmware_images import check_image
from racksalt.conductor.ports import FirmwareImage
from racksalt.model.errors import InvalidInputError

DIGEST = "ab" * 32


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://192.0.2.1/x", "image.bin", "http://"])
def test_only_web_addresses_are_fetched(url):
    """A local file of the master is never read in the name of firmware."""
    with pytest.raises(InvalidInputError, match="not an address of http"):
        check_image(FirmwareImage(url=url, sha256=DIGEST))


def test_an_image_that_cannot_be_fetched_is_told_with_its_reason():
    """Before the BMC is asked."""
    with pytest.raises(InvalidInputError, match=r"cannot be fetched: .*refused"):
        check_image(FirmwareImage(url="http://127.0.0.1:1/x", sha256=DIGEST))
