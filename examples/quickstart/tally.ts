// The proof: what was put against what was handled. It knows nothing of shards, leases or processes, only of lines, so it can
// not be fooled by the thing that it checks. Fed in the order in which the main process learned of things.
// Invariants: a line counts as handled once, when its own bytes came; every further copy is a duplicate; what was never put,
// or came with other bytes, is a stray and counts as nothing else.

/** What a run must show. Delivery is at least once: duplicates are allowed, and counted. */
export interface Proof {
  readonly linesIn: number;
  /** Distinct ones. */
  readonly linesHandled: number;
  readonly duplicates: number;
  /** First copies handled after the first copy of a later line with the same key. */
  readonly orderViolations: number;
  /** Handled, but never put, or with other bytes than were put. */
  readonly strays: number;
  readonly keyCount: number;
  /** At most the first ten, for the error's sake. */
  readonly missingLineNumbers: readonly number[];
}

interface PutLine {
  readonly key: KeyProgress;
  readonly checksum: number;
  isHandled: boolean;
}

interface KeyProgress {
  /** The latest line of this key whose first copy was handled. */
  lastLineNumber: number;
}

const SHOWN_MISSING_COUNT = 10;

export class Tally {
  /** Line n stands at n − 1. */
  readonly #lines: PutLine[] = [];
  readonly #keys = new Map<string, KeyProgress>();
  #handledCount = 0;
  #duplicateCount = 0;
  #violationCount = 0;
  #strayCount = 0;

  get linesIn(): number {
    return this.#lines.length;
  }

  get linesHandled(): number {
    return this.#handledCount;
  }

  get duplicates(): number {
    return this.#duplicateCount;
  }

  /** A line is about to be put. Returns its number: 1, 2, 3 … */
  put(partitionKey: string, checksum: number): number {
    let key = this.#keys.get(partitionKey);
    if (key === undefined) {
      key = { lastLineNumber: 0 };
      this.#keys.set(partitionKey, key);
    }
    return this.#lines.push({ key, checksum, isHandled: false });
  }

  /** The handler has handled a line, for the first or for another time. */
  handled(lineNumber: number, checksum: number): void {
    const line = this.#lines[lineNumber - 1];
    if (line === undefined || line.checksum !== checksum) {
      this.#strayCount++;
      return;
    }
    if (line.isHandled) {
      this.#duplicateCount++;
      return;
    }
    line.isHandled = true;
    this.#handledCount++;
    if (lineNumber < line.key.lastLineNumber) this.#violationCount++;
    else line.key.lastLineNumber = lineNumber;
  }

  /** The handler got a record that is no line at all. */
  handledStray(): void {
    this.#strayCount++;
  }

  proof(): Proof {
    return {
      linesIn: this.#lines.length,
      linesHandled: this.#handledCount,
      duplicates: this.#duplicateCount,
      orderViolations: this.#violationCount,
      strays: this.#strayCount,
      keyCount: this.#keys.size,
      missingLineNumbers: this.#missing(),
    };
  }

  #missing(): number[] {
    const missing: number[] = [];
    for (let index = 0; index < this.#lines.length && missing.length < SHOWN_MISSING_COUNT; index++) {
      if (this.#lines[index]?.isHandled === false) missing.push(index + 1);
    }
    return missing;
  }
}

/** Nothing lost, nothing altered, the order kept. */
export function holds(proof: Proof): boolean {
  return proof.linesHandled === proof.linesIn && proof.orderViolations === 0 && proof.strays === 0;
}
