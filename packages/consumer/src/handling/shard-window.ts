// The open tumbling window of a tenure: its state between two calls of the handler, and how far the shard counts as finished meanwhile.
// It calls nobody. The state is in this process alone, so whoever has the shard next needs all records of the window again.
// Invariants: while a window is open nothing from its first record on counts as finished, except what an early end has put into the
// handler's hands; a call that failed leaves the state as it was; what the handler is given is a copy.
import { type ExtendedSequenceNumber, invariant } from '@shardline/common';
import type { BatchWindow } from '../handler.ts';
import { stateOf } from './window-state.ts';

export interface ShardWindowOptions {
  readonly lengthMs: number;
  /** A state that takes more, as JSON in UTF-8, ends the window early. */
  readonly maxStateBytes: number;
}

/** Which call of a window: with records, the last, or the one that takes a state which has grown too large. */
export type WindowCall = 'records' | 'final' | 'early';

const FRESH = '{}';

interface OpenWindow {
  readonly start: number;
  /** As JSON: each call has its own copy, and its size is known. */
  state: string;
  stateBytes: number;
  /** Up to here all is finished; undefined: nothing was since the tenure began. */
  finishedBefore: ExtendedSequenceNumber | undefined;
}

export class ShardWindow {
  readonly #options: ShardWindowOptions;
  #open: OpenWindow | undefined;
  /** The handler has finished everything up to here, the open window's included. */
  #handledTo: ExtendedSequenceNumber | undefined;

  constructor(options: ShardWindowOptions) {
    this.#options = options;
  }

  /** Of the open one, ms since 1970; undefined: none is open. */
  get start(): number | undefined {
    return this.#open?.start;
  }

  get isOverfull(): boolean {
    return this.#open !== undefined && this.#open.stateBytes > this.#options.maxStateBytes;
  }

  /** Bytes of the state, as JSON. */
  get stateBytes(): number {
    return this.#open?.stateBytes ?? 0;
  }

  /** What counts as finished; undefined: nothing since the tenure began. */
  get finishedTo(): ExtendedSequenceNumber | undefined {
    return this.#open === undefined ? this.#handledTo : this.#open.finishedBefore;
  }

  begin(start: number): void {
    invariant(this.#open === undefined, 'a tumbling window begins once the one before it has ended');
    const finishedBefore = this.#handledTo;
    this.#open = { start, state: FRESH, stateBytes: FRESH.length, finishedBefore };
  }

  /** The handler has finished everything up to here. */
  handled(position: ExtendedSequenceNumber): void {
    this.#handledTo = position;
  }

  /** What a call is given. */
  of(call: WindowCall): BatchWindow {
    const { start, state } = this.#opened;
    return {
      start: new Date(start),
      end: new Date(start + this.#options.lengthMs),
      state: JSON.parse(state),
      isFinal: call === 'final',
      isTerminatedEarly: call === 'early',
    };
  }

  /** Takes the state out of what a call has returned. @throws OperatingError when there is none that JSON says as it is. */
  adopt(returned: unknown): void {
    const json = stateOf(returned);
    this.#opened.state = json;
    this.#opened.stateBytes = Buffer.byteLength(json);
  }

  /** The handler has taken the state: the window goes on with a fresh one, and what the old one was made of is finished. */
  startAfresh(): void {
    const open = this.#opened;
    open.state = FRESH;
    open.stateBytes = FRESH.length;
    open.finishedBefore = this.#handledTo;
  }

  /** The handler has taken the last state. */
  end(): void {
    this.#open = undefined;
  }

  get #opened(): OpenWindow {
    invariant(this.#open !== undefined, 'no tumbling window is open');
    return this.#open;
  }
}
