"""Certificates of a test authority, made by OpenSSL for the test: good, expired, for another name."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_CONFIG = """
[ca]
default_ca = own
[own]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
"""


@dataclass(frozen=True)
class Authority:
    """A certificate authority in a folder of its own."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Authority":
        if shutil.which("openssl") is None:
            pytest.skip("openssl makes the certificates of this test, and it is not installed")
        (folder / "index").write_text("")
        (folder / "ca.cnf").write_text(_CONFIG.format(folder=folder))
        made = cls(folder)
        made._ask("req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
                  "-subj", "/CN=test authority")  # fmt: skip
        return made

    @property
    def trusted(self) -> Path:
        """What `SSL_CERT_FILE` has to name for this authority to be trusted."""
        return self.folder / "ca.pem"

    def signed(self, name: str, names: str, *, until: str = "21000101000000Z") -> Path:
        """Certificate and key in one file; `names` as `DNS:localhost,IP:127.0.0.1`."""
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        self._ask(
            "req", "-new", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"
        )
        self._ask("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key",
                  "-in", f"{name}.csr", "-out", f"{name}.crt", "-extfile", f"{name}.ext",
                  "-startdate", "20200101000000Z", "-enddate", until)  # fmt: skip
        return self._both(name)

    def self_signed(self, name: str, names: str) -> Path:
        """A certificate that nobody but itself stands for."""
        self._ask("req", "-x509", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "2",
                  "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}")  # fmt: skip
        return self._both(name)

    def _both(self, name: str) -> Path:
        both = self.folder / f"{name}.pem"
        both.write_bytes(
            (self.folder / f"{name}.key").read_bytes() + (self.folder / f"{name}.crt").read_bytes()
        )
        return both

    def _ask(self, *words: str) -> None:
        done = subprocess.run(
            ["openssl", *words], cwd=self.folder, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
