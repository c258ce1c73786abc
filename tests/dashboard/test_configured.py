"""Settings are shown as their flags would say them, and which of them somebody has set."""

from dataclasses import fields
from typing import get_type_hints

from roost.cli.settings import load_settings
from roost.dashboard.configured import HIDDEN, rows_of
from roost.settings import SECRET, Settings

GIVEN = Settings(
    name="m1",
    data_dir="m1.data",
    listen_client_urls=("http://a:1", "http://b:2"),
    enable_v2=True,
    backup_interval=5400.0,
    max_txn_ops=7,
)


def test_every_setting_has_a_row_that_says_whether_it_was_set() -> None:
    origins = {"name": "--name", "enable-v2": "ETCD_ENABLE_V2"}
    rows = {it.name: it for it in rows_of(GIVEN, origins)}
    assert len(rows) == len(fields(Settings))
    assert {it.name for it in rows.values() if not it.is_default} == {
        *("name", "data-dir", "listen-client-urls", "enable-v2", "backup-interval", "max-txn-ops"),
    }
    assert rows["listen-client-urls"].value == "http://a:1,http://b:2"
    assert (rows["enable-v2"].value, rows["enable-v2"].default) == ("true", "false")
    assert rows["max-txn-ops"].text
    assert {it.name: it.origin for it in rows.values() if it.origin} == origins


def test_what_is_shown_can_be_given_again() -> None:
    given = {it.name: it.value for it in rows_of(GIVEN, {}) if it.value}
    assert load_settings(given, {}) == GIVEN


def test_passwords_are_not_shown() -> None:
    """Whoever saw the settings of a member could sign in where its cluster was discovered."""
    given = Settings(
        discovery_password="hunter2",
        discovery="https://root:hunter2@discovery.example.com/a",
        discovery_endpoints=("http://a:1", "http://u:hunter2@b:2"),
    )
    rows = {it.name: it for it in rows_of(given, {})}
    assert "hunter2" not in str(rows)
    assert rows["discovery-password"].value == HIDDEN
    assert not rows["discovery-password"].is_default
    assert rows["discovery"].value == "https://...@discovery.example.com/a"
    assert rows["discovery-endpoints"].value == "http://a:1,http://...@b:2"
    assert {it.name: it.value for it in rows_of(GIVEN, {})}["discovery-password"] == ""


def test_what_is_called_a_password_is_marked_as_secret() -> None:
    hints = get_type_hints(Settings, include_extras=True)
    marked = {name for name, it in hints.items() if SECRET in it.__metadata__}
    named = {it for it in hints if "password" in it and "length" not in it}
    assert marked == named
