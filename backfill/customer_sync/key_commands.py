"""`headwater keys`: which keys seal e-mail addresses, and how rows come under a new one."""

from __future__ import annotations

import click

from backfill.customer_sync.service import vault_of
from headwater.cli.invocation import Invocation


@click.command(epilog="Examples:  headwater keys fingerprint  ·  headwater --json keys fingerprint")
@click.pass_obj
def fingerprint(invocation: Invocation) -> None:
    """Tell which keys are in use, without telling them: both services must say the same.

    The first is the one that seals; the others still open what they sealed.
    """
    vault = vault_of(invocation.settings.customer_sync)
    data = {"key": vault.key.id, "older": vault.older}
    invocation.out.result("keys.fingerprint", data, text="\n".join([vault.key.id, *vault.older]))
