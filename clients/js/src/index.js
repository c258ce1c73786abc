// A client of Roost for Node and browsers: what is exported here is all of it.

export { Client } from "./client.js";
export { Compacted, LeaseGone, OperationRefused, OutcomeUnknown, Refusal, RoostError, Unreachable } from "./errors.js";
export { compare, op, prefixEnd } from "./keys.js";
