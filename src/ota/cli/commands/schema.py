"""`ota schema`: the JSON Schema of `ota.yaml`, for editors and other tools.

Source: commands specification 1.9; the schema itself is `ota.contract.schema`'s.
"""

from pathlib import Path

from ota.cli.flags import Arguments
from ota.cli.session import Session, absolute


def run(arguments: Arguments, session: Session) -> int:
    """Print the schema, or write it to a file."""
    from ota.cli.render.json import document_text, print_document
    from ota.contract.schema import contract_schema

    output = arguments.value("--output")
    if output is None:
        print_document(contract_schema(), session.out)
        return 0
    from ota.system.files import write_of_user

    path = Path(output)
    write_of_user(absolute(path), document_text(contract_schema()).encode())
    print(f"Wrote the contract schema to {path}", file=session.err)
    return 0
