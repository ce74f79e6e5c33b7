// What a contender of the race is told, and what it says in the end: one line of JSON in its environment, one on its standard
// output. KplRace.java reads and writes the same.

/** How user records are handed over, and their outcome told: a promise each, or one callback for all. */
export type Face = 'promise' | 'callback';

export interface Settings {
  /** The sink's. */
  readonly port: number;
  readonly records: number;
  /** Put before, and not counted: what runs for days has been compiled. */
  readonly warmUpRecords: number;
  /** Of a record's data, bytes. */
  readonly size: number;
  /** That many partition keys in turn; 0: each record has its own. */
  readonly keys: number;
  /** User records put and not settled. */
  readonly outstanding: number;
  /** How long a record may wait for company. */
  readonly bufferedMs: number;
  /** Puts one after another when all is done, each alone. */
  readonly loneRecords: number;
}

export interface Outcome {
  readonly failed: number;
  readonly seconds: number;
  /** User and system time of all threads, those of child processes too, from the first put to the last record's settling. */
  readonly cpuSeconds: number;
  /** The part of it that was a child process's. */
  readonly childCpuSeconds: number;
  /** At the most, children included, bytes. */
  readonly residentBytes: number;
  /** From the put to the outcome, of every 64th record. */
  readonly latencyMs: readonly number[];
  readonly loneLatencyMs: readonly number[];
}
