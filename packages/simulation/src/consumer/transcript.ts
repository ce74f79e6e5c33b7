// What happened in a world, a line each, for people: when, who, what. A fault bears a mark. Only written when it is asked for: a
// seed replays to the byte, so a failing one is run again with it.
import type { TableEffect } from '../../../consumer/dist/coordination/effects.js';
import type { Lease } from '../../../consumer/dist/coordination/lease.js';
import type { Notice } from '../../../consumer/dist/coordination/notice.js';
import type { Results } from '../../../consumer/dist/coordination/results.js';
import type { EventQueue } from '../event-queue.ts';
import type { ConsumerCheckers } from './checkers.ts';
import type { Position } from './shard-history.ts';

interface Actor {
  readonly id: number;
  readonly workerId: string;
}

/** Says where a position stands, in few words. */
type Place = (leaseKey: string, position: { readonly sequenceNumber: unknown }) => string;

export class Transcript {
  readonly lines: string[] = [];
  readonly #queue: EventQueue;
  readonly #place: Place;

  constructor(queue: EventQueue, checkers: ConsumerCheckers) {
    this.#queue = queue;
    this.#place = (leaseKey, position) => checkers.placeOf(leaseKey, position as Position);
  }

  /** Something that the process does; nothing: not worth a line. */
  does(actor: Actor, what: string | ((place: Place) => string) | undefined): void {
    if (what !== undefined) this.#add(' ', nameOf(actor), typeof what === 'string' ? what : what(this.#place));
  }

  fault(actor: Actor, what: string): void {
    this.#add('!', nameOf(actor), what);
  }

  /** To the world, not in a process. */
  happens(what: string): void {
    this.#add(' ', 'the world', what);
  }

  handles(actor: Actor, leaseKey: string, batch: readonly Position[], durationMs: number): void {
    const [first, last] = [batch[0], batch.at(-1)];
    if (first === undefined || last === undefined) return;
    const records = `${this.#place(leaseKey, first)} to ${this.#place(leaseKey, last)}`;
    this.does(actor, `handles ${shortKey(leaseKey)}, ${records}, for ${durationMs} ms`);
  }

  violation(text: string): void {
    this.#add('X', 'VIOLATION', text);
  }

  #add(mark: string, who: string, what: string): void {
    this.lines.push(`${this.#queue.now.toFixed(0).padStart(7)} ${mark} ${who.padEnd(13)} ${what}`);
  }
}

/** A table write, and what came of it; undefined for a read. */
export function describeWrite(
  effect: TableEffect,
  result: unknown,
  before: Lease | undefined,
  after: Lease | undefined,
): ((place: Place) => string) | undefined {
  const { applied } = { applied: true, ...(result as { readonly applied?: boolean }) };
  const refused = applied ? '' : ' — REFUSED';
  switch (effect.kind) {
    case 'renewLease':
    case 'assignLease':
    case 'handOffLease':
    case 'evictLease':
    case 'checkpointLease':
    case 'createLease':
    case 'resetLease':
    case 'deleteLease': {
      const key = effect.kind === 'createLease' ? effect.lease.leaseKey : effect.leaseKey;
      const late = 'tenure' in effect && effect.tenure !== undefined ? `, tenure ${effect.tenure}` : '';
      return (place) =>
        `${effect.kind} ${shortKey(key)}${late}: ${describeLease(after ?? before, place)}${
          after === before && applied ? ' — nothing to do' : after === undefined ? ' — deleted' : refused
        }`;
    }
    case 'writeLeader':
      return () => `writes the Leader row${refused}`;
    case 'deleteLeader':
      return () => `deletes the Leader row${refused}`;
    case 'deleteWorker': {
      const { workerId } = effect;
      const refusal = (result as { readonly deleted: boolean }).deleted ? '' : ' — REFUSED';
      return () => `deletes the old metric row of ${workerId}${refusal}`;
    }
    case 'forgetWorker':
      return () => 'deletes its worker metric row';
    case 'reportWorker': {
      // One by the clock is no news.
      if (applied && effect.over === undefined && effect.answers === undefined) return undefined;
      const over = effect.over === undefined ? '' : ` in the place of that of ${shortProcess(effect.over.process)}`;
      const answer = effect.answers === undefined ? '' : `, in answer to ${shortProcess({ id: effect.answers })}`;
      return () => `writes its worker metric row${over}${answer}${refused}`;
    }
    case 'lookAtWorker': {
      const { ask } = effect;
      if (ask === undefined) return undefined;
      const stands = (result as Results['lookAtWorker']).sign?.askedBy === ask.by ? '' : ' — REFUSED';
      return () => `asks ${shortProcess({ id: ask.of })} whether it lives${stands}`;
    }
    default:
      return undefined;
  }
}

function describeLease(lease: Lease | undefined, place: Place): string {
  if (lease === undefined) return 'no lease';
  const { leaseKey, leaseOwner = 'nobody', checkpointOwner, leaseCounter, checkpoint } = lease;
  const owner = checkpointOwner === undefined ? leaseOwner : `${checkpointOwner}, handing off to ${leaseOwner}`;
  return `owner ${owner}, counter ${leaseCounter}, checkpoint ${place(leaseKey, checkpoint)}`;
}

export function describeNotice(notice: Notice): string | ((place: Place) => string) | undefined {
  switch (notice.kind) {
    case 'leaseBegun':
      return (place) =>
        `begins tenure ${notice.tenure} of ${shortKey(notice.leaseKey)} after ${place(notice.leaseKey, notice.checkpoint)}`;
    case 'leaseEnded':
      return `ends tenure ${notice.tenure} of ${shortKey(notice.leaseKey)}: ${notice.reason}`;
    case 'checkpointed':
    case 'effectFailed':
    case 'handlerFailed':
      // The write, or the fault, has a line of its own.
      return undefined;
    case 'waitingForParents':
      return `${shortKey(notice.leaseKey)} waits for its parents ${notice.parents.map(shortKey).join(', ')}`;
    case 'leasesPlanned': {
      const { created, assigned, handedOff, deleted } = notice;
      return `plans as leader: ${created} to create, ${assigned} to assign, ${handedOff} to hand off, ${deleted} to delete`;
    }
    case 'workerSilent': {
      const to = notice.leases.map(({ leaseKey, to }) => `${shortKey(leaseKey)} to ${to}`);
      return `gives away as leader what ${notice.workerId} has not renewed for ${Math.round(notice.silentMs)} ms: ${to.join(', ')}`;
    }
    case 'leaderSeen':
      return `sees ${notice.workerId} lead`;
    case 'leadershipGained':
      return 'leads from now on';
    case 'leadershipLost':
      return 'leads no more';
    case 'stopped':
      return notice.abandoned.length === 0 ? 'has stopped' : `has stopped and leaves ${notice.abandoned.join(', ')}`;
    default: {
      const { kind, ...rest } = notice;
      return `${kind} ${JSON.stringify(rest, (_key, value) => (typeof value === 'bigint' ? String(value) : value))}`;
    }
  }
}

function nameOf({ id, workerId }: Actor): string {
  return workerId === `worker-${id}` ? workerId : `${workerId}#${id}`;
}

/** Process 10 has `0000000a-0000-4000-8000-00000000000a`; there is none in a row of the KCL's. */
function shortProcess(process: { readonly id: string } | undefined): string {
  return process === undefined ? 'a worker of the KCL' : `process ${Number.parseInt(process.id.slice(0, 8), 16)}`;
}

/** `shardId-000000000003` is shard 3; in an application of several streams its name stands before it. */
function shortKey(leaseKey: string): string {
  const [, stream, shard] = /^(?:\d+:([^:]+):\d+:)?shardId-0*(\d+)$/.exec(leaseKey) ?? [];
  if (shard === undefined) return leaseKey;
  return stream === undefined ? `shard ${shard}` : `shard ${shard} of ${stream}`;
}
