"""What comes back from a service that is not what it should be."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import pytest

from racksalt.adapters.redfish_http import Answer, RedfishLink, extended_info, link
from racksalt.model.errors import BmcRefusedError, BmcUnreachableError
from tests.support.redfish_rig import PASSWORD, redfish_rig


def test_a_link_is_a_path_and_never_another_host():
    """A BMC that names another host gets no request there, and nobody gets its token."""
    assert link(
        {"Systems": {"@odata.id": "https://evil.example.org/redfish/v1/Systems"}}, "Systems"
    ) == ("/redfish/v1/Systems")
    assert link({"Systems": ["x"]}, "Systems") == ""
    assert (
        Answer(status=201, headers={"location": "https://evil.example.org/x/1"}).location == "/x/1"
    )


def test_the_messages_of_an_error_are_found():
    """Extended information where there is some, else the message."""
    info = [{"Message": "No."}, {"Message": "Never."}]
    assert extended_info({"error": {"@Message.ExtendedInfo": info}}) == "No. Never."
    assert extended_info({"error": {"message": "Oh."}}) == "Oh."
    assert extended_info({"error": "x"}) == ""


@contextmanager
def answering(raw: bytes):
    """Listen on loopback and answer every connection with ``raw``; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    taken, _ = server.accept()
                except OSError:
                    return
                with taken:
                    taken.recv(4096)
                    taken.sendall(raw)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_port_that_speaks_no_tls_is_unreachable():
    """Plain HTTP, where a password could be read, is never spoken."""
    with (
        answering(b"HTTP/1.1 200 OK\r\n\r\n{}") as port,
        pytest.raises(BmcUnreachableError, match="TLS"),
    ):
        RedfishLink("127.0.0.1", port, "admin", "p", "ab" * 32)


def test_a_relative_path_is_not_followed(tmp_path):
    """Links of a BMC are judged before they are used."""
    with redfish_rig(tmp_path) as lab:
        made = RedfishLink(
            "127.0.0.1", lab.ports[0], "admin", PASSWORD, lab.front.certificate.sha256
        )
        with pytest.raises(BmcRefusedError, match="named no path"):
            made.get("evil")
        made.close()
