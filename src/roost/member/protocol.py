"""The version that two members share to talk, besides that of stores; the kinds of frames.

Version 2 knows rows that travel as lists (decision record 0013); version 3 carries the keys of
rows that follow from keys as a list, too (record 0025).

1 ... 63      the member's own, below; one of these that is not known breaks the protocol
64 ... 239    of the rooms that stand on a member, each of which registers its own; 238 is taken,
              64 is `roost.counters`, 65 and 66 `roost.dashboard`
240 ... 255   the transport's, see `peer.frame`
"""

PROTOCOL_VERSION = 3
FRAME_RAFT, FRAME_REQUESTS, FRAME_ANSWERS, FRAME_REPAIR, FRAME_DIGESTS = 1, 2, 3, 4, 5
FRAME_WHO, FRAME_WHO_IS = 6, 7
ROOM_KIND_MIN, ROOM_KIND_MAX = 64, 239
# The member's own, and no more than advice: who does not know it drops it, as a room's.
FRAME_GONE = 238
