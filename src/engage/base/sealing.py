"""Secrets that engage has to know again, such as those of webhooks: sealed in the database, AES-256-GCM.

The key is made of ENGAGE_SEALING_KEY, or, where that is not set, of ENGAGE_JWT_SECRET (HKDF-SHA256, RFC 5869). What
was sealed with one key cannot be opened with another: changing the setting makes the sealed secrets void. What is
sealed is bound to where it belongs, so that it cannot be moved to another row.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engage.base.settings import Settings

FORMAT = b"\x01"
NONCE_BYTES = 12
KEY_BYTES = 32


class CannotUnseal(Exception):  # noqa: N818 -- named for the condition
    """It was sealed with another key, for another place, or it was changed; or this process has no key."""


class _State:
    """The key of this process; None where neither secret is set."""

    cipher: AESGCM | None = None


def use(config: Settings) -> None:
    """Take the key of these settings; a process does so at its start."""
    secret = config.sealing_key.get_secret_value() or config.jwt_secret.get_secret_value()
    if not secret:
        _State.cipher = None
        return
    derive = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"engage sealing 1")
    _State.cipher = AESGCM(derive.derive(secret.encode()))


def seal(secret: str, belongs_to: str) -> bytes:
    """The secret for the database, to be opened with the same `belongs_to`.

    Raises CannotUnseal in a process without a key, since what it sealed could not be opened.
    """
    nonce = os.urandom(NONCE_BYTES)
    return FORMAT + nonce + _cipher().encrypt(nonce, secret.encode(), belongs_to.encode())


def unseal(sealed: bytes, belongs_to: str) -> str:
    """The secret. Raises CannotUnseal."""
    nonce, text = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
    try:
        if sealed[:1] != FORMAT:
            raise ValueError("another format")
        return _cipher().decrypt(nonce, text, belongs_to.encode()).decode()
    except (InvalidTag, ValueError) as error:
        raise CannotUnseal(
            "A sealed secret cannot be opened: ENGAGE_SEALING_KEY is not the one that it was sealed with."
        ) from error


def _cipher() -> AESGCM:
    if _State.cipher is None:
        raise CannotUnseal("This process cannot open sealed secrets: set ENGAGE_SEALING_KEY, the same everywhere.")
    return _State.cipher
