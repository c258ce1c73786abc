"""The versions two members must share to talk, and the kinds of their frames."""

PROTOCOL_VERSION = 1
STORAGE_VERSION = 1
FRAME_RAFT, FRAME_REQUESTS, FRAME_ANSWERS, FRAME_REPAIR, FRAME_DIGESTS = 1, 2, 3, 4, 5
FRAME_WHO, FRAME_WHO_IS = 6, 7
