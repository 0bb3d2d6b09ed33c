"""Every command of ota, as data. Help, dispatch and completion read this table.

Source: commands specification 1.1 (order), 2 to 24.
"""

from ota.cli.flags import JSON, MEMBER, MEMBERS, PATH, SELECTORS, WORKFLOW, Command, Flag, Positional

_HOST_PORT = Flag(
    name="--host-port",
    metavar="PORT",
    help="Publish the primary listener on this host port for one run (container execution)",
)
_MEMORY = Flag(name="--memory", metavar="SIZE", help="Container memory for this run, such as 512MiB or 2GiB")

_CAPTURES = ("--mode", "--lifecycle", "--workflow", "--member")
"""What says how to capture, and so nothing to a look into the archive."""

COMMANDS: tuple[Command, ...] = (
    Command(
        name="doctor",
        summary="Diagnose the repository: blockers first, each with the one next step",
        module="ota.cli.commands.doctor",
        groups_members=True,
        positionals=(PATH,),
        flags=(
            JSON,
            *SELECTORS,
            WORKFLOW,
            Flag(name="--fix", help="Add ota's own ignore rules to .gitignore; nothing else is changed"),
            Flag(name="--dry-run", help="With --fix: show the change and write nothing", needs="--fix"),
            MEMBERS,
        ),
        details=(
            "Runs version probes, declared checks and readiness probes. It starts no task or service, "
            "provisions nothing and writes nothing (except --fix).\n"
            "Exit code: 0 without errors, 1 with any."
        ),
        examples=(
            ("ota doctor", "is this repository ready on this machine?"),
            ("ota doctor --workflow backend", "only what one workflow needs"),
            ("ota doctor --json", "one document for CI or an agent"),
            ("ota doctor --fix --dry-run", "preview the .gitignore rules"),
        ),
    ),
    Command(
        name="explain",
        summary="Turn the diagnosis into an ordered plan of repairs",
        module="ota.cli.commands.explain",
        positionals=(PATH,),
        flags=(JSON, WORKFLOW, MEMBERS),
        examples=(
            ("ota explain", "what to mend, in which order"),
            ("ota explain --json", "the plan for a program"),
        ),
    ),
    Command(
        name="up",
        summary="Bring a workflow up: services, setup, run task, and the proof that it is ready",
        module="ota.cli.commands.up",
        groups_members=True,
        positionals=(PATH,),
        flags=(
            WORKFLOW,
            *SELECTORS,
            Flag(
                name="--detach",
                help="Leave the run task running once everything is ready",
                conflicts=("--attach", "--stream"),
            ),
            Flag(
                name="--attach",
                help="Stay in the foreground with the run task, or with the declared attach task",
                conflicts=("--detach",),
            ),
            Flag(
                name="--ready-timeout",
                metavar="DURATION",
                help="How long the run task may take to be ready: 90s, 5m, 1h",
            ),
            _HOST_PORT,
            Flag(
                name="--stream",
                help="Show what services, setup and run task print, as it comes",
                conflicts=("--json", "--dry-run", "--detach"),
            ),
            Flag(name="--receipt", help="Print the full receipt as well", conflicts=("--dry-run",)),
            Flag(
                name="--dry-run",
                help="Show what would happen; start nothing and change nothing",
                conflicts=("--receipt", "--stream"),
            ),
            Flag(
                name="--json",
                help="Print one JSON document on standard output",
                conflicts=("--stream",),
            ),
            Flag(name="--agent", help="Refuse unless every task of the path is agent-safe"),
            Flag(
                name="--stop",
                help="End the run tasks that --detach left running, or that of --workflow; services stay",
                conflicts=(
                    "--mode",
                    "--lifecycle",
                    "--detach",
                    "--attach",
                    "--ready-timeout",
                    "--host-port",
                    "--stream",
                    "--receipt",
                    "--dry-run",
                    "--agent",
                ),
            ),
            MEMBERS,
        ),
        details=(
            "Phases: prepare, preconditions, services, setup, run, post-up diagnosis. The run task is ended "
            "again once everything was proven, unless --detach or --attach says otherwise. Services are "
            "left running; nothing that was running before is ended.\n"
            "Exit code: 0 only when ready; the code of the service, setup or run task that failed; 1 else."
        ),
        examples=(
            ("ota up", "the default workflow, proven and ended again"),
            ("ota up --workflow backend --detach", "one workflow, and its run task keeps running"),
            ("ota up --stop", "end what was left running"),
            ("ota up --attach", "stay with the run task until Ctrl-C"),
            ("ota up --dry-run --json", "what would happen, for a program"),
        ),
    ),
    Command(
        name="run",
        summary="Run a task with everything it needs",
        module="ota.cli.commands.run",
        positionals=(
            Positional(name="TASK", help="The task to run", is_required=True, completes="tasks"),
            PATH,
        ),
        flags=(
            *SELECTORS,
            _HOST_PORT,
            _MEMORY,
            Flag(name="--skip-deps", help="Skip the task's own dependencies"),
            Flag(name="--jobs", metavar="N", help="Run independent dependencies side by side, at most N"),
            Flag(
                name="--stream",
                help="Show child output live, also without a terminal",
                conflicts=("--dry-run", "--json"),
            ),
            Flag(
                name="--log",
                help="Keep stdout and stderr under .ota/state/logs/<run-id>/",
                conflicts=("--dry-run",),
            ),
            Flag(name="--receipt", help="Print the full receipt after the output", conflicts=("--dry-run",)),
            Flag(
                name="--archive",
                help="Keep the receipt under .ota/receipts/",
                conflicts=("--dry-run",),
            ),
            Flag(
                name="--dry-run",
                help="Show what would happen and execute nothing",
                conflicts=("--receipt", "--stream", "--log", "--archive"),
            ),
            Flag(
                name="--json",
                help="Print one JSON document on standard output; task output goes to standard error",
                conflicts=("--stream",),
            ),
            Flag(name="--quiet", help="With --json: keep task output off standard error", needs="--json"),
            WORKFLOW,
            Flag(name="--agent", help="Refuse unless the task and all it reaches are agent-safe"),
            MEMBERS,
        ),
        takes_inputs=True,
        details=(
            "Order: the task, an optional PATH, ota's flags, then the task's own inputs.\n"
            "Inputs are written `--name value` or `--name=value`; `--` starts them explicitly."
        ),
        examples=(
            ("ota run test", "run a task of the contract found from here upwards"),
            ("ota run dev --log", "run a service and keep its output on disk"),
            ("ota run release --native -- --version 1.4.0", "choose the plane, then give an input"),
            ("ota run build --dry-run --json", "preview for a program"),
        ),
    ),
    Command(
        name="validate",
        summary="Check a contract without running anything",
        module="ota.cli.commands.validate",
        groups_members=True,
        positionals=(PATH,),
        flags=(JSON, MEMBER),
        examples=(
            ("ota validate", "check the contract found from here upwards"),
            ("ota validate services/api --json", "another directory, one JSON document for a program"),
        ),
    ),
    Command(
        name="tasks",
        summary="List tasks, or the pieces of one workflow",
        module="ota.cli.commands.tasks",
        groups_members=True,
        positionals=(PATH,),
        flags=(
            JSON,
            Flag(name="--all", help="Include internal tasks"),
            Flag(name="--use", help="Show the exact command for each task"),
            Flag(name="--safe", help="Only agent-safe tasks", conflicts=("--unsafe",)),
            Flag(name="--unsafe", help="Only tasks that are not agent-safe", conflicts=("--safe",)),
            Flag(
                name="--via",
                metavar="PLANE",
                choices=("native", "container", "remote"),
                help="Only tasks runnable on this plane",
            ),
            WORKFLOW,
            MEMBERS,
        ),
        examples=(
            ("ota tasks --use", "what to type for each task"),
            ("ota tasks --all --json", "everything"),
        ),
    ),
    Command(
        name="workflows",
        summary="List workflows and what they are made of",
        module="ota.cli.commands.workflows",
        groups_members=True,
        positionals=(PATH,),
        flags=(JSON, MEMBERS),
        examples=(("ota workflows", "list them"),),
    ),
    Command(
        name="services",
        summary="List declared services",
        module="ota.cli.commands.services",
        groups_members=True,
        positionals=(PATH,),
        flags=(JSON, MEMBERS),
        examples=(("ota services --json", "for a program"),),
    ),
    Command(
        name="check",
        summary="Run the configured checks, and nothing else",
        module="ota.cli.commands.check",
        groups_members=True,
        positionals=(PATH,),
        flags=(JSON, WORKFLOW, MEMBERS),
        details=(
            "The cheapest readiness gate: no tool is probed, no task or service is started. A workflow that "
            "declares its own readiness is judged by exactly that; otherwise every check counts."
        ),
        examples=(
            ("ota check", "every check, or the default workflow's readiness"),
            ("ota check --workflow backend --json", "one path, for CI"),
        ),
    ),
    Command(
        name="env",
        summary="Show resolved environment values and where each comes from",
        module="ota.cli.commands.env",
        positionals=(PATH,),
        flags=(
            JSON,
            Flag(name="--task", metavar="NAME", help="The env this task would get", completes="tasks"),
            Flag(
                name="--why",
                metavar="NAME",
                help="Explain one variable: the winner, what it shadows, file and line",
            ),
            WORKFLOW,
            MEMBER,
        ),
        examples=(
            ("ota env", "the contract's variables"),
            ("ota env --task dev --why DATABASE_URL", "where one value comes from"),
        ),
    ),
    Command(
        name="execution plan",
        summary="Show where work would run, and why",
        module="ota.cli.commands.execution_plan",
        positionals=(PATH,),
        flags=(
            JSON,
            *SELECTORS,
            Flag(
                name="--task", metavar="NAME", help="Plan this task instead of the default", completes="tasks"
            ),
            WORKFLOW,
            MEMBER,
        ),
        examples=(
            ("ota execution plan", "the default path"),
            ("ota execution plan --container --json", "what another plane would mean"),
        ),
    ),
    Command(
        name="execution topology",
        summary="Show the declared topology, normalised",
        module="ota.cli.commands.execution_topology",
        positionals=(PATH,),
        flags=(JSON, MEMBER),
        examples=(("ota execution topology --json", "for a program"),),
    ),
    Command(
        name="receipt",
        summary="Capture, keep and compare the readiness",
        module="ota.cli.commands.receipt",
        positionals=(PATH,),
        flags=(
            JSON,
            *SELECTORS,
            WORKFLOW,
            MEMBER,
            Flag(
                name="--archive",
                help="Keep the capture under .ota/receipts/",
                conflicts=("--baseline", "--history", "--snapshot", "--show"),
            ),
            Flag(
                name="--promote-baseline",
                help="With --archive: make the capture the repository's baseline",
                needs="--archive",
                conflicts=("--baseline", "--history", "--snapshot", "--show"),
            ),
            Flag(
                name="--baseline",
                metavar="BASELINE",
                help="Compare with the promoted capture, the latest of this contract and workflow, or a file",
                completes="baselines",
                conflicts=("--archive", "--history", "--snapshot", "--show"),
            ),
            Flag(
                name="--fail-on-new-blockers",
                help="With --baseline: exit 1 when there is an error that the baseline does not have",
                needs="--baseline",
            ),
            Flag(
                name="--history",
                help="List what is archived, newest first",
                conflicts=(*_CAPTURES, "--archive", "--baseline", "--snapshot", "--show"),
            ),
            Flag(
                name="--show",
                metavar="ARCHIVE",
                help="Show one archived receipt: latest, or a file",
                completes="archives",
                conflicts=(*_CAPTURES, "--archive", "--baseline", "--history", "--snapshot"),
            ),
            Flag(
                name="--snapshot",
                metavar="ARCHIVE",
                help="Show the contract an archive was made with, normalised: latest, promoted, or a file",
                completes="baselines",
                conflicts=(*_CAPTURES, "--archive", "--baseline", "--history", "--show"),
            ),
        ),
        details=(
            "Without --history, --show or --snapshot it diagnoses as ota doctor does, and only --archive "
            "writes.\n"
            "Exit code: 0 ready, 1 not ready; with --baseline 0 whenever the comparison was made and the "
            "gate, if asked for, passed."
        ),
        examples=(
            ("ota receipt", "is this repository ready, as a receipt?"),
            ("ota receipt --archive --promote-baseline", "keep it, and compare with it from now on"),
            ("ota receipt --baseline promoted --fail-on-new-blockers", "fail only on what is new"),
            ("ota receipt --show latest", "what the last archived run or capture said"),
            ("ota receipt --history", "all of them"),
        ),
    ),
    Command(
        name="clean",
        summary="Remove what this repository owns on container engines, and nothing else",
        module="ota.cli.commands.clean",
        groups_members=True,
        positionals=(PATH,),
        flags=(
            JSON,
            Flag(
                name="--stale",
                help="Remove stopped ota containers of every repository instead; needs no contract",
            ),
            Flag(name="--dry-run", help="With --stale: list them and remove nothing", needs="--stale"),
            MEMBERS,
        ),
        details=(
            "Removes persistent containers, isolation volumes, networks and containers of dead runs that the "
            "labels prove to be this repository's, also those its contract no longer declares. What only "
            "looks like ours is shown and left. Services, remote targets and files of the checkout are not "
            "touched; nothing is removed while a run of the repository is going on.\n"
            "Exit code: 0 when all was removed or nothing was there, 1 when anything stood in the way."
        ),
        examples=(
            ("ota clean", "everything of the contract found from here upwards"),
            ("ota clean services/api --json", "another repository, one document for a program"),
            ("ota clean --stale --dry-run", "which stopped containers would go, of any repository"),
        ),
    ),
    Command(
        name="schema",
        summary="Print the JSON Schema of ota.yaml",
        module="ota.cli.commands.schema",
        flags=(
            Flag(
                name="--output",
                metavar="FILE",
                help="Write it to a file instead of standard output",
                completes="files",
            ),
        ),
        examples=(("ota schema --output .ota/ota.schema.json", "for an editor's YAML language server"),),
    ),
    Command(
        name="completion",
        summary="Set up shell completion",
        module="ota.cli.commands.completion",
        positionals=(Positional(name="SHELL", help="bash, zsh or fish; or `check`", completes="shells"),),
        flags=(
            Flag(
                name="--setup",
                help="Install completion for the shell",
                conflicts=("--script", "--remove"),
            ),
            Flag(name="--script", help="Print the script", conflicts=("--setup", "--remove")),
            Flag(name="--remove", help="Remove what --setup installed", conflicts=("--setup", "--script")),
        ),
        examples=(
            ("ota completion bash", "print the script for bash"),
            ("ota completion zsh --setup", "install it"),
            ("ota completion check", "see whether it is installed"),
        ),
    ),
    Command(
        name="version",
        summary="Show the version and the contract level",
        module="ota.cli.commands.version",
        flags=(JSON,),
    ),
)
