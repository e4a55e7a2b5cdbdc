"""Download of one file: whole and verified, or not there at all.

TFDS' own download manager looks checksums up by address in files beside the builder and names what
it keeps by address too. Here a prepared corpus is named after the content of its sources, so they
must lie under known names before a builder exists.
"""

import contextlib
import hashlib
import http.client
import logging
import os
import urllib.error
import urllib.request
import uuid
from pathlib import Path

from eacl_jax.errors import UserError
from eacl_jax.files.checksum import sha256_of

logger = logging.getLogger("eacl_jax.corpora")

_CHUNK = 1 << 16
_TIMEOUT = 60.0  # seconds without an answer


def fetch(url: str, target: Path, *, sha256: str | None = None) -> bool:
    """Downloads `url` to `target` unless it is there already, with the right content where that is
    known.

    Safe with several processes: each writes a file of its own and renames it into place.

    Args:
      url: where from.
      target: where to; its folder is made.
      sha256: what the content must hash to; None where that is not known.

    Returns:
      Whether something was downloaded.

    Raises:
      UserError: the server cannot be reached or refuses, the body is cut short, its checksum
        differs, or the disk refuses.
    """
    if target.is_file() and (sha256 is None or sha256_of(target) == sha256):
        return False
    advice = f"Get {target.name} by other means and set config.data.dir to its folder."
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        logger.info("downloading %s", url)
        received, digest = _stream(url, partial)
        if sha256 is not None and digest != sha256:
            raise UserError(
                f"{url} gave {received} bytes with sha256 {digest}, expected {sha256}: it is not"
                f" the published file. {advice}"
            )
        os.replace(partial, target)
    except urllib.error.HTTPError as error:
        raise UserError(f"{url} answered {error.code} {error.reason}. {advice}") from error
    except urllib.error.URLError as error:
        raise UserError(
            f"cannot reach {url}: {error.reason}. Without a network: {advice}"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"cannot download {url} to {target}: {error or type(error).__name__}. {advice}"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return True


def _stream(url: str, partial: Path) -> tuple[int, str]:
    digest, received = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as response, partial.open("xb") as file:
        promised = response.length
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            digest.update(chunk)
            received += len(chunk)
    # Reading in pieces ends without an error when the connection closes early.
    if promised is not None and received != promised:
        raise http.client.IncompleteRead(b"", promised - received)
    return received, digest.hexdigest()
