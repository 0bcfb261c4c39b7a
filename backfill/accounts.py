"""The source's users, said again: the bulk sync. Also those who are not active, who leave the chat by it."""

from headwater.database import load
from headwater.replay import Backfill
from producers.accounts.rows import account
from schemas.accounts import ACCOUNTS, AccountDeleted

accounts = Backfill(
    subject=ACCOUNTS.name,
    scope=load(__file__, "accounts"),
    order=("id",),
    key_column="id",
    say=account,
    gone=lambda key: AccountDeleted(account_id=key),
    option="syncAccounts",
    unversioned=("updated_at",),
    detail=lambda row: {"userId": row["key"]},
)
