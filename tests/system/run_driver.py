"""The smallest run: journal, guardian, one workload, cleaning. Started and killed by the tests."""

import os
import sys
from pathlib import Path

from ota.system.guardian import Guardian, arm_guardian, end_what_is_owned
from ota.system.interrupts import Interrupts
from ota.system.journal import open_journal
from ota.system.spawn import SpawnRequest
from ota.system.workload import Workload
from system.following import follow_interrupts


def say(*words: object) -> None:
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


def main(repo: Path, run_id: str, script: str, watch: str) -> int:
    with Interrupts() as interrupts:
        epoch = interrupts.epoch()
        path = repo / ".ota/state/active" / f"{run_id}.jsonl"
        guardian = arm_guardian(path, run_id=run_id) if watch == "guarded" else Guardian(0, -1, None)
        say("armed", guardian.pid)
        with guardian:
            journal = open_journal(repo, run_id=run_id, task="dev")
            intent = journal.intent("process", "dev")
            request = SpawnRequest(
                argv=("/bin/sh", "-c", script), cwd=repo, env=dict(os.environ), run_id=run_id
            )
            with Workload(request, interrupts=interrupts) as workload:
                journal.started(intent, workload.leader)
                say("started", workload.leader.pid)
                forward = follow_interrupts(workload, interrupts, epoch, grace_s=0.5)
                forward()
                end = workload.supervise(lambda _stream, data: None, on_wake=forward)
            assert end is not None
            journal.ended(intent, end.exit_code)
            record = end_what_is_owned(run_id, (workload.leader,))
            journal.cleaned(len(record.ended))
            journal.close()
    return end.exit_code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:5]))
