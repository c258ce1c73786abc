"""The version that two members share to talk, besides that of stores; the kinds of frames."""

PROTOCOL_VERSION = 1
FRAME_RAFT, FRAME_REQUESTS, FRAME_ANSWERS, FRAME_REPAIR, FRAME_DIGESTS = 1, 2, 3, 4, 5
FRAME_WHO, FRAME_WHO_IS = 6, 7
