"""A form with files, read as it arrives: each file is written once, straight to its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from palio.errors import InvalidInput, StoreUnavailable
from palio.registry.paths import Paths

__all__ = ["Upload", "received"]

_WRITE_BYTES = 1 << 20  # as much is gathered before a thread is asked to write it
_DRAFT_BYTES = 1 << 20
_DISPOSITION = b"content-disposition"


async def received(request: Request, folder: Path) -> Upload:
    """Read a request's form to its end, its files into ``folder``.

    Raises
    ------
    InvalidInput
        If it is no such form, breaks off, or has a part or a file name that cannot be taken.
    StoreUnavailable
        If the files cannot be written.
    """
    upload = Upload(request.headers.get("content-type", ""), folder)
    waiting = bytearray()
    try:
        async for chunk in request.stream():
            waiting += chunk
            if len(waiting) >= _WRITE_BYTES:
                await run_in_threadpool(upload.write, bytes(waiting))
                waiting.clear()
        await run_in_threadpool(upload.write, bytes(waiting))
    except ClientDisconnect as gone:
        raise _broken("breaks off") from gone
    finally:
        upload.close()
    if not upload.whole:
        raise _broken("breaks off")
    return upload


class Upload:
    """The parts of a form: ``draft``, and ``files`` or one ``archive``.

    Parameters
    ----------
    content_type
        The header of the form, which names the boundary between its parts.
    folder
        An empty folder for the files.
    """

    def __init__(self, content_type: str, folder: Path) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise _broken("is no multipart/form-data with a boundary")
        self.draft: bytearray | None = None
        self.archive: Path | None = None
        self.whole = False
        self._folder = folder
        self._paths = Paths("files")
        self._header = self._value = self._disposition = b""
        self._file: BinaryIO | None = None
        with _form():
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._add_header,
                    "on_header_value": self._add_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open,
                    "on_part_data": self._add,
                    "on_part_end": self.close,
                    "on_end": self._end,
                },
            )

    def write(self, data: bytes) -> None:
        """Take the next bytes of the form."""
        with _form():
            self._parser.write(data)

    def close(self) -> None:
        """Close the file that is being written."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _begin(self) -> None:
        self._disposition = b""

    def _add_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == _DISPOSITION:
            self._disposition = self._value
        self._header = self._value = b""

    def _open(self) -> None:
        options = parse_options_header(self._disposition)[1]
        part = options.get(b"name", b"").decode(errors="replace")
        if part == "draft" and self.draft is None:
            self.draft = bytearray()
            return
        if part not in {"files", "archive"} or self.archive or (part == "archive" and self._any):
            raise InvalidInput(
                f"the part {part[:99]!r} cannot be taken; send one part 'draft', and a part "
                "'files' for each file or one part 'archive'",
                field=part[:99],
            )
        target = self._folder / self._paths.add(self._file_name(options.get(b"filename", b"")))
        target.parent.mkdir(parents=True, exist_ok=True)
        self._file = target.open("xb")
        self.archive = target if part == "archive" else None

    def _file_name(self, name: bytes) -> str:
        # what reads the header cuts "C:\up" down to "up": no other file than the one named
        if b"\\" in self._disposition.replace(b'\\"', b""):
            name = self._disposition
        try:
            return name.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"the file name {name[:99]!r} is no UTF-8", field="files", value=repr(name[:99])
            ) from error

    @property
    def _any(self) -> bool:
        return any(self._folder.iterdir())

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])
        elif self.draft is not None:
            self.draft += data[start:end]
            if len(self.draft) > _DRAFT_BYTES:
                raise InvalidInput(
                    f"the part 'draft' is larger than {_DRAFT_BYTES} bytes", field="draft"
                )

    def _end(self) -> None:
        self.whole = True


@contextmanager
def _form() -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        raise _broken(f"cannot be read: {error}") from error
    except OSError as error:
        raise StoreUnavailable(
            f"the upload cannot be written: {error.strerror}; check that the server's folder for "
            "temporary files has space, or give the files shorter names"
        ) from error


def _broken(why: str) -> InvalidInput:
    return InvalidInput(
        f"the form {why}; send multipart/form-data to its end, with a part 'draft' and a part "
        "'files' for each file",
        field="body",
    )
