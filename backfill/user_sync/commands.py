"""`headwater sync users`: set it up, say everything once, keep it in step, and see whether it is."""

from __future__ import annotations

import click

from backfill.user_sync import system
from headwater.cli.invocation import Invocation
from headwater.cli.output import Table
from headwater.database import connect
from producers.accounts.examine import Lack, lacks
from producers.accounts.setup import Done, set_up


@click.group("users", epilog="Examples:  headwater sync users setup --dry-run  ·  headwater sync users setup")
def users() -> None:
    """Keep the chat's users as the source's users are."""


@users.command(epilog="Examples:  headwater sync users setup --dry-run  ·  headwater sync users setup")
@click.option("--dry-run", is_flag=True, help="Print what is missing; change nothing.")
@click.pass_obj
def setup(invocation: Invocation, dry_run: bool) -> None:
    """Give the source of users its versions, its doorbell and its indexes; safe to repeat.

    The application that writes there goes on. A doorbell of the existing service is replaced.
    """

    async def work() -> tuple[list[Lack], Done | None]:
        settings = system.settings_of(invocation.settings)
        url = settings.source_url.reveal() if settings.source_url else ""
        connection = await connect(url)
        try:
            before = await lacks(connection, url)
        finally:
            await connection.close()
        return before, None if dry_run else await set_up(url, settings.realm)

    before, done = invocation.run(work())
    data = {"lacked": [one._asdict() for one in before], "dry_run": dry_run, "done": done}
    text: Table | str = Table(("what", "detail"), [(one.what, one.detail) for one in before])
    if done is not None:
        text = (
            f"{len(done.migrations)} migrations, {done.stamped} rows given versions, "
            f"{len(done.indexes)} indexes built; the doorbell rings"
        )
    elif not before:
        text = "nothing is missing"
    invocation.out.result("sync.users.setup", data, text=text)
