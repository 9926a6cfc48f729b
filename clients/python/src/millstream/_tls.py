"""TLS towards a server: whom a client trusts, and what it shows of itself."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InvalidInput, Unavailable

#: The keys of a consumer's and a producer's configuration, and what they stand for.
DEFAULTS: dict[str, Any] = {
    "ssl.ca.location": None,
    "ssl.fingerprint": None,
    "ssl.certificate.location": None,
    "ssl.key.location": None,
}
_CONNECT_TIMEOUT_S = 10.0
_SHA256_DIGITS = 64


@dataclass(frozen=True)
class Tls:
    """What TLS takes beside the URL; without any of it the machine's own certificates are trusted."""

    ca_file: str | None = None
    fingerprint: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None

    @staticmethod
    def of(settings: Mapping[str, Any]) -> Tls:
        """Those of a configuration."""
        return Tls(*(settings[key] for key in DEFAULTS))

    def arguments(self, host: str, port: int) -> dict[str, Any]:
        """What pyarrow's client is opened with. With a fingerprint the server is asked for its certificate now.

        :raises InvalidInput: a file or the fingerprint can't be used.
        :raises Unavailable: the server can't be reached, or shows another certificate."""
        arguments: dict[str, Any] = {}
        if (self.certificate_file is None) != (self.key_file is None):
            raise InvalidInput("a client's certificate and its key are given together", "invalid_input")
        if self.certificate_file is not None and self.key_file is not None:
            arguments["cert_chain"] = _read(self.certificate_file)
            arguments["private_key"] = _read(self.key_file)
        if self.ca_file is not None:
            arguments["tls_root_certs"] = _read(self.ca_file)
        if self.fingerprint is not None:
            der = self._certificate(host, port)
            if self.ca_file is None:
                # It is trusted by itself, so that whatever name it has will do.
                pem = ssl.DER_cert_to_PEM_cert(der)
                arguments["tls_root_certs"] = pem.encode()
                arguments["override_hostname"] = self._name(host, port, pem)
        return arguments

    def _certificate(self, host: str, port: int) -> bytes:
        """What the server shows, which is what is wanted."""
        wanted = _digits(self.fingerprint or "")
        context = self._context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with _connect(context, host, port) as stream:
            der = stream.getpeercert(binary_form=True) or b""
        found = hashlib.sha256(der).hexdigest()
        if found != wanted:
            raise Unavailable(f"the certificate of {host}:{port} is SHA256:{found}, not SHA256:{wanted}", "retry")
        return der

    def _name(self, host: str, port: int, pem: str) -> str:
        """A name in the certificate: its host, if it has that one."""
        context = self._context()
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        context.load_verify_locations(cadata=pem)
        with _connect(context, host, port) as stream:
            certificate: dict[str, Any] = stream.getpeercert() or {}
        names = [name for kind, name in certificate.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
        if host in names or not names:
            return host
        return next((name for name in names if not name.startswith("*")), host)

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_alpn_protocols(["h2"])
        if self.certificate_file is not None:
            try:
                context.load_cert_chain(self.certificate_file, self.key_file)
            except (OSError, ssl.SSLError) as error:
                raise InvalidInput(f"{self.certificate_file} can't be used: {error}", "invalid_input") from error
        return context


def _connect(context: ssl.SSLContext, host: str, port: int) -> ssl.SSLSocket:
    """A connection by TLS; what fails is ``Unavailable``."""
    try:
        plain = socket.create_connection((host, port), _CONNECT_TIMEOUT_S)
        try:
            return context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
    except OSError as error:
        raise Unavailable(f"{host}:{port} can't be reached by TLS: {error}", "retry") from error


def _digits(fingerprint: str) -> str:
    """``AB:CD:…`` and ``SHA256:abcd…`` as plain digits."""
    digits = fingerprint.strip().removeprefix("SHA256:").replace(":", "").lower()
    if len(digits) != _SHA256_DIGITS or any(digit not in "0123456789abcdef" for digit in digits):
        raise InvalidInput(f"{fingerprint!r} is no fingerprint: the SHA-256 has 64 hexadecimal digits", "invalid_input")
    return digits


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(f"the certificates can't be read: {error}", "invalid_input") from error
