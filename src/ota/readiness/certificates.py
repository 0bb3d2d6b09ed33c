"""What is wrong with a server's certificate, in words, and what would mend it.

Owns the meaning of OpenSSL's verification codes (`man X509_STORE_CTX_get_error`). Does not own the
handshake (`exchange`), nor whether a certificate is verified at all (`ota.resolve.probes` decides).

Source: contract specification 13.
"""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from ota.readiness.results import ProbeResult, failed

if TYPE_CHECKING:
    import ssl

_TRUST = "have this machine trust the authority that signed it (`SSL_CERT_FILE=<its PEM file>` names one)"
_RENEW = "have whoever runs the server renew its certificate"
_OWN = "; for a server of this contract, point `target` at its listener instead of a `url`"

_TROUBLES: dict[int, tuple[str, str]] = {
    9: ("is not valid yet", "compare the clock of this machine with the certificate's first day"),
    10: ("has expired", _RENEW),
    18: ("is self-signed, and this machine does not trust it", _TRUST + _OWN),
    19: ("is signed by an authority of its own making that this machine does not trust", _TRUST + _OWN),
    20: ("is signed by an authority that this machine does not know", _TRUST),
    21: ("is signed by an authority that the server does not show", _TRUST),
    23: ("was revoked", _RENEW),
    62: ("is made out to another name", "ask for the server by a name that stands in its certificate"),
    64: ("is made out to another address", "ask for the server by a name that stands in its certificate"),
}


def untrusted(host: str, error: "ssl.SSLCertVerificationError") -> ProbeResult:
    """An attempt that ended because the certificate of `host` does not hold."""
    reason = error.verify_message or str(error)
    words, fix = _TROUBLES.get(error.verify_code, (f"is not trusted: {reason}", _TRUST))
    return replace(failed("connection", "certificate", f"the certificate of {host} {words}"), fix=fix)
