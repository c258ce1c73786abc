"""What settings say of serving: etcd's own arithmetic, and each refusal by its flag."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost import etcd
from roost.server.options import BCRYPT_COST_MAX, BCRYPT_COST_MIN, Backups, serving_of
from roost.server.port import AROUND_BYTES
from roost.settings import BadSetting, Settings


def settings(**changes: object) -> Settings:
    return replace(Settings(), **changes)  # type: ignore[arg-type]  # a test's fields


def test_the_defaults_are_served_and_keep_all_history() -> None:
    assert serving_of(Settings(enable_v2=True)).origins == {"enable-v2": "roost.open"}
    assert serving_of(Settings(enable_v2=True), {"enable-v2": "--enable-v2"}).origins == {
        "enable-v2": "--enable-v2"
    }
    serving = serving_of(Settings())
    assert serving.keeping is None
    assert serving.backups is None
    assert serving.quota_bytes == etcd.QUOTA_BYTES
    assert serving.auth.jwt is None


@pytest.mark.parametrize(("said", "quota"), [(0, etcd.QUOTA_BYTES), (-1, 0), (-99, 0), (7, 7)])
def test_a_quota_of_nothing_is_the_default_and_less_than_that_is_none(
    said: int, quota: int
) -> None:
    """etcd: server/storage/quota.go."""
    assert serving_of(settings(quota_backend_bytes=said)).quota_bytes == quota


@given(st.integers(50, 60_000))
def test_a_lease_lasts_for_three_halves_of_an_election_in_whole_seconds(election_ms: int) -> None:
    """etcd: server/lease/lessor.go, minLeaseTTL: rounded up.  The model counts seconds."""
    limits = serving_of(settings(election_timeout=election_ms)).limits
    seconds = 1
    while seconds * 1000 < 1.5 * election_ms:
        seconds += 1
    assert limits.lease_ttl_min_s == seconds
    assert limits.lease_grace_s == election_ms / 1000


def test_a_message_may_be_as_much_longer_than_a_request_as_stands_around_it() -> None:
    serving = serving_of(settings(max_request_bytes=5_000, election_timeout=2_000))
    assert serving.limits.request_bytes_max == 5_000
    assert serving.port.message_bytes_max == 5_000 + AROUND_BYTES
    assert serving.port.leaderless_s == 6.0


def test_v2_waits_as_long_as_etcd_and_is_served_when_asked_for() -> None:
    """etcd: config.ServerConfig.ReqTimeout."""
    serving = serving_of(settings(election_timeout=2_000))
    assert (serving.has_v2, serving.limits.v2_request_s) == (False, 9.0)
    serving = serving_of(settings(enable_v2=True, v2_heartbeat_interval=0.0))
    assert (serving.has_v2, serving.limits.v2_heartbeat_s) == (True, 0.0)
    with pytest.raises(BadSetting, match="--v2-heartbeat-interval"):
        serving_of(settings(v2_heartbeat_interval=-1.0))
    assert not serving.limits.v2_redirects
    assert serving_of(settings(v2_redirect=True)).limits.v2_redirects


def test_streams_of_the_gateway_have_newlines_when_asked_for() -> None:
    assert serving_of(settings()).gateway_heartbeat_s == 0.0
    assert serving_of(settings(gateway_heartbeat_interval=5.0)).gateway_heartbeat_s == 5.0
    with pytest.raises(BadSetting, match="--gateway-heartbeat-interval"):
        serving_of(settings(gateway_heartbeat_interval=-1.0))


HOUR = 3600.0


@pytest.mark.parametrize(
    ("mode", "text", "keeping"),
    [
        ("periodic", "0", None),
        ("revision", "0", None),
        ("periodic", "1", etcd.KeepTime(HOUR)),  # as with etcd: a bare number is hours
        ("periodic", "90m", etcd.KeepTime(1.5 * HOUR)),
        ("revision", "1000", etcd.KeepRevisions(1000)),
    ],
)
def test_what_compaction_keeps(mode: str, text: str, keeping: etcd.Keeping | None) -> None:
    given_ = settings(auto_compaction_mode=mode, auto_compaction_retention=text)
    found = serving_of(given_).keeping
    assert type(found) is type(keeping)
    for now_s in range(0, 20_000, 300):  # a revision a second, looked at every five minutes
        asked = [it.due(float(now_s), now_s) for it in (found, keeping) if it is not None]
        assert asked == asked[:1] * len(asked)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"auto_compaction_mode": "sometimes"}, "--auto-compaction-mode=sometimes"),
        (
            {"auto_compaction_mode": "revision", "auto_compaction_retention": "1h"},
            "--auto-compaction-retention=1h is no number of revisions",
        ),
        ({"auto_compaction_retention": "-1h"}, "--auto-compaction-retention"),
        ({"auto_compaction_retention": "0s"}, "--auto-compaction-retention must be positive"),
        ({"auto_compaction_retention": "soon"}, "auto-compaction-retention"),
        (
            {"experimental_watch_progress_notify_interval": 0.0},
            "--experimental-watch-progress-notify-interval must be positive",
        ),
        ({"auth_token": "magic"}, "--auth-token=magic: simple or jwt"),
        ({"auth_token": "jwt,sign-method=RS256"}, "--auth-token: "),
        ({"auth_token": "jwt,sign-method=none"}, "--auth-token: "),
        ({"bcrypt_cost": BCRYPT_COST_MIN - 1}, f"--bcrypt-cost={BCRYPT_COST_MIN - 1}"),
        ({"bcrypt_cost": BCRYPT_COST_MAX + 1}, f"--bcrypt-cost={BCRYPT_COST_MAX + 1}"),
        ({"backup_dir": "b", "backup_interval": 0.0}, "--backup-interval"),
        ({"backup_dir": "b", "backup_keep": 0}, "--backup-keep"),
        ({"backup_dir": "b", "backup_full_interval": 3600.0}, "--backup-full-interval is how"),
        ({"backup_dir": "b", "backup_full_interval": -1.0}, "--backup-full-interval is how"),
        ({"counters_max_changes": 0}, "--counters-max-changes=0: 1 to 100,000"),
        ({"counters_max_changes": 100_001}, "--counters-max-changes=100001"),
        ({"counters_max_body_bytes": 1023}, "--counters-max-body-bytes=1023: 1,024 to "),
        ({"counters_keep_requests": 0}, "--counters-keep-requests=0"),
        ({"counters_keep_requests_for": 0.0}, "--counters-keep-requests-for must be positive"),
    ],
)
def test_what_cannot_be_used_is_refused_by_the_name_of_its_flag(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(BadSetting) as refused:
        serving_of(settings(**changes))
    assert said in str(refused.value)


@pytest.mark.parametrize("cost", [BCRYPT_COST_MIN, BCRYPT_COST_MAX])
def test_the_bounds_of_what_a_password_costs_can_be_used(cost: int) -> None:
    assert serving_of(settings(bcrypt_cost=cost)).auth.bcrypt_cost == cost


def test_backups_are_saved_where_a_directory_is_named() -> None:
    assert serving_of(settings(backup_interval=0.0)).backups is None, "nobody asks for any"
    found = serving_of(settings(backup_dir="b", backup_interval=60.0, backup_keep=3)).backups
    assert found == Backups(place="b", interval_s=60.0, full_interval_s=0.0, keep_count=3)
    weekly = settings(backup_dir="b", backup_full_interval=7 * 86400.0)
    found = serving_of(weekly).backups
    assert found == Backups(
        place="b", interval_s=86400.0, full_interval_s=7 * 86400.0, keep_count=7
    )
    bucket = settings(backup_dir="s3://backups/m0?region=eu-central-1")
    found = serving_of(bucket).backups
    assert found is not None
    assert found.place == "s3://backups/m0?region=eu-central-1"
    with pytest.raises(BadSetting, match=r"--backup-dir: .* a directory, or s3://"):
        serving_of(settings(backup_dir="gs://backups"))
