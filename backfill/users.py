"""Users of a tenant, said again."""

from headwater.database import load
from headwater.replay import Backfill
from producers import rows
from schemas.users import USERS, UserCreated, UserDeleted

users = Backfill(
    subject=USERS.name,
    scope=load(__file__, "users"),
    order=("user_id",),
    key_column="user_id",
    say=lambda row: rows.user(UserCreated, row),
    gone=lambda key: UserDeleted(user_id=key),
    option="syncUsers",
    unversioned=("updated_at",),
    detail=lambda row: {"userId": row["key"]},
)
