"""A receiver of webhooks on loopback, which verifies by the standard's own library."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # the example of the standard's own libraries


@dataclass
class Received:
    """What has arrived, and what is answered next; 204 once nothing else is left to say."""

    answers: list[int] = field(default_factory=list)
    messages: list[tuple[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    url: str = ""


@contextmanager
def receiver(*answers: int) -> Iterator[Received]:
    """Receive; the first requests are answered with the given statuses, and not taken."""
    received = Received(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = received.answers.pop(0) if received.answers else 204
            if status == 204:
                message = Webhook(SECRET).verify(body, dict(self.headers))
                received.messages.append((self.headers["webhook-id"], message))
                received.arrived.set()
            else:
                received.refused.append(self.headers["webhook-id"])
            self.send_response(status)
            self.send_header("Location", received.url)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    received.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
