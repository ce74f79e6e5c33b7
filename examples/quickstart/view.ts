// What a person sees while it runs. On a terminal: what happened scrolls by, and below it a block is drawn again and again; in
// a pipe: what happened, and a line of progress a second. The pictures are pure functions of a snapshot; the View class alone
// writes. It reads state and changes none.
import type { ShardState, WorkerState } from './fleet.ts';

/** All that the pictures show. */
export interface Snapshot {
  readonly inputName: string;
  readonly elapsedMs: number;
  /** `performance.now()` */
  readonly nowMs: number;
  readonly plannedCount: number;
  /** There are no more lines than planned. */
  readonly isPlanWhole: boolean;
  readonly putCount: number;
  /** Of those, how many are in the stream for certain. */
  readonly settledCount: number;
  readonly handledCount: number;
  readonly duplicates: number;
  readonly shards: readonly ShardState[];
  readonly workers: readonly WorkerState[];
}

/** The part of a terminal or a pipe that is used. */
export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

const REDRAW_EVERY_MS = 100;
const LINE_EVERY_MS = 1_000;
const BAR_WIDTH = 32;
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;
const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';

/** The block of a terminal, one string a line, none wider than `columns`. */
export function block(snapshot: Snapshot, columns: number): string[] {
  const { inputName, elapsedMs, putCount, settledCount, handledCount, duplicates, workers } = snapshot;
  const total = snapshot.isPlanWhole ? snapshot.plannedCount : Math.max(snapshot.plannedCount, putCount);
  const lines = [
    '',
    `${inputName} · ${seconds(elapsedMs)}`,
    `put      ${bar(putCount, total)} ${count(putCount)} of ${count(total)}${snapshot.isPlanWhole ? '' : ' or more'}, ${count(putCount - settledCount)} on the way`,
    `handled  ${bar(handledCount, total)} ${count(handledCount)} and ${count(duplicates)} duplicates`,
    '',
    ...snapshot.shards.map((shard) => shardLine(shard, snapshot.nowMs)),
    '',
    workers.map(({ workerId, state, lineCount }) => `${workerId} ${state} (${count(lineCount)})`).join(' · '),
  ];
  return lines.map((line) => (line.length > columns ? `${line.slice(0, Math.max(0, columns - 1))}…` : line));
}

/** One line of progress for a pipe. */
export function progressLine(snapshot: Snapshot): string {
  const { putCount, handledCount, duplicates, plannedCount, isPlanWhole } = snapshot;
  const total = isPlanWhole ? ` of ${count(plannedCount)}` : '';
  const shards = snapshot.shards
    .filter(({ isEnded }) => !isEnded)
    .map(({ shardId, workerId }) => `${shortShardId(shardId)}→${workerId ?? '?'}`);
  return `put ${count(putCount)}${total}, handled ${count(handledCount)}, duplicates ${count(duplicates)} · ${shards.join(' ') || 'no shard read yet'}`;
}

/** `12.3 s`, to put in front of what happened. */
export function seconds(elapsedMs: number): string {
  return `${(elapsedMs / 1_000).toFixed(1)} s`;
}

export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** `shardId-000000000012` → `shard 12`. */
export function shortShardId(shardId: string): string {
  const digits = /^shardId-(\d+)$/.exec(shardId)?.[1];
  return digits === undefined ? shardId : `shard ${Number(digits)}`;
}

export class View {
  readonly #screen: Screen;
  readonly #startedAtMs: number = performance.now();
  #read: (() => Snapshot) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #drawnCount = 0;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAtMs;
  }

  /** Something happened. */
  event(text: string): void {
    const line = `${seconds(this.elapsedMs).padStart(7)}  ${text.replace(/shardId-\d+/g, shortShardId)}`;
    this.#write([line]);
  }

  /** From now on the progress is shown, until `stop`. */
  start(read: () => Snapshot): void {
    this.#read = read;
    const isTerminal = this.#screen.isTTY === true;
    if (isTerminal) this.#screen.write(HIDE_CURSOR);
    const show = isTerminal ? () => this.#write([]) : () => this.event(progressLine(read()));
    this.#timer = setInterval(show, isTerminal ? REDRAW_EVERY_MS : LINE_EVERY_MS);
  }

  /** Shows the last state and leaves the terminal as it was. May be called again. */
  stop(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#screen.isTTY === true) {
      this.#write([]);
      this.#screen.write(SHOW_CURSOR);
    }
    this.#read = undefined;
    this.#drawnCount = 0;
  }

  /** Lines that stay, and below them the block anew. */
  #write(lines: readonly string[]): void {
    // A terminal that does not know its size says 0.
    const columns = this.#screen.columns || DEFAULT_COLUMNS;
    const rows = this.#screen.rows || DEFAULT_ROWS;
    const isDrawn = this.#screen.isTTY === true && this.#read !== undefined;
    // A block taller than the terminal could not be taken back.
    const drawn = isDrawn && this.#read !== undefined ? block(this.#read(), columns).slice(0, rows - 1) : [];
    const takeBack = this.#drawnCount > 0 ? `\x1b[${this.#drawnCount}A\x1b[0J` : '';
    const text = [...lines, ...drawn].map((line) => `${line}\n`).join('');
    this.#drawnCount = drawn.length;
    if (text !== '' || takeBack !== '') this.#screen.write(takeBack + text);
  }
}

function shardLine(shard: ShardState, nowMs: number): string {
  const { shardId, workerId, lineCount, behindMs, releasedAtMs, isEnded } = shard;
  const owner = isEnded ? 'read to its end' : (workerId ?? 'waits for a worker');
  const isBehind = workerId !== undefined && behindMs !== undefined;
  const waitsSinceMs = workerId === undefined && !isEnded ? releasedAtMs : undefined;
  const behind = isBehind ? `${seconds(behindMs)} behind` : waitsSinceMs ? `for ${seconds(nowMs - waitsSinceMs)}` : '';
  return `${shortShardId(shardId).padEnd(9)} ${owner.padEnd(20)} ${count(lineCount).padStart(9)} lines  ${behind}`.trimEnd();
}

function bar(value: number, total: number): string {
  const filled = total === 0 ? 0 : Math.min(BAR_WIDTH, Math.floor((value / total) * BAR_WIDTH));
  return '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
}
