"""Two systems on one Redis: neither answers for what an application of the other one misses."""

from __future__ import annotations

from headwater.broker import repairs
from headwater.broker.repairs import Missing
from tests.engine.again import repairing
from tests.engine.conftest import Shop


def missing(shop: Shop, app: str) -> Missing:
    return Missing(app=app, stream=shop.key("goods"), incarnation="i", gap=1, since="0-0")


async def test_what_an_application_of_another_system_misses_is_left_to_its_own_relay(shop: Shop) -> None:
    ours, theirs = missing(shop, "shelf"), missing(shop, "elsewhere")
    await repairs.ask(shop.broker, shop.catalogue.keys, "shelf", [], [ours])
    await repairs.ask(shop.broker, shop.catalogue.keys, "elsewhere", [], [theirs])

    await repairing(shop).look()

    answers = await repairs.answers(shop.broker, shop.catalogue.keys, [ours, theirs])
    assert [answer is not None for answer in answers] == [True, False]
