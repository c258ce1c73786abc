"""Users, roles and permissions, by a client (etcd api: Auth)."""

from typing import TypeVar

from google.protobuf.message import Message

from roost.client.connections import Caller
from roost.client.shapes import PERMISSION_KINDS, Permission
from roost.proto import auth_pb2, rpc_pb2

Answer = TypeVar("Answer", bound=Message)


class Users:
    """Administers who may do what; root's business while authentication is on."""

    def __init__(self, caller: Caller) -> None:
        """Ask by `Client`'s connection."""
        self._caller = caller

    async def _call(self, method: str, request: Message, answer: type[Answer]) -> Answer:
        return await self._caller.call(f"/etcdserverpb.Auth/{method}", request, answer)

    async def enable(self) -> None:
        """From now on everybody has to say who they are; there must be a root with its role."""
        await self._call("AuthEnable", rpc_pb2.AuthEnableRequest(), rpc_pb2.AuthEnableResponse)

    async def disable(self) -> None:
        """From now on everybody may do everything."""
        await self._call("AuthDisable", rpc_pb2.AuthDisableRequest(), rpc_pb2.AuthDisableResponse)

    async def status(self) -> tuple[bool, int]:
        """Whether authentication is on, and how often users and roles have changed."""
        said = await self._call(
            "AuthStatus", rpc_pb2.AuthStatusRequest(), rpc_pb2.AuthStatusResponse
        )
        return said.enabled, said.authRevision

    async def add_user(self, name: str, password: str) -> None:
        """Add a user; without a password it is known by its certificate only."""
        options = auth_pb2.UserAddOptions(no_password=not password)
        request = rpc_pb2.AuthUserAddRequest(name=name, password=password, options=options)
        await self._call("UserAdd", request, rpc_pb2.AuthUserAddResponse)

    async def delete_user(self, name: str) -> None:
        """Remove a user and its tokens."""
        request = rpc_pb2.AuthUserDeleteRequest(name=name)
        await self._call("UserDelete", request, rpc_pb2.AuthUserDeleteResponse)

    async def change_password(self, name: str, password: str) -> None:
        """Set a password; the user's tokens end."""
        request = rpc_pb2.AuthUserChangePasswordRequest(name=name, password=password)
        await self._call("UserChangePassword", request, rpc_pb2.AuthUserChangePasswordResponse)

    async def users(self) -> list[str]:
        """All names."""
        said = await self._call(
            "UserList", rpc_pb2.AuthUserListRequest(), rpc_pb2.AuthUserListResponse
        )
        return list(said.users)

    async def roles_of(self, name: str) -> list[str]:
        """The roles of a user."""
        request = rpc_pb2.AuthUserGetRequest(name=name)
        return list((await self._call("UserGet", request, rpc_pb2.AuthUserGetResponse)).roles)

    async def grant_role(self, name: str, role: str) -> None:
        """Give a user a role."""
        request = rpc_pb2.AuthUserGrantRoleRequest(user=name, role=role)
        await self._call("UserGrantRole", request, rpc_pb2.AuthUserGrantRoleResponse)

    async def revoke_role(self, name: str, role: str) -> None:
        """Take a role from a user."""
        request = rpc_pb2.AuthUserRevokeRoleRequest(name=name, role=role)
        await self._call("UserRevokeRole", request, rpc_pb2.AuthUserRevokeRoleResponse)

    async def add_role(self, name: str) -> None:
        """Add a role without permissions."""
        request = rpc_pb2.AuthRoleAddRequest(name=name)
        await self._call("RoleAdd", request, rpc_pb2.AuthRoleAddResponse)

    async def delete_role(self, name: str) -> None:
        """Remove a role, from all users too."""
        request = rpc_pb2.AuthRoleDeleteRequest(role=name)
        await self._call("RoleDelete", request, rpc_pb2.AuthRoleDeleteResponse)

    async def roles(self) -> list[str]:
        """All names."""
        said = await self._call(
            "RoleList", rpc_pb2.AuthRoleListRequest(), rpc_pb2.AuthRoleListResponse
        )
        return list(said.roles)

    async def permissions_of(self, role: str) -> list[Permission]:
        """What a role may do."""
        request = rpc_pb2.AuthRoleGetRequest(role=role)
        said = await self._call("RoleGet", request, rpc_pb2.AuthRoleGetResponse)
        return [Permission(PERMISSION_KINDS[it.permType], it.key, it.range_end) for it in said.perm]

    async def grant_permission(self, role: str, permission: Permission) -> None:
        """Let a role do something; a range it had another right to gets this one."""
        granted = auth_pb2.Permission(
            permType=permission.kind.upper(), key=permission.key, range_end=permission.range_end
        )
        request = rpc_pb2.AuthRoleGrantPermissionRequest(name=role, perm=granted)
        await self._call("RoleGrantPermission", request, rpc_pb2.AuthRoleGrantPermissionResponse)

    async def revoke_permission(self, role: str, key: bytes, range_end: bytes) -> None:
        """Take the right to exactly this range."""
        request = rpc_pb2.AuthRoleRevokePermissionRequest(role=role, key=key, range_end=range_end)
        await self._call("RoleRevokePermission", request, rpc_pb2.AuthRoleRevokePermissionResponse)
