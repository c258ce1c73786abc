"""Random requests to users, roles and keys; and what is compared of the answers."""

import base64
import json
import random
import re
from typing import Any
from urllib.parse import quote

from roost.etcd.v2.forms import FORM
from tests.etcd.v2.oracle import Asked, Said

USERS = ["root", "alice", "bob", "\u00e9 <x>"]
ROLES = ["root", "guest", "r", "s"]
PASSWORDS = ["p1", "p2"]
PATTERNS = ["/*", "/a", "/a/*", "/b*", "*"]
KEYS = ["", "/", "/a", "/a/", "/a/x", "/b", "/bc", "/a/x/"]
_INDEXES = re.compile(rb'"(?:modifiedIndex|createdIndex|index)":[0-9]+')

_POSTED = re.compile(rb"[0-9]{20}")


def without_indexes(found: Said) -> Said:
    """Changes of users take indexes in etcd, and none here (docs/reference/differences.md)."""
    headers = {it: value for it, value in found.headers.items() if it != "x-etcd-index"}
    body = found.body
    if isinstance(body, bytes):
        return Said(found.status, headers, _masked(body))
    masked = _masked(json.dumps(body, separators=(",", ":")).encode())
    return Said(found.status, headers, json.loads(masked))


def _masked(body: bytes) -> bytes:
    return _POSTED.sub(b"N", _INDEXES.sub(b'"i":0', body))


class UserRequests:
    """What is likely to hit something, mostly by whoever may ask for it."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        # What was asked for successfully, so that later requests may be by somebody.
        self.passwords: dict[str, str] = {}
        self.is_on = False

    def maybe(self, odds: float) -> bool:
        return self.dice.random() < odds

    def some(self, of: list[str]) -> list[str]:
        return [self.dice.choice(of) for _ in range(self.dice.randrange(3))]

    def next(self) -> Asked:
        kind = self.dice.choices(
            ["user", "role", "key", "list", "enable", "member"], [8, 8, 8, 2, 3, 1]
        )[0]
        made = getattr(self, f"_{kind}")()
        assert isinstance(made, Asked)
        return made._replace(headers=made.headers + self._who())

    def learn(self, asked: Asked, status: int) -> None:
        """What a request has changed."""
        if status >= 300:
            return
        if asked.target == "/v2/auth/enable" and asked.method != "GET":
            self.is_on = asked.method == "PUT"
        if asked.target.startswith("/v2/auth/users/") and asked.body and asked.method == "PUT":
            fields, _ = json.JSONDecoder().raw_decode(asked.body)
            if fields.get("password"):
                self.passwords[fields["user"]] = fields["password"]

    def _who(self) -> tuple[tuple[str, str], ...]:
        if not self.is_on or self.maybe(0.15):
            return ()
        if self.maybe(0.05):
            return (
                (
                    "Authorization",
                    self.dice.choice(["Basic", "Basic %%%", "Bearer x", "Basic YQ=="]),
                ),
            )
        name = "root" if self.maybe(0.75) else self.dice.choice(USERS)
        password = self.passwords.get(name, "p1") if self.maybe(0.95) else "wrong"
        said = base64.b64encode(f"{name}:{password}".encode()).decode()
        return (("Authorization", f"{self.dice.choice(['Basic', 'basic'])} {said}"),)

    def _method(self) -> str:
        return self.dice.choices(["PUT", "GET", "DELETE", "POST"], [12, 4, 2, 1])[0]

    def _json(self, method: str, target: str, fields: dict[str, Any]) -> Asked:
        body = json.dumps(fields)
        if self.maybe(0.05):
            body = self.dice.choice(["", "{", "[]", '{"user":1}', "null", body + " more"])
        headers = (("Content-Type", "application/json"),)
        return Asked(method, target, body if method == "PUT" else None, headers)

    def _user(self) -> Asked:
        name = self.dice.choice(USERS)
        fields: dict[str, Any] = {"user": name if self.maybe(0.97) else "other"}
        if self.maybe(0.5 if self.is_on else 0.7):
            fields["password"] = self.dice.choice(PASSWORDS)
        for part, odds in (("roles", 0.25), ("grant", 0.3), ("revoke", 0.2)):
            if self.maybe(odds):
                fields[part] = self.some(ROLES) if self.maybe(0.9) else None
        tail = "/more" if self.maybe(0.02) else "/" if self.maybe(0.03) else ""
        return self._json(self._method(), f"/v2/auth/users/{quote(name)}{tail}", fields)

    def _permissions(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for part in ("read", "write"):
            if self.maybe(0.8):
                found[part] = self.some(PATTERNS)
        return {"kv": found}

    def _role(self) -> Asked:
        name = self.dice.choice(ROLES)
        fields: dict[str, Any] = {"role": name if self.maybe(0.97) else "other"}
        for part, odds in (("permissions", 0.3), ("grant", 0.4), ("revoke", 0.25)):
            if self.maybe(odds):
                given = self._permissions()
                if part == "permissions" or any(given["kv"].values()):
                    fields[part] = given
        return self._json(self._method(), f"/v2/auth/roles/{name}", fields)

    def _list(self) -> Asked:
        target = self.dice.choice(["users", "roles", "users/", "roles/", "", "enable/", "other"])
        return Asked("GET" if self.maybe(0.9) else "PUT", f"/v2/auth/{target}", None)

    def _enable(self) -> Asked:
        weights = [2, 2, 8, 1] if not self.is_on else [4, 1, 1, 1]
        method = self.dice.choices(["GET", "DELETE", "PUT", "POST"], weights)[0]
        return Asked(method, "/v2/auth/enable", None)

    def _key(self) -> Asked:
        key, headers = self.dice.choice(KEYS), (("Content-Type", FORM.decode()),)
        flags = "?recursive=true" if self.maybe(0.4) else ""
        method = self.dice.choice(["PUT", "GET", "GET", "DELETE", "POST", "HEAD"])
        if method in ("PUT", "POST"):
            return Asked(method, f"/v2/keys{key}", "value=1", headers)
        return Asked(method, f"/v2/keys{key}{flags}", None)

    def _member(self) -> Asked:
        return Asked(self.dice.choice(["GET", "DELETE"]), "/v2/members/xyz", None)
