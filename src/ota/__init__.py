"""ota: repo readiness from one contract.

`VERSION` is the package's own version. `CONTRACT_LEVEL` is the newest contract
level this build understands; `metadata.ota.minimum_version` is compared with it.
"""

VERSION = "0.1.0"
CONTRACT_LEVEL = "1.6.26"
