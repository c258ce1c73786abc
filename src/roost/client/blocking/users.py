"""Users, roles and permissions, by a client (etcd api: Auth)."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from typing import TypeVar

from google.protobuf.message import Message

from roost.client.aio import users as aio
from roost.client.shapes import Permission
from roost.faces import Face

Answer = TypeVar("Answer", bound=Message)


class Users(Face):
    """Administers who may do what; root's business while authentication is on."""

    _inner: aio.Users

    def enable(self) -> None:
        """From now on everybody has to say who they are; there must be a root with its role."""
        self._loop.call(self._inner.enable())

    def disable(self) -> None:
        """From now on everybody may do everything."""
        self._loop.call(self._inner.disable())

    def status(self) -> tuple[bool, int]:
        """Whether authentication is on, and how often users and roles have changed."""
        return self._loop.call(self._inner.status())

    def add_user(self, name: str, password: str) -> None:
        """Add a user; without a password it is known by its certificate only."""
        self._loop.call(self._inner.add_user(name, password))

    def delete_user(self, name: str) -> None:
        """Remove a user and its tokens."""
        self._loop.call(self._inner.delete_user(name))

    def change_password(self, name: str, password: str) -> None:
        """Set a password; the user's tokens end."""
        self._loop.call(self._inner.change_password(name, password))

    def users(self) -> list[str]:
        """All names."""
        return self._loop.call(self._inner.users())

    def roles_of(self, name: str) -> list[str]:
        """The roles of a user."""
        return self._loop.call(self._inner.roles_of(name))

    def grant_role(self, name: str, role: str) -> None:
        """Give a user a role."""
        self._loop.call(self._inner.grant_role(name, role))

    def revoke_role(self, name: str, role: str) -> None:
        """Take a role from a user."""
        self._loop.call(self._inner.revoke_role(name, role))

    def add_role(self, name: str) -> None:
        """Add a role without permissions."""
        self._loop.call(self._inner.add_role(name))

    def delete_role(self, name: str) -> None:
        """Remove a role, from all users too."""
        self._loop.call(self._inner.delete_role(name))

    def roles(self) -> list[str]:
        """All names."""
        return self._loop.call(self._inner.roles())

    def permissions_of(self, role: str) -> list[Permission]:
        """What a role may do."""
        return self._loop.call(self._inner.permissions_of(role))

    def grant_permission(self, role: str, permission: Permission) -> None:
        """Let a role do something; a range it had another right to gets this one."""
        self._loop.call(self._inner.grant_permission(role, permission))

    def revoke_permission(self, role: str, key: bytes, range_end: bytes) -> None:
        """Take the right to exactly this range."""
        self._loop.call(self._inner.revoke_permission(role, key, range_end))
