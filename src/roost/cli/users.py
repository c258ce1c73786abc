"""`roost auth`, `roost user`, `roost role`: who may do what."""

import click

from roost.cli.kv import range_of, range_options
from roost.cli.shared import ask_password, client_options, connect, say_json, text_of
from roost.client import Permission
from roost.client.shapes import PERMISSION_KINDS

_name = click.argument("name")
_role = click.argument("role")
_password = click.option(
    "--password", default=None, help="The password; asked for when it is not given."
)


def _say(text: str, row: dict[str, object], *, as_json: bool) -> None:
    say_json(row) if as_json else click.echo(text)


@click.group()
def auth() -> None:
    """Turn authentication on and off."""


@auth.command()
@client_options
def enable(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""From now on everybody says who they are; there must be a user root with the role root.

    \b
    Example:
        roost auth enable
    """
    with connect(endpoints, timeout_s) as client:
        client.users.enable()
    _say("authentication is on", {"enabled": True}, as_json=as_json)


@auth.command()
@client_options
def disable(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""From now on everybody may do everything.

    \b
    Example:
        roost auth disable --user root
    """
    with connect(endpoints, timeout_s) as client:
        client.users.disable()
    _say("authentication is off", {"enabled": False}, as_json=as_json)


@auth.command("status")
@client_options
def auth_status(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Say whether authentication is on.

    \b
    Example:
        roost auth status
    """
    with connect(endpoints, timeout_s) as client:
        enabled, revision = client.users.status()
    text = f"authentication is {'on' if enabled else 'off'}, revision {revision}"
    _say(text, {"enabled": enabled, "revision": revision}, as_json=as_json)


@click.group()
def user() -> None:
    """Add, delete, list and look at users; give them passwords and roles."""


@user.command("add")
@_name
@_password
@click.option("--no-password", is_flag=True, help="The user is known by its certificate only.")
@client_options
def add_user(
    name: str,
    password: str | None,
    endpoints: str,
    timeout_s: float,
    *,
    as_json: bool,
    no_password: bool,
) -> None:
    r"""Add a user; NAME:PASSWORD gives the password at once, as with etcdctl.

    \b
    Example:
        roost user add alice
    """
    if password is None and not no_password:
        name, colon, password = name.partition(":")
        if not colon:
            text = f"Password of {name}"
            password = ask_password(text, option="--password", twice=True)
    with connect(endpoints, timeout_s) as client:
        client.users.add_user(name, password or "")
    _say(f"user {name} added", {"user": name}, as_json=as_json)


@user.command("delete")
@_name
@client_options
def delete_user(name: str, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Delete a user.

    \b
    Example:
        roost user delete alice
    """
    with connect(endpoints, timeout_s) as client:
        client.users.delete_user(name)
    _say(f"user {name} deleted", {"user": name}, as_json=as_json)


@user.command("list")
@client_options
def list_users(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Print all users.

    \b
    Example:
        roost user list
    """
    with connect(endpoints, timeout_s) as client:
        names = client.users.users()
    for name in names:
        _say(name, {"user": name}, as_json=as_json)


@user.command("get")
@_name
@client_options
def get_user(name: str, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Print the roles of a user.

    \b
    Example:
        roost user get alice
    """
    with connect(endpoints, timeout_s) as client:
        roles = client.users.roles_of(name)
    _say("\n".join(roles), {"user": name, "roles": roles}, as_json=as_json)


@user.command("password")
@_name
@_password
@client_options
def change_password(
    name: str, password: str | None, endpoints: str, timeout_s: float, *, as_json: bool
) -> None:
    r"""Give a user another password.

    \b
    Example:
        roost user password alice
    """
    if password is None:
        text = f"New password of {name}"
        password = ask_password(text, option="--password", twice=True)
    with connect(endpoints, timeout_s) as client:
        client.users.change_password(name, password)
    _say(f"password of {name} changed", {"user": name}, as_json=as_json)


@user.command("grant-role")
@_name
@_role
@client_options
def grant_role(name: str, role: str, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Give a user a role.

    \b
    Example:
        roost user grant-role alice readers
    """
    with connect(endpoints, timeout_s) as client:
        client.users.grant_role(name, role)
    _say(f"{name} has the role {role}", {"user": name, "role": role}, as_json=as_json)


@user.command("revoke-role")
@_name
@_role
@client_options
def revoke_role(name: str, role: str, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Take a role from a user.

    \b
    Example:
        roost user revoke-role alice readers
    """
    with connect(endpoints, timeout_s) as client:
        client.users.revoke_role(name, role)
    _say(f"{name} has the role {role} no more", {"user": name, "role": role}, as_json=as_json)


@click.group()
def role() -> None:
    """Add, delete, list and look at roles; say what they may do."""


@role.command("add")
@_name
@client_options
def add_role(name: str, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Add a role that may do nothing yet.

    \b
    Example:
        roost role add readers
    """
    with connect(endpoints, timeout_s) as client:
        client.users.add_role(name)
    _say(f"role {name} added", {"role": name}, as_json=as_json)


@role.command("delete")
@_name
@client_options
def delete_role(name: str, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Delete a role; users who had it have it no more.

    \b
    Example:
        roost role delete readers
    """
    with connect(endpoints, timeout_s) as client:
        client.users.delete_role(name)
    _say(f"role {name} deleted", {"role": name}, as_json=as_json)


@role.command("list")
@client_options
def list_roles(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Print all roles.

    \b
    Example:
        roost role list
    """
    with connect(endpoints, timeout_s) as client:
        names = client.users.roles()
    for name in names:
        _say(name, {"role": name}, as_json=as_json)


@role.command("get")
@_name
@client_options
def get_role(name: str, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Print what a role may do.

    \b
    Example:
        roost role get readers
    """
    with connect(endpoints, timeout_s) as client:
        permissions = client.users.permissions_of(name)
    for it in permissions:
        key, end = text_of(it.key), text_of(it.range_end)
        shown = f"{it.kind:<10}{key}" + (f" to before {end!r}" if end else "")
        _say(shown, {"kind": it.kind, "key": key, "end": end}, as_json=as_json)


@role.command("grant")
@_name
@click.argument("kind", type=click.Choice(PERMISSION_KINDS))
@click.argument("key")
@range_options
@client_options
def grant_permission(
    name: str,
    kind: str,
    key: str,
    end: str,
    endpoints: str,
    timeout_s: float,
    *,
    as_json: bool,
    prefix: bool,
    from_key: bool,
) -> None:
    r"""Let a role read, write or both; for KEY, or a range.

    \b
    Example:
        roost role grant readers read config/ --prefix
    """
    first, stop = range_of(key, end, prefix=prefix, from_key=from_key)
    with connect(endpoints, timeout_s) as client:
        client.users.grant_permission(name, Permission(kind, first, stop))
    _say(f"role {name} may {kind} {key}", {"role": name, "kind": kind, "key": key}, as_json=as_json)


@role.command("revoke")
@_name
@click.argument("key")
@range_options
@client_options
def revoke_permission(
    name: str,
    key: str,
    end: str,
    endpoints: str,
    timeout_s: float,
    *,
    as_json: bool,
    prefix: bool,
    from_key: bool,
) -> None:
    r"""Take from a role the right to KEY, or to exactly this range.

    \b
    Example:
        roost role revoke readers config/ --prefix
    """
    first, stop = range_of(key, end, prefix=prefix, from_key=from_key)
    with connect(endpoints, timeout_s) as client:
        client.users.revoke_permission(name, first, stop)
    _say(f"role {name} has no right to {key} any more", {"role": name, "key": key}, as_json=as_json)
