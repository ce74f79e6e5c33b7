// The admin endpoint: the server's own matters over HTTP, for tests in other languages and processes. JSON in, JSON out, under a
// path that no client of Kinesis uses, on the same ports. Answers within the request, changes nothing that its owner could not
// change by a call.
import { type Clock, describe, isShardlineError, type Logger, systemClock, UsageError } from '@shardline/common/base';
import { version } from '../version.ts';
import type { FaultRule } from './faults/fault-rule.ts';
import type { FaultsOfServer } from './faults/local-faults.ts';
import type { HttpReply, HttpRequest } from './http-exchange.ts';
import type { Models } from './models.ts';

export interface Admin {
  readonly faults: FaultsOfServer;
  readonly models: Models;
  readonly clock: Clock;
  readonly logger: Logger;
  /** When the server began, by the system's clock, ms. */
  readonly startedAt: number;
  readonly reset: () => void;
}

/** A clock that stands still until it is told to move. */
interface MovableClock extends Clock {
  advance(ms: number): void;
}

interface Request {
  /** What stands in the place of ID. */
  readonly id: string;
  readonly body: Buffer;
}

interface Answer {
  readonly status: number;
  readonly body: object;
  readonly allow?: string;
}

type Route = (admin: Admin, request: Request) => Answer;

const PREFIX = '/_shardline/';
/** The longest retention: what a clock is moved on by at once. */
const MAX_ADVANCE_MS = 8_760 * 3_600_000;

export function isAdminRequest({ url }: HttpRequest): boolean {
  return url?.startsWith(PREFIX) ?? false;
}

/** Answers one request, whose body was read. Never throws. */
export function answerAdmin(admin: Admin, request: HttpRequest, body: Buffer, reply: HttpReply): void {
  const { status, body: answer, allow } = answerTo(admin, request, body);
  const bytes = Buffer.from(`${JSON.stringify(answer)}\n`);
  reply.writeHead(status, {
    'content-type': 'application/json',
    'content-length': bytes.length,
    'cache-control': 'no-store',
    ...(allow === undefined ? {} : { allow }),
  });
  reply.end(bytes);
}

const routes: Readonly<Record<string, Readonly<Record<string, Route>>>> = {
  health: { GET: health },
  faults: { GET: listFaults, POST: addFault, DELETE: clearFaults },
  'faults/ID': { GET: getFault, DELETE: removeFault },
  reset: { POST: reset },
  clock: { GET: readClock, POST: moveClock },
};

function answerTo(admin: Admin, request: HttpRequest, body: Buffer): Answer {
  // Kinesis is safe from pages in a browser by its X-Amz-Target header, which no page may send unasked; this is not.
  if (request.headers['origin'] !== undefined) {
    return failure(403, 'FORBIDDEN', 'Origin: expected no page of a browser, got one');
  }
  const path = (request.url ?? '').slice(PREFIX.length).replace(/\?.*$/, '');
  const [, id = ''] = /^faults\/([^/]+)$/.exec(path) ?? [];
  const name = id === '' ? path : 'faults/ID';
  const methods = Object.hasOwn(routes, name) ? routes[name] : undefined;
  if (methods === undefined) {
    const known = Object.keys(routes).map((each) => PREFIX + each);
    return failure(404, 'NOT_FOUND', `path: expected one of ${known.join(', ')}, got ${describe(PREFIX + path)}`);
  }
  const { method = '' } = request;
  const route = Object.hasOwn(methods, method) ? methods[method] : undefined;
  if (route === undefined) {
    const allow = Object.keys(methods).join(', ');
    const message = `method: expected one of ${allow} for ${PREFIX}${name}, got ${method}`;
    return { ...failure(405, 'METHOD_NOT_ALLOWED', message), allow };
  }
  try {
    return route(admin, { id, body });
  } catch (error) {
    if (isShardlineError(error) && error.code === 'USAGE') {
      const { field, expected, got } = error as UsageError;
      return failure(400, 'USAGE', error.message, { field, expected, got });
    }
    // A reset that the data folder does not take; its log says why.
    if (isShardlineError(error) && error.code === 'DATA_UNAVAILABLE') return failure(500, error.code, error.message);
    admin.logger.error({ error }, 'an admin request failed by a bug of the server');
    return failure(500, 'INVARIANT', 'The local Kinesis has a bug.');
  }
}

function health({ models, clock, startedAt }: Admin): Answer {
  const now = clock.wallNow();
  const streams = models.entries().flatMap(({ caller: { accountId, region }, model }) =>
    model.listStreams(now).map(({ name, status, openShards }) => {
      return { accountId, region, name, status, openShardCount: openShards.length };
    }),
  );
  const uptimeMs = Math.round(systemClock.now() - startedAt);
  return ok({ status: 'ready', version: version(), uptimeMs, ...timeOf(clock), streams });
}

function listFaults({ faults }: Admin): Answer {
  return ok({ seed: faults.seed, faults: faults.list() });
}

function addFault({ faults }: Admin, { body }: Request): Answer {
  const { id } = faults.add(jsonIn(body, 'a rule such as {"kind":"throttle"}') as FaultRule);
  return { status: 201, body: faults.get(id) ?? {} };
}

/** Answers with what they were, for their counters. */
function clearFaults({ faults }: Admin): Answer {
  const removed = faults.list();
  faults.clear();
  return ok({ seed: faults.seed, faults: removed });
}

function getFault({ faults }: Admin, { id }: Request): Answer {
  const fault = faults.get(id);
  return fault === undefined ? noFault(id) : ok(fault);
}

/** Answers with what it was, for its counters. */
function removeFault({ faults }: Admin, { id }: Request): Answer {
  const fault = faults.get(id);
  if (fault === undefined) return noFault(id);
  faults.remove(id);
  return ok(fault);
}

function noFault(id: string): Answer {
  return failure(404, 'NOT_FOUND', `ID: expected the id of a rule that is there, got ${describe(id)}`);
}

function reset(admin: Admin): Answer {
  admin.reset();
  return ok({});
}

function readClock({ clock }: Admin): Answer {
  return ok(timeOf(clock));
}

function moveClock({ clock }: Admin, { body }: Request): Answer {
  if (!isMovable(clock)) {
    return failure(409, 'CONFLICT', 'clock: expected a server started with --manual-clock, got the time of the system');
  }
  const given = jsonIn(body, '{"advanceMs":1000}');
  const names = Object.keys(given);
  if (names.length !== 1 || names[0] !== 'advanceMs') {
    throw new UsageError('body', '{"advanceMs":1000}', `the members ${names.join(', ') || '(none)'}`);
  }
  const { advanceMs } = given as { advanceMs: unknown };
  if (!Number.isSafeInteger(advanceMs) || Number(advanceMs) < 0 || Number(advanceMs) > MAX_ADVANCE_MS) {
    throw new UsageError('advanceMs', `a whole number from 0 to ${MAX_ADVANCE_MS}`, describe(advanceMs));
  }
  clock.advance(Number(advanceMs));
  return ok(timeOf(clock));
}

function timeOf(clock: Clock): { readonly clock: 'manual' | 'system'; readonly now: string } {
  return { clock: isMovable(clock) ? 'manual' : 'system', now: new Date(clock.wallNow()).toISOString() };
}

function isMovable(clock: Clock): clock is MovableClock {
  return 'advance' in clock && typeof clock.advance === 'function';
}

/** @throws UsageError */
function jsonIn(body: Buffer, expected: string): object {
  if (body.length === 0) throw new UsageError('body', expected, 'nothing');
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch {
    throw new UsageError('body', expected, `no JSON: ${describe(body.toString())}`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new UsageError('body', expected, describe(value));
}

function ok(body: object): Answer {
  return { status: 200, body };
}

function failure(status: number, code: string, message: string, more: object = {}): Answer {
  return { status, body: { error: { code, message, ...more } } };
}
