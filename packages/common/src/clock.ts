// The one place where time enters. `now` is monotonic and means nothing outside this process; `wallNow` is the calendar,
// for what other machines read (a worker's metric row). Timers wait at most 2^31 − 1 ms.

export interface Clock {
  /** Monotonic milliseconds; of a simulation maybe fractional. */
  now(): number;
  /** Milliseconds since 1970. */
  wallNow(): number;
  /** Calls back once, after at least `delayMs`. The returned function cancels. Never keeps the process alive by itself when `keepAlive` is false. */
  setTimer(callback: () => void, delayMs: number, keepAlive?: boolean): () => void;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** Of a patient timer. */
const LOOK_COUNT = 8;

export const systemClock: Clock = {
  // Whole: V8 keeps a small integer in its field, and for each fraction a number of its own on the heap, several a lease.
  now: () => Math.floor(performance.now()),
  wallNow: () => Date.now(),
  setTimer: (callback, delayMs, keepAlive = true) => {
    const timer = setTimeout(callback, Math.min(Math.max(0, Math.ceil(delayMs)), LONGEST_TIMER_MS));
    if (!keepAlive) timer.unref();
    return () => clearTimeout(timer);
  },
};

/**
 * Calls back once, when nothing has come for `delayMs` to a process that could have seen it. Node looks at its timers before its sockets, so after a
 * pause (a stopped process, a long callback, no processor) a plain timer gives up what was answered long ago. This one looks at the
 * time in eight parts, and what passes between two looks counts as one part, however long it was. The returned function cancels.
 */
export function setPatientTimer(clock: Clock, callback: () => void, delayMs: number): () => void {
  let lookCount = 0;
  let cancel: () => void;
  const wait = (): void => {
    cancel = clock.setTimer(() => {
      if (++lookCount === LOOK_COUNT) callback();
      else wait();
    }, delayMs / LOOK_COUNT);
  };
  wait();
  return () => cancel();
}

/** Resolves after at least `delayMs`; rejects at once with the signal's reason when it is or becomes aborted. */
export function delay(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.setTimer(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, delayMs);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Rejects with the signal's reason when it is aborted: beside a call that may not look at it for long, in `Promise.race`. */
export function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
