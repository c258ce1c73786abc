"""What is known to differ from etcd, and why; docs/reference/differences.md is made of it."""

# Request -> why Roost answers another way.
EXPLAINED = {
    "PUT /v2/keys with prevExist=true on a directory": (
        "etcd 3.5 fails (300, `Not a file`); Roost changes its time to live, as etcd 2.3 does"
    ),
    "GET /v2/keys with wait, stream and waitIndex": (
        "etcd tells one event of the past, and nothing more for ever; Roost all, and what follows"
    ),
    "GET /v2/keys with wait and stream, of what is deleted": (
        "etcd tells whoever watches the deleted node twice; Roost once"
    ),
    "GET /v2/keys with wait, below a directory that goes": (
        "etcd tells who watches what was there, and from history also who watches what was not, "
        "or `/ab` of `/a`; Roost whoever watches below, and nobody else"
    ),
    "GET /v2/keys with wait, recursive and waitIndex": (
        "etcd's history shows hidden keys, which a watch that waits is not told; Roost never does"
    ),
    "GET /v2/keys with wait, for a client that is slow": (
        "etcd ends the stream in silence when 100 events wait; Roost goes on from history, and "
        "says 401 at the end of the stream when that is gone"
    ),
    "GET /v2/keys with wait, while nothing happens": (
        "etcd says nothing; Roost a newline every --v2-heartbeat-interval, or none for whoever "
        "sends `X-Roost-Heartbeat: off`"
    ),
    "GET /v2/keys of a directory without sorted": (
        "etcd shows children in any order; Roost in that of their names"
    ),
    "waitIndex older than 1,000 events": (
        "etcd has cleared them; Roost keeps more while they are small, in the store"
    ),
    "ttl of more than 4,294,967,296 seconds": (
        "etcd counts in nanoseconds, and it comes out as some other time; Roost refuses (202)"
    ),
    "expiration of v2": (
        "etcd takes it from the clock of the member that was asked, Roost from the leader's; where "
        "a clock is set, etcd's keys run out early or late, and Roost's in the time they were given"
    ),
    "keys of v2 of more than 4 KiB, or 128 directories deep; forms of more than 1,000 parameters": (
        "etcd takes them; Roost refuses (209, 210)"
    ),
    "a form of v2 with a content type that is none": (
        "both refuse it (210), and say in other words what is wrong with it"
    ),
    "a target with a `#`": (
        "etcd takes it for a part of the path; Roost refuses it (400), as HTTP has none there"
    ),
    "GET /v2/leader": "etcd 3.5 has it no more; Roost has it as 0.3 did",
    "GET /v2/speedTest": "etcd had it until 0.4, on the server; `roost bench` asks from outside",
    "writes to v2 with --v2-redirect": (
        "etcd since 2.0 forwards them always; Roost by default, and with the setting it answers as "
        "0.3 did (307), as it does to `consistent=true` and /v2/stats/leader"
    ),
    "standbys (etcd 0.4) and proxies (etcd 2.x)": (
        "a standby, beyond active-size, answered with 307 and became a member where one was "
        "missing; a proxy handed everything on. Roost has learners (`roost member add --learner`), "
        "which somebody promotes and which take no writes to v2, and `roost gateway`, which hands "
        "on and follows the members; `--proxy` is refused but for off, and /v2/admin is not there"
    ),
    "GET /v2/stats/self": "etcd counts messages between members there; Roost does not",
    "GET /v2/stats/leader": (
        "etcd's times are those of any message to a follower; Roost's those of heartbeats, since "
        "the member that leads was started"
    ),
    "GET /v2/stats/store": (
        "etcd counts a change on every member; Roost on the one that led, and reads on the one "
        "that was asked"
    ),
    "/v2/members with a change that the cluster refuses": (
        "etcd says `Internal Server Error`; Roost what is wrong, with the same status"
    ),
    "v2 while authentication of v3 is on, and v2's is not": (
        "etcd answers everybody; Roost v3's root (110), and members are changed by v3's root always"
    ),
    "recursive requests to v2 by a guest": (
        "etcd looks at the path alone, and shows or deletes all below; Roost wants a pattern that "
        "ends with `*`, as of users"
    ),
    "/v2/auth with a change": ("etcd's takes up to five indexes of v2's tree; Roost's none"),
    "/v2/auth/users with a password of more than 72 bytes, or with a zero byte": (
        "etcd forgets what is behind them; Roost refuses (400)"
    ),
    "/v2/auth with a body of more than 64 KiB, a role or user of more than 16 KiB, a user with "
    "more than 32 roles": "etcd takes them; Roost refuses (400)",
    "PUT /v2/auth/roles of a new role with a grant or revoke that says nothing": (
        "etcd keeps and shows both; Roost forgets them"
    ),
    "v2 with ten wrong passwords a second at a name from an address": (
        "etcd lets anybody guess, and hashes for each request; Roost refuses (300)"
    ),
    "--discovery of a member that has written itself down and has no data yet": (
        "etcd refuses it (`found duplicate id`); Roost goes on where it was"
    ),
    "--discovery-fallback": (
        "etcd's default is proxy, which answers for a cluster that is full; Roost's is exit, and "
        "says why. `learner` is Roost's own"
    ),
    "--discovery-srv": (
        "etcd leaves out records whose host it cannot look up, and then members may disagree about "
        "their cluster; Roost takes all of them. A member's peer URL is what its record says"
    ),
    "etcd gateway start, when no endpoint answers": (
        "etcd hangs up on everybody until --retry-delay is over; Roost tries all for each client"
    ),
    "--discovery-token of a member that has written itself down": (
        "etcd 3.6 writes over what stands there; Roost refuses when that is not its own"
    ),
    "PUT /config/local/log": (
        "etcd 3.5 has it no more; Roost has it as 2.3 did, by module as well, and shows levels to "
        "a GET; while authentication is on it wants root"
    ),
    "--listen-peer-urls unix://": (
        "etcd's own tests use it; members on one machine have loopback, and clients have unix://"
    ),
    "--client-crl-file, --peer-crl-file that cannot be read any more": (
        "etcd refuses everybody from then on; Roost goes on with the list it had, and logs that"
    ),
    "KV/Put, KV/Txn that would pass the quota": (
        "etcd raises NOSPACE at once and for good; Roost refuses it alike, and raises the alarm "
        "when nine tenths of the quota are used, until there is room again"
    ),
    "--advertise-client-urls left out": (
        "etcd wants it when --listen-client-urls is given; Roost tells what it listens on"
    ),
    "--auto-tls, --peer-auto-tls with http URLs": (
        "etcd warns and serves in the clear; Roost refuses to start"
    ),
    "--experimental-peer-skip-client-san-verification": (
        "etcd compares a member's certificate with the address it comes from, or not; Roost always "
        "with the member it greets as"
    ),
    "a member whose directory is lost, with --initial-cluster-state existing": (
        "etcd starts it empty under its old id, with its promises forgotten; Roost wants it "
        "removed and added anew"
    ),
    "Auth/Authenticate of a user without a password": (
        "etcd names such users (code 2); Roost says what it says of every wrong password"
    ),
    "KV/Put, KV/DeleteRange with prev_kv and no right to read": (
        "etcd 3.5.1 shows the value (CVE-2026-44283); Roost refuses"
    ),
    "any RPC of Lease, Cluster, Maintenance, and KV/Compact without a token": (
        "etcd 3.5.1 answers while authentication is on (CVE-2026-33413); Roost wants a user, "
        "and root for what changes the cluster, compacts, hashes or changes alarms"
    ),
    "Maintenance/Defragment, Maintenance/HashKV without a right": (
        "etcd 3.5.1 answers with code 2 and the text of an inner error; Roost as everywhere else"
    ),
    "Maintenance/Downgrade to 3.4.0": "etcd has an older format of its store; Roost has none",
    "a token that is sent while authentication is off": (
        "etcd refuses tokens it does not know; Roost asks nobody for one then"
    ),
    "Auth/UserAdd, Auth/UserChangePassword with no password, or one of more than 72 bytes": (
        "etcd takes the first (CVE-2020-15115) and forgets what is behind the 72nd byte; Roost "
        "refuses both, before it looks whether the user is there"
    ),
    "Auth/RoleGrantPermission of an unknown type": (
        "etcd keeps it, and it permits nothing; Roost refuses"
    ),
    "Auth/RoleGrantPermission of the same range twice, with another between": (
        "etcd adds a second row when its search ends at the other one; Roost changes the first"
    ),
    "Lease/LeaseTimeToLive": "etcd lists keys in any order; Roost in theirs",
    "Election/Campaign again with another value": (
        "etcd's header has the revision before the change; Roost's the one of the change"
    ),
    "Election/Proclaim, Election/Resign with a leader's key without a lease": (
        "etcd grants a lease on the way, which nobody gets; Roost none"
    ),
    "Election/Observe": "Roost may leave out a value that was proclaimed over at once",
    "Watch/Watch with a progress request while watchers are behind": (
        "etcd answers with a revision that they have not reached (#15220); Roost waits"
    ),
    "Watch/Watch without the right to": (
        "etcd 3.5.1 says `permission denied` with the id asked for, whatever is wrong; Roost "
        "says what is wrong with id -1, as etcd from 3.5.5 on, so that Go's client logs in "
        "again"
    ),
    "Lease/LeaseLeases at a follower": (
        "etcd's followers know no times and list in any order; Roost's ask the leader"
    ),
    "Health/Check, and reflection, at a learner": (
        "etcd refuses them like all it does not know; Roost answers"
    ),
    "Auth/Authenticate with ten wrong passwords a second at a name from an address": (
        "etcd lets anybody guess; Roost refuses (code 8)"
    ),
    "KV/Txn of more than 10,000 comparisons and operations, at all depths": (
        "etcd counts each depth by itself; Roost all of them (code 3, `too many operations`)"
    ),
    "Cluster/MemberAdd, MemberUpdate with more than 16 URLs, or one of over 1024 characters": (
        "etcd looks at each, however many; Roost refuses (code 3, with the reason)"
    ),
    "Watch with more than 16 filters": (
        "etcd takes any number of the two there are; Roost does not begin it"
    ),
    "Auth/RoleGrantPermission and UserGrantRole for the 4097th range of a role, and 1025th role": (
        "etcd takes any number, and holds every request against them; Roost refuses (code 9)"
    ),
    "the JSON gateway with more than 40,000 objects in a request": (
        "etcd reads them; Roost, which reads a text in one step, refuses (code 3)"
    ),
    "KV/Txn that writes, and looks at more than 16 million keys; one that is compared is four": (
        "etcd does, and nobody can write for as long; Roost gives up (code 8), and does nothing"
    ),
    "KV/DeleteRange with prev_kv, KV/Txn that writes and reads, answered by more than 60 MiB": (
        "etcd does it, and keeps all of it in memory; Roost refuses (code 8), before any of it is "
        "done: less where the leader has little memory"
    ),
    "KV/DeleteRange, Lease/LeaseRevoke of so many keys that more than 64 MiB is written": (
        "etcd does it; Roost refuses (code 3, `request is too large`), and wants it in parts"
    ),
    "POST /v3alpha/": "etcd 3.5 has dropped this old name of the gateway; Roost has it",
    "POST with bytes as an array of numbers": "etcd 3.5 takes it; Roost refuses",
    "POST with two fields of which one may be given, or with more behind its object": (
        "etcd takes one of the two by chance and passes over the rest; Roost refuses"
    ),
    "POST /v3/watch and other streams with broken JSON": (
        "etcd says that it is the server's fault (500); Roost that it is the client's (400)"
    ),
    "a request with more than 16 KiB of metadata": (
        "etcd takes 16 MiB; Roost refuses it with RESOURCE_EXHAUSTED, and the connection goes on"
    ),
    "messages within each other, more than 100 deep": (
        "etcd takes some thousands; Roost refuses what protobuf's own parser does"
    ),
    "POST with broken JSON": "the texts are those of two JSON libraries; status and code are equal",
    "Cluster/MemberPromote of nobody": "etcd waits until the client gives up; Roost says so",
    "GET /health": "Roost says that it is JSON",
    "KV/Range, also in a transaction, with an unknown sort order or target": (
        "etcd 3.5.1 does not sort by the first and ends by the second; Roost refuses both, as "
        "etcd does since 3.5.5"
    ),
    "KV/Txn, Election/Proclaim that put a key on a lease with keys the user may not write": (
        "etcd asks this of Put only, Roost wherever a key is put: revoking the lease deletes them"
    ),
    "KV/Txn with a nested transaction, without the right or without a token": (
        "etcd 3.5.1 looks at the outer operations only, so anybody may do anything; Roost refuses"
    ),
    "KV/Range, KV/DeleteRange of a range that is the wrong way round, by a user": (
        "etcd looks at other rights too; Roost at the first key, for nothing else is there"
    ),
    "KV/Txn without operations and without a token": (
        "etcd answers while authentication is on; Roost wants a user for whatever is asked"
    ),
    "KV/Range, KV/Txn that only reads, while CORRUPT is raised": (
        "etcd means to refuse them and does not (applierV3Corrupt is asked for writes only); "
        "Roost refuses, since the answer may be wrong; watches go on with both"
    ),
    "KV/Txn that puts only within a nested transaction, while NOSPACE is raised": (
        "etcd does not look there and lets it through; Roost refuses"
    ),
    "Maintenance/Alarm with an unknown action, or that raises an unknown type": (
        "etcd's members end; Roost refuses"
    ),
    "Maintenance/Alarm with LOST_ENTRIES": "an alarm of Roost's own",
    "Maintenance/Alarm that raises the 129th": (
        "etcd takes any number, for members that do not exist, too; Roost refuses: all of them are"
        " looked at with each change of one"
    ),
    "Maintenance/Alarm, NOSPACE": (
        "Roost takes back what it raised by itself when there is space again; etcd waits for an"
        " operator, and so does Roost with what a client raised"
    ),
    "Cluster/MemberAdd with a URL without a host, with a port that cannot be, or with unix://": (
        "etcd takes them; no member could be reached there, so Roost refuses"
    ),
    "Cluster/MemberUpdate with URLs that are invalid or another member's": (
        "etcd looks at them only when members are added; Roost always"
    ),
    "Watch/Watch with the id of a watch that compaction has ended": (
        "etcd holds the number until the client cancels it; with Roost it is free"
    ),
    "Lock/Lock, Election/Campaign with a failure of the cluster": (
        "etcd passes UNAVAILABLE on without its code; Roost with it, so that clients try again"
    ),
}
