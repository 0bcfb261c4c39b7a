"""README and pages are true: examples run, commands exist, links resolve, names are those of the code."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import shlex
import sys
import types
import typing
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast
from urllib.parse import urlsplit

import click
import msgspec
import pytest

import backfill
import consumers
import streams
from backfill.customer_sync.figures import NAMES as CUSTOMERS
from backfill.service import Options, Toggle
from backfill.tenant_sync.figures import NAMES as TENANTS
from backfill.user_sync import figures
from headwater import cli, config, errors
from headwater.admin import agreement
from headwater.broker import Broker, provision
from headwater.cli.invocation import Invocation
from headwater.database import Database, connect
from headwater.database.attach import attach
from headwater.database.migrate import APP, SOURCE, migrate
from headwater.delivery import Worker
from headwater.event import Codec, Event, Operation, Registry, Subject
from headwater.publish import Outgoing, Producer, Relay, Said
from headwater.replay import History
from headwater.replay.jobs import State
from headwater.replay.reconcile import Reconciler
from headwater.telemetry import Metrics
from headwater.testing import RunningServers, until
from headwater.topology import Catalogue, Group, Stream
from producers import attached, enablement, wrapper_schema
from schemas import codec
from schemas.shared import ORGANIZATION, TENANT
from tests.contract.pages import PAGES as GENERATED
from tests.contract.pages import families
from tests.contract.test_words import BANNED, log_events
from tests.contract.test_words import names as texts
from tests.contract.tree import FOLDERS, ROOT, files, modules

ALLOCATION = "3e0b6a44-9d1f-4f0a-b1c2-5a6b7c8d9e04"
"""The allocation that docs/wire.md deletes."""
NO_APPLICATIONS = "SELECT ''::text AS tenant, ''::text AS app WHERE $1::text[] IS NULL"
JOB = "0b5e1d0c-6f0a-4f6e-9a53-3f1f6d1a2c77"  # it stands in names of tests, which have to stay the same
VARIABLES = {"TENANT": TENANT, "JOB": JOB, "KEY": "hwk_x", "ADMIN": "http://127.0.0.1:8088"}
VARIABLES |= {"ONE": TENANT, "TWO": TENANT}
FOREIGN_NAMES = {"HEADWATER_TEST_REDIS_URL", "HEADWATER_TEST_POSTGRES_URL"}
COLUMNS = {"headwater_version", "headwater_xid"}
RUN = {"README.md", "docs/backfill.md", "docs/consumers.md", "docs/freshness.md", "docs/testing.md"}
"""Pages with python examples; a test below runs each."""


class Block(NamedTuple):
    """One fenced example."""

    page: str
    language: str
    text: str


def pages() -> list[Path]:
    own = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "changelog.d/README.md")]
    return [*own, *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(language: str, page: str = "") -> list[Block]:
    found = []
    for path in pages():
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            found.append(Block(name_of(path), match[1], match[2]))
    return [one for one in found if one.language == language and page in {"", one.page}]


def prose(page: Path) -> str:
    """A page without its examples, inline code and addresses."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`]*`|\]\([^)]*\)|<!--.*?-->", " ", text, flags=re.DOTALL)


def written() -> list[Path]:
    """Pages that people wrote, not the code."""
    return [page for page in pages() if name_of(page) not in GENERATED]


# --- examples in python ------------------------------------------------------------------------------


class Script:
    """Runs examples one after the other, as one module."""

    def __init__(self, **given: Any) -> None:
        self.module = types.ModuleType(f"example_{uuid.uuid4().hex}")
        sys.modules[self.module.__name__] = self.module
        vars(self.module).update(given)

    async def run(self, block: Block) -> None:
        code = compile(block.text, block.page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        result = types.FunctionType(code, vars(self.module))()
        if inspect.isawaitable(result):
            await result

    def __getitem__(self, name: str) -> Any:
        return vars(self.module)[name]


def test_every_page_with_python_is_run_by_a_test() -> None:
    assert {block.page for block in blocks("python")} == RUN


def statements(page: str = "") -> Iterator[tuple[str, str]]:
    """(database, statements) of every example in SQL: a line names the database of those that follow."""
    for block in blocks("sql", page):
        parts = re.split(r"^(-- source database|-- application's database)\n", block.text, flags=re.MULTILINE)
        assert not parts[0], f"{block.page}: no database is named ({parts[0]!r})"
        yield from zip(parts[1::2], parts[2::2], strict=True)


async def test_the_readme_takes_an_invoice_from_its_row_to_the_application(
    servers: RunningServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared, handled, said = blocks("python", "README.md")
    tenant, total = str(uuid.uuid4()), Decimal("12.50")
    async with servers.fresh_database() as source_url, servers.fresh_database() as sink_url:
        await migrate(source_url, [SOURCE])
        await migrate(sink_url, [APP])
        urls = {"-- source database": source_url, "-- application's database": sink_url}
        for where, tables in statements("README.md"):
            await execute(urls[where], tables)
        script = Script(tenant=tenant, invoice_id="2026-1", BOOKS_URL=sink_url)
        monkeypatch.setitem(sys.modules, "schemas.invoices", script.module)
        for block in (declared, handled, said):
            await script.run(block)
        await attach(source_url, script["attached"])
        vars(script.module)["database"] = await Database.open(source_url)
        await script["issue"](script["database"], tenant, "2026-1", total)

        sink = await Database.open(sink_url)
        async with running(servers, script, source_url, sink):

            async def arrived() -> bool:
                rows = await sink.fetch("SELECT tenant_id::text, invoice_id, total FROM invoices")
                return [tuple(row) for row in rows] == [(tenant, "2026-1", total)]

            await until(arrived)
            for block in blocks("python", "docs/freshness.md"):
                await script.run(block)
            assert script["fresh"]
            assert await sink.fetchval("SELECT total FROM invoices") == Decimal(99)
        for database in ("database", "books_database"):
            await script[database].close()
        printed = await sink.fetch("SELECT invoice_id FROM to_print")
        assert [row["invoice_id"] for row in printed] == ["2026-1"] * 2  # issued, and changed
        await sink.close()


async def execute(url: str, statement: str) -> None:
    connection = await connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@asynccontextmanager
async def running(
    servers: RunningServers, script: Script, source_url: str, sink: Database
) -> AsyncIterator[None]:
    """A relay and a worker for what the README declares."""
    stream = Stream(name="invoices", events=(script["InvoiceIssued"],))
    group = Group(app="books", name="books-consumers", streams=("invoices",))
    catalogue = Catalogue([stream], [group], prefix=f"t{uuid.uuid4().hex}:")
    invoices = script["producer"]._codec
    broker = Broker(servers.redis_url)
    relay = Relay(source_url, broker, Outgoing(invoices, catalogue), NO_APPLICATIONS)
    worker = Worker(script["books"], broker, sink, invoices, catalogue, name="w1")
    tasks = [asyncio.create_task(relay.run()), asyncio.create_task(worker.run())]
    try:
        yield
    finally:
        relay.stop()
        worker.stop()
        await asyncio.gather(*tasks)
        await broker.execute("DEL", *catalogue.all_keys())
        await broker.close()


# --- the wrapper's database, with what the examples speak of -----------------------------------------

ROWS = f"""
INSERT INTO tenants (tenant_id, company_name, subdomain, admin_email)
VALUES ('{TENANT}', 'Acme', 'acme', 'a@acme.example');
INSERT INTO entities (entity_id, tenant_id, entity_type, entity_name, entity_code)
VALUES ('{ORGANIZATION}', '{TENANT}', 'organization', 'Acme', 'ORG_cae02c60');
INSERT INTO credit_allocations (allocation_id, tenant_id, source_entity_id, target_application)
VALUES ('{ALLOCATION}', '{TENANT}', '{ORGANIZATION}', 'crm');
INSERT INTO applications (app_code, app_name, base_url) VALUES ('crm', 'CRM', 'https://crm.example');
INSERT INTO organization_applications (tenant_id, app_id) SELECT '{TENANT}', app_id FROM applications;
"""


@asynccontextmanager
async def wrapper(servers: RunningServers) -> AsyncIterator[str]:
    """The URL of a source database with a tenant, one organization and one allocation, CRM enabled."""
    async with servers.fresh_database() as url:
        await migrate(url, [SOURCE])
        await execute(url, wrapper_schema)
        await attach(url, attached)
        await execute(url, ROWS)
        yield url


async def test_the_test_of_a_handler_passes_and_so_does_its_fixture(servers: RunningServers) -> None:
    script = Script()
    for block in blocks("python", "docs/testing.md"):
        await script.run(block)

    await script["test_an_order_is_counted_once_whatever_breaks"](servers)
    assert script["servers"].name == "servers"


class InvoicePaid(Event, frozen=True, kw_only=True):
    """Some of an invoice was paid."""

    type: ClassVar[str] = "invoice.paid"
    subject: ClassVar[Subject] = Subject("payments", state=False)
    operation: ClassVar[Operation] = "x"

    invoice_id: str
    amount: int = 0
    text: str = ""

    @property
    def key(self) -> str:
        return self.invoice_id


class InvoiceNoted(InvoicePaid, frozen=True, kw_only=True):
    """Somebody wrote a note on an invoice."""

    type: ClassVar[str] = "invoice.noted"
    subject: ClassVar[Subject] = Subject("notes", state=False)


async def test_the_handlers_of_the_page_take_what_they_accept_and_hold_what_waits(
    servers: RunningServers,
) -> None:
    script, tenant = Script(InvoicePaid=InvoicePaid, InvoiceNoted=InvoiceNoted), str(uuid.uuid4())
    for block in blocks("python", "docs/consumers.md"):
        await script.run(block)
    found = [InvoicePaid(invoice_id=name, amount=n) for name, n in (("a", 5), ("b", 0), ("c", 7))]
    found += [InvoiceNoted(invoice_id=name, text=text) for name, text in (("a", ""), ("a", "x"), ("b", "y"))]
    invoices = Codec(Registry([InvoicePaid, InvoiceNoted]))
    catalogue = Catalogue(
        [Stream(name="invoices", events=(InvoicePaid, InvoiceNoted))],
        [Group(app="books", name="books-consumers", streams=("invoices",))],
        prefix=f"t{uuid.uuid4().hex}:",
    )
    broker = Broker(servers.redis_url)
    (key,) = catalogue.keys_of("books")
    said = [Said(event, tenant, operation_id=str(n)).envelope("test") for n, event in enumerate(found)]
    await broker.append([(key, invoices.encode(one)) for one in said])
    async with servers.fresh_database() as url:
        await migrate(url, [APP])
        await execute(url, "CREATE TABLE payments (tenant text, invoice text, amount int)")
        await execute(url, "CREATE TABLE notes (tenant text, invoice text, note text)")
        sink = await Database.open(url)
        worker = Worker(script["books"], broker, sink, invoices, catalogue, name="w1")
        task = asyncio.create_task(worker.run())

        async def settled() -> bool:
            letters = await sink.fetch("SELECT type, state FROM headwater.dead_letter ORDER BY id")
            return [tuple(row) for row in letters] == [
                ("invoice.paid", "parked"),
                ("invoice.noted", "parked"),
                ("invoice.noted", "held"),
            ]

        await until(settled)
        paid = await sink.fetch("SELECT invoice, amount FROM payments ORDER BY invoice")
        noted = await sink.fetch("SELECT invoice, note FROM notes")
        assert [tuple(row) for row in (*paid, *noted)] == [("a", 5), ("c", 7), ("b", "y")]
        worker.stop()
        await task
        await sink.close()
    await broker.execute("DEL", key)
    await broker.close()


async def test_the_backfill_of_the_page_is_the_one_of_the_project(servers: RunningServers) -> None:
    script = Script()
    for block in blocks("python", "docs/backfill.md"):
        await script.run(block)
    shown, ours = script["organizations"], backfill.backfills[0]

    async with wrapper(servers) as url:
        source = await Database.open(url)
        async with source.connection() as connection:
            query = shown.page(await shown.types(connection), after=False, since=False)
        (row,) = await source.fetch(query, TENANT, "crm", 10)
        assert shown.say(row) == ours.say(row)
        assert shown.gone(row["key"]) == ours.gone(row["key"])
        assert await source.fetch(shown.versions, TENANT, "crm") == await source.fetch(
            ours.versions, TENANT, "crm"
        )
        await source.close()


@pytest.mark.parametrize("page", sorted({block.page for block in blocks("sql")}))
async def test_every_example_in_sql_runs_in_the_database_it_names(page: str, servers: RunningServers) -> None:
    async with wrapper(servers) as source_url, servers.fresh_database() as app_url:
        await migrate(app_url, [APP])
        urls = {"-- source database": source_url, "-- application's database": app_url}
        for where, text in statements(page):
            await execute(urls[where], text)


async def test_what_the_examples_in_sql_say_reaches_the_streams(servers: RunningServers) -> None:
    async with wrapper(servers) as url:
        for block in blocks("sql", "docs/wire.md"):
            await execute(url, block.text)
        catalogue = streams.catalogue.with_prefix(f"t{uuid.uuid4().hex}:")
        broker, connection = Broker(servers.redis_url), await connect(url)

        moved = await Relay(url, broker, Outgoing(codec, catalogue), enablement).move(connection)

        assert (moved.rows, moved.entries, moved.quarantined) == (3, 3, 0)
        credit = await broker.range(catalogue.keys.prefix + "credit-events")
        assert [(one.fields or {})[b"eventType"] for one in credit] == [
            b"credit.allocated",
            b"credit.consumed",
        ]
        await connection.close()
        await broker.execute("DEL", *catalogue.all_keys())
        await broker.close()


# --- examples in the shell ---------------------------------------------------------------------------


def commands(program: str = "") -> Iterator[tuple[str, list[str]]]:
    """(page, words) of every command in an example; variables stand for values that fit."""
    for block in blocks("console"):
        for line in block.text.splitlines():
            assert line.startswith("$ "), f"{block.page}: not a command ({line!r})"
            given = re.sub(r"\$(\w+)", lambda name: VARIABLES[name[1]], line[2:])
            words = shlex.split(given, comments=True)
            while words:
                end = words.index("&&") if "&&" in words else len(words)
                if program in {"", words[0]}:
                    yield block.page, words[:end]
                words = words[end + 1 :]


def test_every_program_in_an_example_is_one_that_is_checked_here() -> None:
    known = {"headwater", "make", "redis-cli", "curl", "export"}

    assert {words[0] for _, words in commands()} == known


def understand(words: list[str]) -> None:
    """Parse a command line as `headwater` would, and call nothing. Raises click.ClickException."""
    command: click.Command = cli.application
    context: click.Context | None = None
    arguments = cli.hoisted(words[1:])
    while True:
        context = command.make_context(
            command.name or "headwater", arguments, parent=context, obj=Invocation()
        )
        rest = [*context._protected_args, *context.args]
        if not isinstance(command, click.Group) or not rest:
            return
        _, found, arguments = command.resolve_command(context, rest)
        assert found is not None
        command = found


@pytest.mark.parametrize("words", [words for _, words in commands("headwater")], ids=" ".join)
def test_a_headwater_command_of_an_example_exists_with_its_options(words: list[str]) -> None:
    understand(words)


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    for wrong in (["dead-letters", "list"], ["backfill", "pause", "x"], ["relay", "--since", "1h"]):
        with pytest.raises(click.ClickException):
            understand(["headwater", *wrong])


def test_make_targets_of_examples_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {words[1] for _, words in commands("make")}
    for page in written():
        named |= set(re.findall(r"`make ([a-z]+)", page.read_text(encoding="utf-8")))

    assert named
    assert named <= targets


def test_exports_of_examples_are_settings() -> None:
    named = {word.partition("=")[0] for _, words in commands("export") for word in words[1:]}

    assert named <= settings()


async def test_redis_commands_of_examples_are_accepted(servers: RunningServers) -> None:
    catalogue = streams.catalogue.with_prefix(f"t{uuid.uuid4().hex}:")
    keys = {key.removeprefix(catalogue.keys.prefix): key for key in catalogue.all_keys()}
    broker = Broker(servers.redis_url)
    await provision.apply(broker, catalogue)
    try:
        for _, words in commands("redis-cli"):
            await broker.execute(*(keys.get(word, word) for word in words[1:]))
    finally:
        await broker.execute("DEL", *catalogue.all_keys())
        await broker.close()


def routes() -> list[tuple[str, re.Pattern[str]]]:
    mounted = {
        "/admin": backfill.http(cast("History", None), cast("Producer", None)),
        agreement.PREFIX: agreement.Agreement(cast("Reconciler", None)).application(),
    }
    return [
        (route.method, re.compile(prefix + re.sub(r"\{\w+\}", "[^/]+", route.resource.canonical)))
        for prefix, app in mounted.items()
        for route in app.router.routes()
        if route.resource is not None
    ]


def test_requests_of_examples_have_a_route_and_a_body_that_it_takes() -> None:
    known = routes()
    for page, words in commands("curl"):
        url = urlsplit(words[-1])
        body = words[words.index("--json") + 1] if "--json" in words else None
        method = "GET" if body is None else "POST"
        assert any(one == method and path.fullmatch(url.path) for one, path in known), (page, method, url)
        assert re.fullmatch(r"(wait=\d+)?", url.query)
        assert "X-API-Key: hwk_x" in words
        if body is not None:
            ends: type[Any] = Toggle if url.path.endswith("/toggle") else Options
            shape = agreement.Asked if url.path.startswith(agreement.PREFIX) else ends
            msgspec.json.decode(body, type=shape)


# --- links and names ---------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[tuple[str, str]]:
    """(path, anchor) of every link that stays in the project."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    return [(one.partition("#")[0], one.partition("#")[2]) for one in found if "://" not in one]


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{path} of {name_of(page)}"
        if anchor:
            assert anchor in anchors(target), f"{path}#{anchor} of {name_of(page)}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            waiting += [(page.parent / path).resolve() for path, _ in links(page) if path.endswith(".md")]

    assert set(pages()) - reached == set()


def quoted(pattern: str) -> set[tuple[str, str]]:
    """(page, text) of every inline code that matches as a whole."""
    return {
        (name_of(page), code)
        for page in written()
        for code in re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8"))
        if re.fullmatch(pattern, code)
    }


def test_files_that_pages_name_exist() -> None:
    places = "|".join([*FOLDERS, "headwater", "docs", "tests", "deploy", "changelog.d"])
    named = quoted(rf"(?:{places})/[\w./-]*(?::\w+)?")

    assert named
    assert {(page, name) for page, name in named if not (ROOT / name.partition(":")[0]).exists()} == set()


def test_tests_that_pages_name_exist() -> None:
    known = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))
    }

    assert {(page, name) for page, name in quoted(r"test_\w+") if name not in known} == set()


def settings() -> set[str]:
    names = {name for one in config.describe() for name in (one.name, *one.aliases)}
    return names | {f"HEADWATER_APP_{name.upper()}_URL" for name in consumers.migrations} | FOREIGN_NAMES


def test_settings_that_pages_name_exist() -> None:
    named = quoted(r"HEADWATER_[A-Z_]+")

    assert {(page, name) for page, name in named if name not in settings()} == set()


def test_metrics_that_pages_name_exist() -> None:
    known = (
        {family.name for family in families(Metrics())}
        | COLUMNS
        | {*figures.OWN, *figures.SEED, *CUSTOMERS, *TENANTS}
    )
    named = {(page, code.split()[0]) for page, code in quoted(r"headwater_\w+(?: [<>=]+ \d+)?")}

    assert {(page, name) for page, name in named if name not in known} == set()


def test_every_failpoint_is_in_the_table_of_crash_points() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in files(".py"))
    known = set(re.findall(r"failpoints\.reached\(\"([\w.]+)\"\)", text))
    table = (ROOT / "docs/delivery.md").read_text(encoding="utf-8")

    assert known
    assert {name for name in known if f"| `{name}` |" not in table} == set()


def test_every_reason_of_a_dead_letter_has_its_remedy() -> None:
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")

    assert [reason for reason in errors.REASONS if f"`{reason}`" not in text] == []


# --- the runbook -------------------------------------------------------------------------------------


def told(page: str = "docs/runbook.md") -> set[str]:
    """What stands in the first column of the tables of a page, words in capitals as `*`."""
    rows = re.findall(r"^\| (`.+?) \|", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"\b[A-Z]+\b", "*", code) for row in rows for code in re.findall(r"`([^`]+)`", row)}


VARIABLE = {"app", "check", "place.name", "* *"}
"""Checks whose whole name is a variable: an application, or what is named where it is handed in."""


def checks() -> set[str]:
    """Every line that the doctor can say is not well, what varies in it as `*`."""
    found = set()
    for module in (
        one for one in modules() if one.path.startswith(("headwater/cli/checks/", "headwater/cli/doctor"))
    ):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and re.match(r"fail|warn|careful\(", ast.unparse(node.func)):
                for name in texts(node.args[0], module.tree):
                    found.add(re.sub(r"^f(['\"])(.*)\1$", r"\2", re.sub(r"\{[^}]*\}", "*", name)))
    return found


def test_every_line_of_the_doctor_is_in_the_runbook() -> None:
    named = checks()

    assert {"redis memory", "* gaps", "worker *"} <= named
    assert named - told() - VARIABLE == set()


def test_every_warning_and_error_of_the_log_is_in_the_runbook() -> None:
    loud = {
        name
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"log.warning", "log.error", "log.exception"}
        for name in texts(node.args[0], module.tree)
    }

    assert {"delivery.parked", "relay.waiting", "backfill.job_failed"} <= loud
    assert loud - told() == set()


def test_what_the_runbook_names_exists() -> None:
    every = told()
    loud = {name for _, name in log_events()}

    assert {one for one in every if re.fullmatch(r"[a-z]+\.[a-z_]+", one) and one not in loud} == set()


@pytest.mark.parametrize(
    "command", sorted(code for page, code in quoted(r"headwater [^…]*") if page == "docs/runbook.md")
)
def test_a_headwater_command_of_the_runbook_exists_with_its_options(command: str) -> None:
    given = re.sub(r"\$(\w+)", lambda name: VARIABLES[name[1]], command).replace(" ID", " 7")

    understand(shlex.split(given))


def test_every_state_a_job_can_reach_is_explained() -> None:
    text = (ROOT / "docs/backfill.md").read_text(encoding="utf-8")
    reachable = set(typing.get_args(State))

    assert {state for state in reachable if f"| `{state}` |" not in text} == set()


# --- words -------------------------------------------------------------------------------------------


def glossary() -> list[str]:
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return [word for row in rows for word in re.findall(r"\*\*([\w ]+)\*\*", row)]


def test_every_word_of_the_glossary_is_used_in_the_code() -> None:
    code = "".join(file.read_text(encoding="utf-8") for file in [*files(".py"), *files(".sql")]).lower()
    words = glossary()

    assert len(words) > 50
    assert [word for word in words if not re.search(word.replace(" ", "[ _-]?"), code)] == []


def test_no_word_of_the_glossary_is_explained_twice() -> None:
    words = glossary()

    assert sorted(words) == sorted(set(words))


@pytest.mark.parametrize("page", [page for page in written() if page.name != "glossary.md"], ids=name_of)
def test_pages_keep_to_the_words(page: Path) -> None:
    used = {word.lower().removesuffix("s") for word in re.findall(r"[A-Za-z]+", prose(page))}

    assert used & BANNED == set()


# --- form --------------------------------------------------------------------------------------------


def test_the_readme_is_short_and_has_a_place_for_figures() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert len(text.splitlines()) <= 200
    assert "\n## Figures\n" in text


def test_decisions_are_numbered_without_a_gap_and_have_their_parts() -> None:
    found = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))

    assert [int(page.name[:4]) for page in found] == list(range(1, len(found) + 1))
    for page in found:
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {page.name[:4]} "), page.name
        for part in ("Status:", "Context:", "Decision:", "Consequences:", "Rejected:"):
            assert f"\n{part} " in text, f"{page.name}: {part}"
