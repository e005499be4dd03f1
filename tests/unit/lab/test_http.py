"""The machines' HTTP client against a scripted socket."""

from __future__ import annotations

import asyncio

import pytest

from racksalt.lab.http import Caller, HttpError


def exchange(*answers, calls=1, source=None):
    """Serve one raw answer for each request (None: hang up) and return what the calls gave."""

    async def scenario():
        left, connections, requests = list(answers), [], []

        async def serve(reader, writer):
            connections.append(writer.get_extra_info("peername")[0])
            try:
                while left:
                    requests.append(await reader.readuntil(b"\r\n\r\n"))
                    answer = left.pop(0)
                    if answer is None:
                        break
                    writer.write(answer)
            except asyncio.IncompleteReadError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x?y=1"
        caller = Caller(source)
        try:
            told = [await caller.call("GET", url, token="t") for _ in range(calls)]
        finally:
            caller.close()
            server.close()
            await server.wait_closed()
            await asyncio.sleep(0)
        return told, connections, requests

    return asyncio.run(scenario())


def plain(body=b"ok", head=b""):
    """Return an answer with a length."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), head, body)


def test_a_connection_is_kept():
    """Two calls, one connection, with method, path, host and token."""
    told, connections, requests = exchange(plain(b"1"), plain(b"2"), calls=2)
    assert [answer.body for answer in told] == [b"1", b"2"]
    assert len(connections) == 1
    assert requests[0].startswith(b"GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"Authorization: Bearer t\r\n" in requests[0]


def test_calls_come_from_the_given_address():
    """The far end sees the machine's own address."""
    assert exchange(plain(), source="127.7.7.7")[1] == ["127.7.7.7"]


def test_a_kept_connection_that_was_closed_is_made_anew():
    """A call on a connection that the server has dropped is said again."""
    told, connections, _ = exchange(plain(b"1", b"Connection: close\r\n"), plain(b"2"), calls=2)
    assert [answer.body for answer in told] == [b"1", b"2"]
    assert len(connections) <= 2


def test_a_chunked_body_is_put_together():
    """Chunks, extensions and trailers are understood."""
    body = b"3;x=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    assert exchange(answer)[0][0].body == b"abcde"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_answer_raises_one_kind_of_error(answer):
    """Hang-ups, other protocols, short, huge and broken bodies are all HttpError."""
    with pytest.raises(HttpError):
        exchange(answer)
