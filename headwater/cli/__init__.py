"""The command line: `headwater <command>`.

Exit codes: 0 done · 1 failed, or a difference was found · 2 wrong usage or settings · 3 a server is
not reachable, worth a retry · 130 interrupted. An error is three lines: what, likely why, what to do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from headwater.cli.failure import exit_code, explain
from headwater.cli.invocation import Invocation
from headwater.cli.lazy import Entry, LazyGroup

TABLE = {
    "demo": Entry("headwater.cli.demo:command", "Play the project's story on servers of our own."),
    "init": Entry("headwater.cli.init:command", "Write a small project that works, to start yours from."),
    "dev": Entry("headwater.cli.dev:command", "Run everything of this project on servers of our own."),
    "worker": Entry("headwater.cli.worker:command", "Apply an application's events to its database."),
    "relay": Entry("headwater.cli.relay:command", "Move events from the outbox to their streams."),
    "admin": Entry("headwater.cli.admin:command", "Serve the admin HTTP interface; make its keys."),
    "publish": Entry("headwater.cli.publish:command", "Say one event."),
    "backfill": Entry("headwater.cli.backfill:command", "Say past facts again to one application."),
    "reconcile": Entry(
        "headwater.cli.reconcile:command", "Compare source and application; mend what differs."
    ),
    "streams": Entry(
        "headwater.cli.streams:command", "Compare declared streams with Redis, and create them."
    ),
    "groups": Entry(
        "headwater.cli.groups:command", "See how far applications are behind, and who works for them."
    ),
    "dead-letters": Entry(
        "headwater.cli.dead_letters:command", "Look at parked deliveries; replay or discard them."
    ),
    "db": Entry("headwater.cli.db:command", "Bring the databases' schemas up to date."),
    "doctor": Entry(
        "headwater.cli.doctor:command", "Check settings, servers and declarations; say what to fix."
    ),
    "bench": Entry("headwater.bench.command:command", "Measure speed beside what the servers can give."),
    "sync": Entry("headwater.cli.mounted:sync", "Run the project's own syncs."),
    "conflicts": Entry("headwater.cli.mounted:conflicts", "See what two sides edited at once; resolve it."),
    "keys": Entry("headwater.cli.mounted:keys", "Look at the keys that seal what is stored; change them."),
    "config": Entry("headwater.cli.config:command", "Show and check settings."),
}


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        import importlib.metadata  # noqa: PLC0415 (50 ms that only this option needs)

        click.echo(f"headwater {importlib.metadata.version('headwater')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    table=TABLE,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Examples:  headwater demo  ·  headwater worker crm  ·  headwater config show --sources",
)
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="The project's directory; default: here.",
)
@click.option(
    "--env-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Instead of the project's .env.",
)
@click.option("--redis-url", metavar="URL", help="Setting redis_url.")
@click.option("--source-url", metavar="URL", help="Setting source_url.")
@click.option("--json", is_flag=True, help="Print the result as JSON.")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="Nothing but the result and warnings.")
@click.option("-v", "--verbose", is_flag=True, help="Debug lines, and tracebacks of errors.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print it."
)
@click.pass_obj
def application(invocation: Invocation, /, **options: Any) -> None:
    """Keep many applications' databases in step with one source of truth, through Redis Streams."""
    invocation.project_dir = options["project"] or Path.cwd()
    invocation.env_file = options["env_file"]
    invocation.flags = {name: options[name] for name in ("redis_url", "source_url") if options[name]}
    invocation.json, invocation.color = options["json"], options["color"]
    invocation.verbosity = -1 if options["quiet"] and not options["verbose"] else int(options["verbose"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave the process with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def hoisted(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--json` in front, wherever people wrote it. Pure."""
    given = list(arguments)
    end = given.index("--") if "--" in given else len(given)
    asked = ["--json"] if "--json" in given[:end] else []
    return [*asked, *(word for word in given[:end] if word != "--json"), *given[end:]]


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Prints what went wrong to stderr."""
    invocation = Invocation()
    try:
        code = application.main(
            args=hoisted(arguments), prog_name="headwater", standalone_mode=False, obj=invocation
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BrokenPipeError:  # whoever read our output has gone: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except BaseException as error:  # the edge of the process: said once, turned into its exit code
        click.echo(explain(error, verbose=invocation.verbose), err=True)
        return exit_code(error)
    return code if isinstance(code, int) else 0
