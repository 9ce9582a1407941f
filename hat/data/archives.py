"""Text inside tar and zip archives, read from where it is."""

import contextlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hat.errors import DataError


@dataclass(frozen=True)
class Member:
    """A file inside a tar or zip archive."""

    archive: Path
    name: str

    def __str__(self) -> str:
        return f"{self.archive}: {self.name}"

    @contextlib.contextmanager
    def open(self) -> Iterator[Any]:
        """Open it for reading bytes; DataError, then or while it is read, if it isn't in there or damaged."""
        try:
            with self._opened() as handle:
                yield handle
        except KeyError:
            raise DataError(f"{self.archive} holds no {self.name}; is it the right archive?") from None
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise DataError(f"{self.archive} is damaged ({error}); fetch it again") from None

    @contextlib.contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        archive: Any
        if zipfile.is_zipfile(self.archive):
            with zipfile.ZipFile(self.archive) as archive, archive.open(self.name) as handle:
                yield handle
        else:
            with tarfile.open(self.archive) as archive, archive.extractfile(_entry(archive, self.name)) as handle:
                yield handle


def _entry(archive: tarfile.TarFile, name: str) -> tarfile.TarInfo:
    """The entry of a tar archive, found without reading on to the archive's end."""
    for entry in archive:
        if entry.name == name:
            return entry
    raise KeyError(name)
