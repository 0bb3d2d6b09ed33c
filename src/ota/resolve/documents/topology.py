"""`ota execution topology`: the declared topology, normalised; nothing resolved, reserved or probed.

Source: json-and-receipts specification 2.7, 3.11; commands specification 6.
"""

from ota.contract.load import Loaded
from ota.contract.model.execution import SharedBackend
from ota.contract.planes import Planes
from ota.resolve.documents.identity import contract_identity, declared_execution
from ota.resolve.documents.readiness import probe_document, surface_document
from ota.resolve.documents.services import service_document
from ota.resolve.documents.shape import Document, compact
from ota.resolve.documents.tasks import TaskDocuments
from ota.system.host import HostFacts


def topology_document(loaded: Loaded, host: HostFacts, *, member: str | None = None) -> Document:
    """The whole document. Internal tasks are in it: a topology is no menu."""
    contract = loaded.contract
    planes = Planes(contract)
    tasks = TaskDocuments(contract, host, topology=True)
    backends = planes.execution.shared_backends
    document = {"ok": True, "path": loaded.shown, "contract": loaded.shown}
    return document | compact(
        member=member,
        contract_identity=contract_identity(contract),
        declared_execution=declared_execution(contract, planes),
        shared_backends=[_shared_backend(name, backends[name]) for name in sorted(backends)],
        readiness_probes={
            name: probe_document(probe, planes, contract.tasks)
            for name, probe in sorted(contract.readiness.probes.items())
        },
        surfaces={name: surface_document(surface) for name, surface in sorted(contract.surfaces.items())},
        services=[
            service_document(name, contract.services[name], planes) for name in sorted(contract.services)
        ],
        tasks=[tasks.entry(name) for name in sorted(contract.tasks)],
    )


def _shared_backend(name: str, backend: SharedBackend) -> Document:
    """`sharedBackendDecl`."""
    environment = backend.environment
    return compact(
        name=name,
        scope=backend.scope,
        backend=backend.backend,
        lifecycle=backend.lifecycle,
        context=backend.context,
        fulfillment=backend.fulfillment,
        environment=compact(
            profile=environment.profile,
            image_alias=environment.image_alias,
            image=environment.image,
            source=environment.source,
        )
        if environment is not None
        else None,
    )
