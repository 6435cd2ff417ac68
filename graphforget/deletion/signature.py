"""Signatures of receipts by OpenSSF's model-signing, with an elliptic-curve key of the controller's, offline.

The seal of a receipt is checked with the controller's own secret; a signature can be checked by anybody who has the
public key. It lies beside the receipt, as ``000001.sig``, in the tool's own format: ``model_signing verify key`` reads
it as well. No network is asked: neither a certificate nor a transparency log belongs to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from graphforget.errors import InputError, missing_extra

Sign = Callable[[Path], Path]


def signature_of(receipt: Path) -> Path:
    """Where the signature of a receipt lies.

    Example:
        >>> signature_of(Path("receipts/000001.json")).name
        '000001.sig'
    """
    return receipt.with_suffix(".sig")


def signer(private_key: Path) -> Sign:
    """Return a function that signs a receipt and returns the signature's file; the key is tried at once.

    Args:
        private_key: PEM of an elliptic curve (prime256v1, secp384r1 or secp521r1), without a password.

    Raises:
        MissingExtra: model-signing is not installed.
        InputError: the key cannot be used.
    """
    try:
        from model_signing import signing
    except ImportError as error:
        raise missing_extra("model_signing", "sign") from error
    remedy = "make one with: openssl ecparam -name prime256v1 -genkey -noout -out key.pem"
    with _usable("private key", private_key, remedy):
        config = signing.Config().use_elliptic_key_signer(private_key=private_key)

    def sign(receipt: Path) -> Path:
        config.sign(receipt, signature_of(receipt))
        return signature_of(receipt)

    return sign


def verify_signature(receipt: Path, public_key: Path) -> list[str]:
    """Check the signature that lies beside a receipt.

    Args:
        receipt: the file.
        public_key: PEM of the signer's public key.

    Returns:
        What is wrong, in words; [] of a sound signature.

    Raises:
        MissingExtra: model-signing is not installed.
        InputError: the key cannot be used.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from model_signing import verifying
    except ImportError as error:
        raise missing_extra("model_signing", "sign") from error
    with _usable("public key", public_key, "make it with: openssl ec -in key.pem -pubout -out public.pem"):
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    path = signature_of(receipt)
    if not path.is_file():
        return [f"there is no signature {path.name} beside the receipt"]
    try:
        config.verify(receipt, path)
    except (InvalidSignature, ValueError, KeyError, TypeError) as error:
        told = str(error) or type(error).__name__
        return [f"the signature {path.name} does not fit the receipt and the public key ({told[:200]})"]
    return []


@contextmanager
def _usable(name: str, path: Path, remedy: str) -> Iterator[None]:
    """Name a key that cannot be read."""
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"the {name} {str(path)!r} cannot be used (got {error}); {remedy}") from error
