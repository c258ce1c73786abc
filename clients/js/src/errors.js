// What can go wrong, by kinds: each says what is known of the request that it is about.

/** The kind of all others. */
export class RoostError extends Error {
  /** @param {string} message  @param {ErrorOptions} [options] */
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A member said no: nothing was changed. */
export class Refusal extends RoostError {
  /**
   * @param {number} status  of HTTP
   * @param {string} message  as the member said it
   * @param {number | string | undefined} code  of gRPC for keys, a name for counters
   */
  constructor(status, message, code) {
    super(message);
    /** @type {number} */
    this.status = status;
    /** @type {number | string | undefined} */
    this.code = code;
  }

  /** Whether somebody has to say who they are, or the token that says so has run out. */
  get needsLogin() {
    return this.status === 401 || /user name is empty|invalid auth token/.test(this.message);
  }

  /** Whether the same may be asked again, here or elsewhere: nothing was done. */
  get isPassing() {
    return this.status === 429 || (this.status === 503 && !/timed out|unknown/.test(this.message));
  }
}

/** No member answers: nothing was sent, or what was sent reads only. */
export class Unreachable extends RoostError {}

/** The connection was lost, or the time was up, behind a request that writes: it may have been done, or may be yet. */
export class OutcomeUnknown extends RoostError {}

/** What was asked for is compacted: read anew, and watch from what was read. */
export class Compacted extends RoostError {
  /** @param {bigint} revision  the first that is there */
  constructor(revision) {
    super(`revisions below ${revision} are compacted`);
    /** @type {bigint} */
    this.revision = revision;
  }
}

/** A lease has run out, or was revoked; so are its keys. */
export class LeaseGone extends RoostError {
  /** @param {bigint} id */
  constructor(id) {
    super(`the lease ${id.toString(16)} is gone`);
    /** @type {bigint} */
    this.id = id;
  }
}

/** An operation of an application said no: nothing of it is kept. */
export class OperationRefused extends RoostError {
  /** @param {string} kind  the name of what it raised  @param {string} message  @param {string} code  the application's own */
  constructor(kind, message, code) {
    super(message);
    /** @type {string} */
    this.kind = kind;
    /** @type {string} */
    this.code = code;
  }
}
