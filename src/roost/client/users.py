"""Users, roles and permissions, by a client (etcd api: Auth)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from roost.proto import auth_pb2, rpc_pb2

KINDS = ("read", "write", "readwrite")
# path, request, class of the answer -> the answer; Any because messages share no useful base.
Ask = Callable[[str, Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Permission:
    """What a role may do with a range; `range_end` as in etcd."""

    kind: str
    key: bytes
    range_end: bytes


class Users:
    """Administers who may do what; root's business while authentication is on."""

    def __init__(self, ask: Ask) -> None:
        """Ask by `Client`'s connection."""
        self._ask = ask

    def _call(self, method: str, request: Any, answer: Any) -> Any:
        return self._ask(f"/etcdserverpb.Auth/{method}", request, answer)

    def enable(self) -> None:
        """From now on everybody has to say who they are; there must be a root with its role."""
        self._call("AuthEnable", rpc_pb2.AuthEnableRequest(), rpc_pb2.AuthEnableResponse)

    def disable(self) -> None:
        """From now on everybody may do everything."""
        self._call("AuthDisable", rpc_pb2.AuthDisableRequest(), rpc_pb2.AuthDisableResponse)

    def status(self) -> tuple[bool, int]:
        """Whether authentication is on, and how often users and roles have changed."""
        said = self._call("AuthStatus", rpc_pb2.AuthStatusRequest(), rpc_pb2.AuthStatusResponse)
        return said.enabled, said.authRevision

    def add_user(self, name: str, password: str) -> None:
        """Add a user; without a password it is known by its certificate only."""
        options = auth_pb2.UserAddOptions(no_password=not password)
        request = rpc_pb2.AuthUserAddRequest(name=name, password=password, options=options)
        self._call("UserAdd", request, rpc_pb2.AuthUserAddResponse)

    def delete_user(self, name: str) -> None:
        """Remove a user and its tokens."""
        request = rpc_pb2.AuthUserDeleteRequest(name=name)
        self._call("UserDelete", request, rpc_pb2.AuthUserDeleteResponse)

    def change_password(self, name: str, password: str) -> None:
        """Set a password; the user's tokens end."""
        request = rpc_pb2.AuthUserChangePasswordRequest(name=name, password=password)
        self._call("UserChangePassword", request, rpc_pb2.AuthUserChangePasswordResponse)

    def users(self) -> list[str]:
        """All names."""
        said = self._call("UserList", rpc_pb2.AuthUserListRequest(), rpc_pb2.AuthUserListResponse)
        return list(said.users)

    def roles_of(self, name: str) -> list[str]:
        """The roles of a user."""
        request = rpc_pb2.AuthUserGetRequest(name=name)
        return list(self._call("UserGet", request, rpc_pb2.AuthUserGetResponse).roles)

    def grant_role(self, name: str, role: str) -> None:
        """Give a user a role."""
        request = rpc_pb2.AuthUserGrantRoleRequest(user=name, role=role)
        self._call("UserGrantRole", request, rpc_pb2.AuthUserGrantRoleResponse)

    def revoke_role(self, name: str, role: str) -> None:
        """Take a role from a user."""
        request = rpc_pb2.AuthUserRevokeRoleRequest(name=name, role=role)
        self._call("UserRevokeRole", request, rpc_pb2.AuthUserRevokeRoleResponse)

    def add_role(self, name: str) -> None:
        """Add a role without permissions."""
        request = rpc_pb2.AuthRoleAddRequest(name=name)
        self._call("RoleAdd", request, rpc_pb2.AuthRoleAddResponse)

    def delete_role(self, name: str) -> None:
        """Remove a role, from all users too."""
        request = rpc_pb2.AuthRoleDeleteRequest(role=name)
        self._call("RoleDelete", request, rpc_pb2.AuthRoleDeleteResponse)

    def roles(self) -> list[str]:
        """All names."""
        said = self._call("RoleList", rpc_pb2.AuthRoleListRequest(), rpc_pb2.AuthRoleListResponse)
        return list(said.roles)

    def permissions_of(self, role: str) -> list[Permission]:
        """What a role may do."""
        request = rpc_pb2.AuthRoleGetRequest(role=role)
        said = self._call("RoleGet", request, rpc_pb2.AuthRoleGetResponse)
        return [Permission(KINDS[it.permType], it.key, it.range_end) for it in said.perm]

    def grant_permission(self, role: str, permission: Permission) -> None:
        """Let a role do something; a range it had another right to gets this one."""
        granted = auth_pb2.Permission(
            permType=permission.kind.upper(), key=permission.key, range_end=permission.range_end
        )
        request = rpc_pb2.AuthRoleGrantPermissionRequest(name=role, perm=granted)
        self._call("RoleGrantPermission", request, rpc_pb2.AuthRoleGrantPermissionResponse)

    def revoke_permission(self, role: str, key: bytes, range_end: bytes) -> None:
        """Take the right to exactly this range."""
        request = rpc_pb2.AuthRoleRevokePermissionRequest(role=role, key=key, range_end=range_end)
        self._call("RoleRevokePermission", request, rpc_pb2.AuthRoleRevokePermissionResponse)
