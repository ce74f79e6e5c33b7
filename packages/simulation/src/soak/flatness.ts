// Whether a process that is never killed stays as large as it was: samples of its heap and of what it holds open, the slope of the heap by
// least squares, and how the last third of the time compares with the first. Pure.

export interface Sample {
  readonly atMs: number;
  /** After a collection. */
  readonly heapMB: number;
  /** Outside of V8's heap: buffers. */
  readonly externalMB: number;
  readonly residentMB: number;
  /** What keeps the event loop turning: sockets, timers, requests to the system. */
  readonly handles: number;
  readonly sockets: number;
}

export interface Slope {
  readonly perHour: number;
  /** Its standard error: noise of the samples alone can be as large. */
  readonly standardErrorPerHour: number;
}

/** Medians over the first and the last third, and the most of all. */
export interface Level {
  readonly first: number;
  readonly last: number;
  readonly most: number;
  /** The last third has no more than a quarter and 2 above the first. */
  readonly isFlat: boolean;
}

const HOUR_MS = 3_600_000;
const MOST_GROWTH = 1.25;
const MOST_MORE = 2;

/** Of a line through the points by least squares. Undefined with fewer than three, or when all are of one moment. */
export function slopeOf(points: readonly { readonly atMs: number; readonly value: number }[]): Slope | undefined {
  const count = points.length;
  if (count < 3) return undefined;
  const meanX = points.reduce((sum, { atMs }) => sum + atMs, 0) / count;
  const meanY = points.reduce((sum, { value }) => sum + value, 0) / count;
  let xx = 0;
  let xy = 0;
  for (const { atMs, value } of points) {
    xx += (atMs - meanX) ** 2;
    xy += (atMs - meanX) * (value - meanY);
  }
  if (xx === 0) return undefined;
  const slope = xy / xx;
  const rest = points.reduce((sum, { atMs, value }) => sum + (value - meanY - slope * (atMs - meanX)) ** 2, 0);
  return { perHour: slope * HOUR_MS, standardErrorPerHour: Math.sqrt(rest / (count - 2) / xx) * HOUR_MS };
}

/** Undefined: fewer than three values. */
export function levelOf(values: readonly number[]): Level | undefined {
  const third = Math.floor(values.length / 3);
  if (third === 0) return undefined;
  const first = median(values.slice(0, third));
  const last = median(values.slice(-third));
  return { first, last, most: Math.max(...values), isFlat: last <= first * MOST_GROWTH + MOST_MORE };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] as number) + (sorted[sorted.length >> 1] as number)) / 2;
}
